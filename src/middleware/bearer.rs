//! Lets a request in by the token in its `Authorization` header, which alone decides: no cookie makes
//! up for a bad one, nothing is redirected and no cookie set.

use std::sync::Arc;

use http::{Request, header::AUTHORIZATION};

use super::{
    admission::{Admission, Facts},
    shared::Shared,
};
use crate::{
    caller::{Authorization, IgnoredSchemes, RequestKind},
    refresh::{Found, Tickets},
    respond::RejectionReason,
    session::{Candidates, Carrier},
};

impl Shared {
    /// Decides about a request with an `Authorization` header that counts.
    pub(super) fn admit_bearer<B>(
        self: &Arc<Self>,
        facts: Facts,
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
        let facts = Facts { carrier: Carrier::Token, ..facts };
        if !self.keeper.session_tokens || is_jwt(token) {
            return self.nobody(facts, request, false);
        }
        let candidates = Candidates::one(token.as_bytes());
        match &self.keeper.depot {
            Some(depot) => match self.keeper.tickets(depot, Carrier::Token, &candidates) {
                tickets @ Tickets::Some(_) => self.ask_store(tickets, facts, request),
                Tickets::Nobody { .. } | Tickets::TooMany => self.nobody(facts, request, false),
            },
            None => match self.keeper.find(Carrier::Token, &candidates, facts.now) {
                Found::Session(held) => self.admit_session(held, facts, request),
                Found::Nobody { .. } | Found::Ambiguous => self.nobody(facts, request, false),
            },
        }
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
                let token = zeroize::Zeroizing::new(token.to_owned());
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
fn is_jwt(token: &str) -> bool {
    memchr::memchr(b'.', token.as_bytes()).is_some()
}

/// Takes the token that has let a request in out of it, as cookies are: the inner service never sees
/// what signs somebody in. What a gate in front has put there stays.
pub(super) fn strip_token<B>(request: &mut Request<B>, ignored: &IgnoredSchemes) {
    let headers = request.headers_mut();
    let others: Vec<_> =
        headers.get_all(AUTHORIZATION).iter().filter(|it| ignored.ignores(it)).cloned().collect();
    headers.remove(AUTHORIZATION);
    for other in others {
        headers.append(AUTHORIZATION, other);
    }
}
