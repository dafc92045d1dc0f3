//! What a token claims that a caller presents: which kind it is, and by whose rules it is read.

use std::sync::Arc;

use super::{
    app_claims::AppClaims,
    checks,
    error::Refusal,
    id_claims::IdClaims,
    rules::{BearerRules, IdTokenRules},
    token::Object,
};
use crate::clock::Timestamp;

/// Who calls, by a token that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BearerClaims {
    /// A user, by an id_token of our client.
    User(Arc<IdClaims>),
    /// A service, by an App-JWT of its own.
    App(Arc<AppClaims>),
}

impl BearerClaims {
    /// Checks everything that a payload says, at the time `now`; the signature is still to be
    /// checked. An id_token is checked as one of a login is, in the same order.
    pub(super) fn check(
        payload: &Object,
        id_tokens: &IdTokenRules,
        rules: &BearerRules,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        checks::issuer(payload, id_tokens)?;
        match Kind::of(payload, id_tokens, rules)? {
            Kind::IdToken => {
                IdClaims::check(payload, id_tokens, None, now).map(Arc::new).map(Self::User)
            }
            Kind::App => {
                AppClaims::check(payload, id_tokens, rules, now).map(Arc::new).map(Self::App)
            }
        }
    }

    /// The first moment at which the same token would be refused.
    pub(crate) fn valid_until(&self) -> Timestamp {
        match self {
            Self::User(claims) => claims.valid_until(),
            Self::App(claims) => claims.valid_until(),
        }
    }
}

enum Kind {
    IdToken,
    App,
}

impl Kind {
    /// Goes by the audience alone: an id_token is for our client, an App-JWT for our account.
    fn of(
        payload: &Object,
        id_tokens: &IdTokenRules,
        rules: &BearerRules,
    ) -> Result<Self, Refusal> {
        let audience = checks::audience(payload).ok_or(Refusal::Audience)?;
        if *id_tokens.client_id == *audience {
            rules.id_tokens.then_some(Self::IdToken).ok_or(Refusal::NotAccepted)
        } else if rules.account == *audience {
            (!rules.apps.is_empty()).then_some(Self::App).ok_or(Refusal::NotAccepted)
        } else {
            Err(Refusal::Audience)
        }
    }
}
