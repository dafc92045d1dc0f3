//! Lets a request in, with or without a user, or says why not.

use std::sync::Arc;

use http::{HeaderMap, Method, Request};

use super::{
    outgoing::{Origin, Passage},
    route::Route,
    shared::{Answer, Shared},
};
use crate::{
    caller::{Brought, CsrfPolicy, Passed, RequestKind, Seen, SessionUnavailable},
    clock::Timestamp,
    error::BoxFuture,
    jwt::{BearerClaims, BearerError},
    refresh::{Considered, Departure, Found, Landing, Ready, Tickets},
    respond::RejectionReason,
    session::{Carrier, Held, Reading, Traces},
    user::LpUser,
};

/// What becomes of a request.
pub(crate) enum Admission {
    /// Forward it now.
    Forward(Passage),
    /// We answer.
    Answer(Answer),
    /// We answer as soon as this resolves; the inner service is not needed.
    AnswerLater(BoxFuture<'static, Answer>),
    /// A refresh comes first, a store is asked or a token verified; then it is forwarded or answered.
    Wait(BoxFuture<'static, Awaited>, Waiting),
}

/// What a request has waited for.
#[derive(Debug)]
pub(crate) enum Awaited {
    Session(Ready),
    Jwt(Result<Arc<BearerClaims>, BearerError>),
}

/// A request whose session is being looked up, or refreshed first.
#[derive(Debug)]
pub(crate) struct Waiting {
    /// The sealed session that the request has brought.
    pub(super) brought: Option<Held>,
    pub(super) facts: Facts,
}

/// What a request brings.
enum Looked {
    /// An `Authorization` header that counts: it alone decides.
    Authorization,
    /// Cookies of sessions in the browser.
    Sealed(Found),
    /// Cookies of sessions in a store.
    Stored(Tickets),
}

/// What has been found out about a request on its way to a decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) route: Route,
    pub(super) now: Timestamp,
    pub(super) upgrade: bool,
    pub(super) cookies: Traces,
    pub(super) carrier: Carrier,
}

impl Facts {
    /// What is known before anything is looked at.
    #[inline]
    fn of_route(route: Route) -> Self {
        Self {
            route,
            now: Timestamp::default(),
            upgrade: false,
            cookies: Traces::default(),
            carrier: Carrier::Cookie,
        }
    }
}

impl Shared {
    /// Decides about a request, and prepares it for the inner service where it is let through.
    pub(crate) fn admit<B>(self: &Arc<Self>, request: &mut Request<B>) -> Admission {
        let route = self.routes.route(request.method(), request.uri().path());
        let by_token = match Seen::by(request.extensions_mut(), &self.keeper) {
            Seen::Here => return Admission::Forward(Passage::nothing()),
            Seen::ElsewhereByToken => true,
            Seen::Nowhere => false,
        };
        match route {
            Route::Callback | Route::Login | Route::Logout => {
                return self.admit_own(route, by_token, request);
            }
            Route::Public | Route::Optional | Route::Protected => {}
        }
        if route == Route::Public
            || self.routes.passes_as_preflight(request.method(), request.headers())
        {
            return Admission::Forward(self.admit_public(request));
        }
        // Filled in where it stays: it is looked at until the end. Whose cookies stand where is only certain
        // once a session is known at once, or after `look`.
        let mut facts = Facts::of_route(route);
        let names = self.keeper.mint.names();
        let brought = Brought::of(request.headers(), names, &mut facts.cookies);
        facts.upgrade = brought.upgrade;
        facts.now = self.keeper.now();
        if by_token {
            let reason = RejectionReason::CredentialRefused;
            return Admission::Answer(self.refuse_request(reason, request, None));
        }
        if let Some(held) = self.known_at_once(&brought, facts.now) {
            return self.admit_session(held, &facts, request);
        }
        match self.look(&brought, request.headers(), &mut facts) {
            Looked::Authorization => self.admit_bearer(&facts, request),
            Looked::Sealed(Found::Session(held)) => self.admit_found(held, &facts, request),
            Looked::Sealed(Found::Nobody { dead }) | Looked::Stored(Tickets::Nobody { dead }) => {
                self.nobody(&facts, request, dead)
            }
            Looked::Sealed(Found::Ambiguous) | Looked::Stored(Tickets::TooMany) => {
                self.nobody(&facts, request, false)
            }
            Looked::Stored(tickets) => self.ask_store(tickets, &facts, request),
        }
    }

    /// A request whose caller nobody asks for.
    fn admit_public<B>(&self, request: &mut Request<B>) -> Passage {
        let cookies = self.keeper.mint.names().strip(request.headers_mut());
        self.strip_unused_token(request);
        let origin = Origin::of(request, cookies.logins).where_no_login_helps();
        // Further in, under a nested router, this path may look like a protected one.
        Passed::mark(request.extensions_mut(), &self.keeper);
        Passage::anonymous(origin, false)
    }

    /// What a request brings, where more than a glance is needed.
    #[inline(never)]
    fn look(&self, brought: &Brought<'_>, headers: &HeaderMap, facts: &mut Facts) -> Looked {
        let keeper = &self.keeper;
        let glanced = brought.cookies.candidates();
        let is_unknown = glanced.is_some() && !brought.authorization;
        let candidates = glanced.unwrap_or_else(|| {
            let Reading { candidates, traces } = keeper.mint.names().read(headers);
            facts.cookies = traces;
            candidates
        });
        if brought.authorization && !self.ignored_schemes.ignore_all(headers) {
            return Looked::Authorization;
        }
        match (&keeper.depot, candidates.sole()) {
            (Some(depot), _) => Looked::Stored(keeper.tickets(depot, Carrier::Cookie, &candidates)),
            (None, Some(value)) if is_unknown => {
                Looked::Sealed(keeper.find_unknown(Carrier::Cookie, value, facts.now))
            }
            (None, _) => Looked::Sealed(keeper.find(Carrier::Cookie, &candidates, facts.now)),
        }
    }

    /// The session of a request whose cookie was opened before, where several fields need not be taken apart
    /// nor a store waited for: most requests of users.
    #[inline(always)]
    fn known_at_once(&self, brought: &Brought<'_>, now: Timestamp) -> Option<Held> {
        if brought.authorization {
            return None;
        }
        let value = brought.cookies.sole_session()?;
        match &self.keeper.depot {
            None => self.keeper.recall_value(Carrier::Cookie, value),
            Some(depot) => self.keeper.value_at_hand(depot, Carrier::Cookie, value, now),
        }
    }

    /// [`admit_session`](Self::admit_session) of all others.
    pub(super) fn admit_found<B>(
        self: &Arc<Self>,
        held: Held,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        self.admit_session(held, facts, request)
    }

    /// One of our own paths. An `Authorization` header alone decides there too: with one that signs
    /// nobody in, nothing is redirected and no cookie set.
    fn admit_own<B>(
        self: &Arc<Self>,
        route: Route,
        by_token: bool,
        request: &Request<B>,
    ) -> Admission {
        if by_token {
            let reason = RejectionReason::CredentialRefused;
            return Admission::Answer(self.refuse_request(reason, request, None));
        }
        self.admit_bearer_own(route == Route::Logout, request)
            .unwrap_or_else(|| Admission::AnswerLater(self.own_route(route, request)))
    }

    #[inline(always)] // what most requests of users walk through is one function
    fn admit_session<B>(
        self: &Arc<Self>,
        held: Held,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        let considered = self.keeper.consider(&held, facts.now);
        if let Considered::Over { dead } = considered {
            return self.nobody(facts, request, dead);
        }
        if self.is_cross_site(facts, request) {
            return Admission::Answer(self.refuse_request(
                RejectionReason::CrossSite,
                request,
                None,
            ));
        }
        match considered {
            Considered::Serve { served, refresh } => {
                let landing = if refresh { self.refresh_beside(&served) } else { None };
                Admission::Forward(self.let_in(held, served, facts, request, landing))
            }
            Considered::Wait { served } => self.wait_for_refresh(held, served, facts),
            Considered::Over { dead } => self.nobody(facts, request, dead),
        }
    }

    /// Starts a refresh that the request does not wait for.
    #[cold]
    fn refresh_beside(&self, served: &Held) -> Option<Landing> {
        if self.keeper.tasks.is_shutting_down() {
            return None;
        }
        match self.keeper.refresh(served) {
            Departure::Started(landing) => Some(landing),
            _ => None,
        }
    }

    #[cold]
    fn wait_for_refresh(&self, held: Held, served: Held, facts: &Facts) -> Admission {
        let (keeper, brought) = (Arc::clone(&self.keeper), held.clone());
        let wait = Box::pin(async move {
            Awaited::Session(keeper.refresh_first(&brought, served).await.into())
        });
        Admission::Wait(wait, Waiting { brought: Some(held), facts: *facts })
    }

    /// The session of a request is in the store, which may have to be waited for.
    pub(super) fn ask_store<B>(
        self: &Arc<Self>,
        tickets: Tickets,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        if let Some(held) = self.keeper.at_hand(&tickets, facts.now) {
            return self.admit_found(held, facts, request);
        }
        let cross_site = self.is_cross_site(facts, request);
        let keeper = Arc::clone(&self.keeper);
        let Facts { carrier, now, .. } = *facts;
        let ready = Box::pin(async move {
            Awaited::Session(keeper.ready(carrier, tickets, now, cross_site).await)
        });
        Admission::Wait(ready, Waiting { brought: None, facts: *facts })
    }

    /// Whether another site makes use of this browser's session (RFC 9110 §9.2.1 says which methods
    /// are safe). A token is sent by nobody but its holder.
    #[inline]
    fn is_cross_site<B>(&self, facts: &Facts, request: &Request<B>) -> bool {
        facts.carrier == Carrier::Cookie
            && CsrfPolicy::applies(request.method(), facts.upgrade)
            && !self.desk.csrf.allows(request.headers())
    }

    /// A request has waited for its session, or for the verdict on its token.
    pub(crate) fn after_wait<B>(
        self: &Arc<Self>,
        awaited: Awaited,
        waiting: Waiting,
        request: &mut Request<B>,
    ) -> Admission {
        let Waiting { brought, facts } = waiting;
        let facts = &facts;
        let ready = match awaited {
            Awaited::Session(ready) => ready,
            Awaited::Jwt(verdict) => return self.after_verdict(verdict, facts, request),
        };
        match ready {
            Ready::Serve { served, renewed } => {
                let brought = brought.unwrap_or_else(|| served.clone());
                let passage = self.let_in(brought, served, facts, request, None);
                Admission::Forward(passage.renewing(renewed))
            }
            Ready::Nobody { dead } => self.nobody(facts, request, dead),
            Ready::CrossSite => {
                Admission::Answer(self.refuse_request(RejectionReason::CrossSite, request, None))
            }
            Ready::Unavailable(seconds) => self.unavailable(seconds, facts, request),
        }
    }

    /// Who calls cannot be said now.
    pub(super) fn unavailable<B>(
        self: &Arc<Self>,
        seconds: u64,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        // What another site asks for passes nowhere while it cannot be said who asks.
        if facts.route != Route::Optional || self.is_cross_site(facts, request) {
            let reason = RejectionReason::Unavailable;
            return Admission::Answer(self.refuse_request(reason, request, Some(seconds)));
        }
        let origin = self.strip(facts, request, false);
        self.strip_unused_token(request);
        let kind = RequestKind::of(request.method(), request.headers());
        let extensions = request.extensions_mut();
        Passed::mark(extensions, &self.keeper);
        extensions.insert(SessionUnavailable::new(seconds, kind));
        Admission::Forward(Passage::anonymous(origin, true))
    }

    /// Puts the user into the request and takes our cookies out.
    #[inline(always)]
    fn let_in<B>(
        self: &Arc<Self>,
        brought: Held,
        served: Held,
        facts: &Facts,
        request: &mut Request<B>,
        landing: Option<Landing>,
    ) -> Passage {
        let origin = self.strip(facts, request, false);
        if facts.carrier == Carrier::Token {
            // As cookies are: the inner service never sees what signs somebody in.
            self.ignored_schemes.strip_others(request.headers_mut());
        }
        let user = LpUser::new(served, facts.carrier, Arc::clone(&self.keeper));
        request.extensions_mut().insert(user);
        let end_streams = self.ends_streams_of(request.method());
        let optional = facts.route == Route::Optional;
        Passage::user(facts.carrier, brought, landing, optional, origin, end_streams)
    }

    /// Whether the streams in answer to a request of this method end with its caller's session. The
    /// response to a HEAD has no body to end.
    #[inline]
    pub(super) fn ends_streams_of(&self, method: &Method) -> bool {
        self.end_streams && method != Method::HEAD
    }

    /// No session: anonymous where that is allowed, else an answer in the caller's language.
    pub(super) fn nobody<B>(
        self: &Arc<Self>,
        facts: &Facts,
        request: &mut Request<B>,
        dead: bool,
    ) -> Admission {
        if facts.carrier == Carrier::Token {
            let reason = RejectionReason::CredentialRefused;
            return Admission::Answer(self.refuse_request(reason, request, None));
        }
        if facts.route == Route::Optional {
            let origin = self.strip(facts, request, dead);
            Passed::mark(request.extensions_mut(), &self.keeper);
            return Admission::Forward(Passage::anonymous(origin, true));
        }
        match RequestKind::of(request.method(), request.headers()) {
            RequestKind::Navigation => {
                Admission::AnswerLater(self.start_login(request.headers(), request.uri()))
            }
            RequestKind::HeadNavigation => Admission::Answer(self.point_at_login(request.uri())),
            _ => {
                Admission::Answer(self.refuse_request(RejectionReason::NotSignedIn, request, None))
            }
        }
    }

    pub(super) fn refuse_request<B>(
        &self,
        reason: RejectionReason,
        request: &Request<B>,
        retry_after: Option<u64>,
    ) -> Answer {
        let kind = RequestKind::of(request.method(), request.headers());
        self.refuse(reason, kind, request.uri(), retry_after, None)
    }

    /// Takes our cookies out of a request, and notes where a refusal from further in leads.
    #[inline(always)]
    pub(super) fn strip<B>(
        &self,
        facts: &Facts,
        request: &mut Request<B>,
        dead_session: bool,
    ) -> Origin {
        self.keeper.mint.names().strip_traced(request.headers_mut(), &facts.cookies);
        Origin::of(request, facts.cookies.logins || dead_session)
    }
}
