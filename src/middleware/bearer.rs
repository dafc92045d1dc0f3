//! Lets a request in by the token in its `Authorization` header, which alone decides: no cookie makes
//! up for a bad one, nothing is redirected and no cookie set.

use std::sync::Arc;

use http::{Request, header::AUTHORIZATION};

use super::{
    admission::{Admission, Awaited, Facts, Waiting},
    outgoing::Passage,
    route::Route,
    shared::Shared,
};
use crate::{
    caller::{Authorization, Passed, RequestKind},
    clock::Timestamp,
    error::{BoxError, BoxFuture},
    jwt::{BearerClaims, BearerError},
    refresh::{Found, Tickets},
    respond::RejectionReason,
    session::{Candidates, Carrier},
    user::{LpApp, LpUser},
};

/// When keys that cannot be had may be there, in seconds.
const KEYS_RETRY_AFTER: u64 = 5;

/// What is known of a JWT.
enum Judged {
    /// It was believed before.
    Now(Arc<BearerClaims>),
    /// It has to be verified.
    Later(BoxFuture<'static, Awaited>),
}

impl Shared {
    /// Decides about a request with an `Authorization` header that counts.
    pub(super) fn admit_bearer<B>(
        self: &Arc<Self>,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        let query = request.uri().query();
        let token = match Authorization::of(request.headers(), query, &self.ignored_schemes) {
            Authorization::Bearer(token) => token,
            other => {
                let reason = refusal_of(other);
                return Admission::Answer(self.refuse_request(reason, request, None));
            }
        };
        let facts = &Facts { carrier: Carrier::Token, ..*facts };
        if is_jwt(token) {
            return match self.judge_jwt(token, facts.now) {
                None => self.nobody(facts, request, false),
                Some(Judged::Now(claims)) => self.let_in_by(&claims, facts, request),
                Some(Judged::Later(verdict)) => {
                    Admission::Wait(verdict, Waiting { brought: None, facts: *facts })
                }
            };
        }
        if !self.keeper.session_tokens {
            return self.nobody(facts, request, false);
        }
        let candidates = Candidates::one(token);
        match &self.keeper.depot {
            Some(depot) => match self.keeper.tickets(depot, Carrier::Token, &candidates) {
                tickets @ Tickets::Some(_) => self.ask_store(tickets, facts, request),
                Tickets::Nobody { .. } | Tickets::TooMany => self.nobody(facts, request, false),
            },
            None => match self.keeper.find(Carrier::Token, &candidates, facts.now) {
                Found::Session(held) => self.admit_found(held, facts, request),
                Found::Nobody { .. } | Found::Ambiguous => self.nobody(facts, request, false),
            },
        }
    }

    /// What is known of a JWT; `None` if it lets nobody in.
    fn judge_jwt(&self, token: &[u8], now: Timestamp) -> Option<Judged> {
        let (jwts, token) = (self.jwts.as_ref()?, std::str::from_utf8(token).ok()?);
        if let Some(claims) = jwts.lookup(token, now) {
            return Some(Judged::Now(claims));
        }
        let (jwts, keeper) = (Arc::clone(jwts), Arc::clone(&self.keeper));
        let token = zeroize::Zeroizing::new(token.to_owned());
        Some(Judged::Later(Box::pin(async move {
            let host = async {
                let host = keeper.sentinel.host(keeper.mint.account()).await;
                host.map(|host| host.as_str().to_owned()).map_err(BoxError::from)
            };
            Awaited::Jwt(jwts.verify(&token, host).await)
        })))
    }

    /// A JWT has been verified.
    pub(super) fn after_verdict<B>(
        self: &Arc<Self>,
        verdict: Result<Arc<BearerClaims>, BearerError>,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        match verdict {
            Ok(claims) => self.let_in_by(&claims, facts, request),
            Err(error @ BearerError::Refused(_)) => {
                tracing::debug!(reason = error.as_str(), "bearer token refused");
                self.nobody(facts, request, false)
            }
            Err(error @ BearerError::KeysUnavailable(_)) => {
                let error: &dyn std::error::Error = &error;
                // That keys cannot be had is told where they are fetched; here strangers write.
                tracing::debug!(error, "who calls by a bearer token cannot be said");
                self.unavailable(KEYS_RETRY_AFTER, facts, request)
            }
        }
    }

    /// Takes a session token out of a request that nobody is let in by: what signs somebody in is not for
    /// the inner service. Whatever else stands there is its own.
    pub(super) fn strip_unused_token<B>(&self, request: &mut Request<B>) {
        if !request.headers().contains_key(AUTHORIZATION) {
            return;
        }
        let is_ours = |value| match Authorization::parse(value) {
            Authorization::Bearer(token) => self.keeper.mint.looks_like_token(token),
            _ => false,
        };
        if request.headers().get_all(AUTHORIZATION).iter().any(is_ours) {
            self.ignored_schemes.strip_others(request.headers_mut());
        }
    }

    /// Puts the user or the application that a JWT names into the request. The token itself stays
    /// there: it is LivePerson's, and the inner service may have use for it.
    fn let_in_by<B>(
        self: &Arc<Self>,
        claims: &BearerClaims,
        facts: &Facts,
        request: &mut Request<B>,
    ) -> Admission {
        let origin = self.strip(facts, request, false);
        let keeper = Arc::clone(&self.keeper);
        let extensions = request.extensions_mut();
        match claims {
            BearerClaims::User(claims) => {
                extensions.insert(LpUser::by_id_token(Arc::clone(claims), keeper));
            }
            BearerClaims::App(claims) => {
                Passed::mark(extensions, &keeper);
                extensions.insert(LpApp::new(Arc::clone(claims), keeper));
            }
        }
        let ends_at = claims.valid_until();
        let end_streams = self.ends_streams_of(request.method());
        let optional = facts.route == Route::Optional;
        Admission::Forward(Passage::by_jwt(ends_at, optional, origin, end_streams))
    }

    /// The same on one of our own paths: only a logout takes a token.
    pub(super) fn admit_bearer_own<B>(
        self: &Arc<Self>,
        is_logout: bool,
        request: &Request<B>,
    ) -> Option<Admission> {
        let query = request.uri().query();
        let kind = RequestKind::of(request.method(), request.headers());
        let reason = match Authorization::of(request.headers(), query, &self.ignored_schemes) {
            Authorization::Absent => return None,
            Authorization::Bearer(token)
                if is_logout && self.keeper.session_tokens && !is_jwt(token) =>
            {
                let (shared, method) = (Arc::clone(self), request.method().clone());
                let token = zeroize::Zeroizing::new(token.to_vec());
                return Some(Admission::AnswerLater(Box::pin(async move {
                    let reply = shared.desk.log_out_bearer(&method, &token).await;
                    shared.reply(reply, kind)
                })));
            }
            other => refusal_of(other),
        };
        // Pages of our own paths are for people, whoever asks.
        let kind = RequestKind::Navigation;
        Some(Admission::Answer(self.refuse(reason, kind, request.uri(), None, None)))
    }
}

/// Why an `Authorization` header lets nobody in.
fn refusal_of(authorization: Authorization<'_>) -> RejectionReason {
    match authorization {
        Authorization::Ambiguous => RejectionReason::AmbiguousCredential,
        Authorization::Unsupported => RejectionReason::UnsupportedCredential,
        Authorization::Absent | Authorization::Bearer(_) | Authorization::Malformed => {
            RejectionReason::CredentialRefused
        }
    }
}

/// Whether a token has the dots of a JWT (RFC 7519 §3); session tokens have none.
fn is_jwt(token: &[u8]) -> bool {
    memchr::memchr(b'.', token).is_some()
}
