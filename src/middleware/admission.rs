//! Lets a request in, with or without a user, or says why not.

use std::sync::Arc;

use http::Request;

use super::{
    outgoing::{Origin, Passage},
    route::Route,
    shared::{Answer, Shared},
};
use crate::{
    caller::{Authorization, CsrfPolicy, Passed, Presence, RequestKind, SessionUnavailable},
    clock::Timestamp,
    error::BoxFuture,
    refresh::{Awaited, Considered, Departure, Found},
    respond::RejectionReason,
    session::Held,
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
    /// A refresh comes first; then it is forwarded or answered.
    Wait(BoxFuture<'static, Awaited>, Expired),
}

/// A request whose session is being refreshed first.
#[derive(Debug)]
pub(crate) struct Expired {
    /// What the request has brought.
    held: Held,
    route: Route,
}

impl Shared {
    /// Decides about a request, and prepares it for the inner service where it is let through.
    pub(crate) fn admit<B>(self: &Arc<Self>, request: &mut Request<B>) -> Admission {
        let route = self.routes.route(request.method(), request.uri().path());
        match route {
            Route::Callback | Route::Login | Route::Logout => {
                return self.admit_own(route, request);
            }
            Route::Public | Route::Optional | Route::Protected => {}
        }
        if Passed::already(request.extensions_mut(), &self.keeper) {
            return Admission::Forward(Passage::nothing());
        }
        if route == Route::Public
            || self.routes.passes_as_preflight(request.method(), request.headers())
        {
            let origin = Origin { login_helps: false, ..self.strip(request, false) };
            request.extensions_mut().insert(Presence);
            return Admission::Forward(Passage::anonymous(origin, false));
        }
        if Authorization::of(request.headers(), &self.ignored_schemes) == Authorization::Refused {
            return Admission::Answer(self.refuse_request(
                RejectionReason::CredentialRefused,
                request,
                None,
            ));
        }
        let now = self.keeper.now();
        let found = {
            let candidates = self.keeper.mint.names().session_candidates(request.headers());
            self.keeper.find(&candidates, now)
        };
        match found {
            Found::Session(held) => self.admit_session(held, route, request, now),
            Found::Ambiguous => self.nobody(route, request, false),
            Found::Nobody { dead } => self.nobody(route, request, dead),
        }
    }

    /// One of our own paths. An `Authorization` header alone decides there too: with one that signs
    /// nobody in, nothing is redirected and no cookie set.
    fn admit_own<B>(self: &Arc<Self>, route: Route, request: &Request<B>) -> Admission {
        let authorization = Authorization::of(request.headers(), &self.ignored_schemes);
        if authorization == Authorization::Refused {
            let reason = RejectionReason::CredentialRefused;
            let answer = self.refuse(reason, RequestKind::Navigation, request.uri(), None);
            return Admission::Answer(answer);
        }
        Admission::AnswerLater(self.own_route(route, request))
    }

    fn admit_session<B>(
        self: &Arc<Self>,
        held: Held,
        route: Route,
        request: &mut Request<B>,
        now: Timestamp,
    ) -> Admission {
        let considered = self.keeper.consider(&held, now);
        if let Considered::Over { dead } = considered {
            return self.nobody(route, request, dead);
        }
        if CsrfPolicy::applies(request.method(), request.headers())
            && !self.desk.csrf.allows(request.headers())
        {
            return Admission::Answer(self.refuse_request(
                RejectionReason::CrossSite,
                request,
                None,
            ));
        }
        match considered {
            Considered::Serve { served, refresh } => {
                let landing = if refresh && !self.keeper.tasks.is_shutting_down() {
                    match self.keeper.refresh(&served) {
                        Departure::Started(landing) => Some(landing),
                        _ => None,
                    }
                } else {
                    None
                };
                Admission::Forward(self.let_in(&held, served, route, request, landing))
            }
            Considered::Wait { served } => {
                let keeper = Arc::clone(&self.keeper);
                let brought = held.clone();
                let wait = Box::pin(async move { keeper.refresh_first(&brought, served).await });
                Admission::Wait(wait, Expired { held, route })
            }
            Considered::Over { dead } => self.nobody(route, request, dead),
        }
    }

    /// A request has waited for its refresh.
    pub(crate) fn after_wait<B>(
        self: &Arc<Self>,
        awaited: Awaited,
        expired: &Expired,
        request: &mut Request<B>,
    ) -> Admission {
        match awaited {
            Awaited::Serve(served) => {
                Admission::Forward(self.let_in(&expired.held, served, expired.route, request, None))
            }
            Awaited::Over { dead } => self.nobody(expired.route, request, dead),
            Awaited::Unavailable(seconds) if expired.route == Route::Optional => {
                let origin = self.strip(request, false);
                let kind = RequestKind::of(request.method(), request.headers());
                let extensions = request.extensions_mut();
                extensions.insert(Presence);
                extensions.insert(SessionUnavailable::new(seconds, kind));
                extensions.insert(Passed::new(Arc::clone(&self.keeper)));
                Admission::Forward(Passage::anonymous(origin, true))
            }
            Awaited::Unavailable(seconds) => Admission::Answer(self.refuse_request(
                RejectionReason::Unavailable,
                request,
                Some(seconds),
            )),
        }
    }

    /// Puts the user into the request and takes our cookies out.
    fn let_in<B>(
        self: &Arc<Self>,
        brought: &Held,
        served: Held,
        route: Route,
        request: &mut Request<B>,
        landing: Option<crate::refresh::Landing>,
    ) -> Passage {
        let origin = self.strip(request, false);
        let user = LpUser::new(served, Arc::clone(&self.keeper));
        request.extensions_mut().insert(user);
        Passage::user(brought.clone(), landing, route == Route::Optional, origin)
    }

    /// No session: anonymous where that is allowed, else an answer in the caller's language.
    fn nobody<B>(
        self: &Arc<Self>,
        route: Route,
        request: &mut Request<B>,
        dead: bool,
    ) -> Admission {
        if route == Route::Optional {
            let origin = self.strip(request, dead);
            request.extensions_mut().insert(Presence);
            request.extensions_mut().insert(Passed::new(Arc::clone(&self.keeper)));
            return Admission::Forward(Passage::anonymous(origin, true));
        }
        match RequestKind::of(request.method(), request.headers()) {
            RequestKind::Navigation => {
                Admission::AnswerLater(self.start_login(request.headers(), request.uri(), dead))
            }
            RequestKind::HeadNavigation => Admission::Answer(self.point_at_login(request.uri())),
            _ => {
                Admission::Answer(self.refuse_request(RejectionReason::NotSignedIn, request, None))
            }
        }
    }

    fn refuse_request<B>(
        &self,
        reason: RejectionReason,
        request: &Request<B>,
        retry_after: Option<u64>,
    ) -> Answer {
        let kind = RequestKind::of(request.method(), request.headers());
        self.refuse(reason, kind, request.uri(), retry_after)
    }

    /// Takes our cookies out of a request, and notes where a refusal from further in leads.
    fn strip<B>(&self, request: &mut Request<B>, dead_session: bool) -> Origin {
        let had_logins = self.keeper.mint.names().strip(request.headers_mut());
        Origin {
            uri: request.uri().clone(),
            had_cookies: had_logins || dead_session,
            login_helps: true,
        }
    }
}
