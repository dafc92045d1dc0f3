//! What an App-JWT claims: LivePerson's access token of a service (RFC 6749 §4.4), checked.

use std::time::Duration;

use serde_json::Value;

use super::{
    checks::{self, Times},
    error::Refusal,
    rules::{BearerRules, IdTokenRules},
    token::Object,
};
use crate::{account::AccountId, clock::Timestamp, scope::is_scope};

/// App-JWTs are documented to live for an hour; a day leaves room for change.
const MAX_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// A delegated token has it: with such a token a service acts for a consumer, not for itself.
const CONSUMER: &str = "https://liveperson.com/consumer_id";

/// Scopes seen in public have up to 35 letters, and tokens a handful of them.
const MAX_SCOPE_LEN: usize = 4 * 1024;
const MAX_SCOPES: usize = 128;

/// The claims of an App-JWT that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppClaims {
    /// The service that calls (`azp`), one of those that are accepted.
    pub(crate) client_id: Box<str>,
    /// The account that it calls for (`aud`): ours.
    pub(crate) account: AccountId,
    /// What LivePerson lets it do, in the token's order; empty if nothing is said.
    pub(crate) scopes: Box<[Box<str>]>,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
}

impl AppClaims {
    /// Checks everything that a payload says, at the time `now`; the signature is still to be
    /// checked.
    ///
    /// `id_tokens` says who issues tokens of either kind. A claim of the wrong JSON type is refused, never taken for an absent one.
    pub(super) fn check(
        payload: &Object,
        id_tokens: &IdTokenRules,
        rules: &BearerRules,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        checks::issuer(payload, id_tokens)?;
        if checks::audience(payload) != Some(rules.account.as_str()) {
            return Err(Refusal::Audience);
        }
        let client_id = payload.text("azp").filter(|azp| rules.accepts_app(azp));
        let client_id = client_id.ok_or(Refusal::AuthorizedParty)?;
        if payload.get(CONSUMER).is_some() {
            return Err(Refusal::Delegated);
        }
        let Times { issued_at, expires_at } = Times::check(payload, now)?;
        if expires_at.since(issued_at) > MAX_LIFE {
            return Err(Refusal::LifeTooLong);
        }
        Ok(Self {
            client_id: client_id.into(),
            account: rules.account.clone(),
            scopes: scopes(payload)?,
            issued_at,
            expires_at,
        })
    }

    /// The first moment at which the same token would be refused.
    pub(crate) fn valid_until(&self) -> Timestamp {
        checks::end(self.expires_at)
    }
}

/// Reads `scope`: names with one space between them (RFC 6749 §3.3).
///
/// The grammar knows no empty list; here an empty text is one, for it grants nothing either.
fn scopes(payload: &Object) -> Result<Box<[Box<str>]>, Refusal> {
    let text = match payload.get("scope") {
        None => "",
        Some(Value::String(text)) if text.len() <= MAX_SCOPE_LEN => text,
        Some(_) => return Err(Refusal::Scope),
    };
    if text.is_empty() {
        return Ok(Box::default());
    }
    let mut scopes = Vec::new();
    for scope in text.split(' ') {
        if scopes.len() == MAX_SCOPES || !is_scope(scope) {
            return Err(Refusal::Scope);
        }
        scopes.push(scope.into());
    }
    Ok(scopes.into())
}
