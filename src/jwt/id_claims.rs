//! What an id_token claims (OpenID Connect Core §2), checked (§3.1.3.7).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{
    checks::{self, Times},
    error::Refusal,
    rules::IdTokenRules,
    token::Object,
};
use crate::clock::Timestamp;

/// Sentinel's id_tokens live for ten minutes; an hour leaves room for change and none for a token that
/// somebody kept, whatever its `exp` says.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// User ids of LivePerson are ten digits or a UUID.
const MAX_SUBJECT_LEN: usize = 256;

/// The claims of a token that was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdClaims {
    /// The user's id, as Sentinel spells it.
    pub(crate) subject: Box<str>,
    pub(crate) issuer: Box<str>,
    /// The user has the administrator role; `false` if nothing is said.
    pub(crate) is_admin: bool,
    /// The user is LivePerson's own staff; `false` if nothing is said.
    pub(crate) is_lpa: bool,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// A published key verified the signature; otherwise only TLS vouches for the token.
    pub(crate) signature_checked: bool,
}

impl IdClaims {
    /// Checks everything that a payload says, at the time `now`; the signature is still to be
    /// checked.
    ///
    /// A claim of the wrong JSON type is refused, never taken for an absent one. `at_hash` is
    /// compared if there is one and `access_token` is known (§3.1.3.8 leaves it optional).
    pub(super) fn check(
        payload: &Object,
        rules: &IdTokenRules,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let issuer = checks::issuer(payload, rules)?;
        check_audience(payload, &rules.client_id)?;
        let times = Times::check(payload, now)?;
        check_age(times, now)?;
        check_access_token_hash(payload, access_token)?;
        Ok(Self {
            subject: subject(payload)?.into(),
            issuer: issuer.into(),
            is_admin: role(payload, "is_admin")?,
            is_lpa: role(payload, "is_lpa")?,
            issued_at: times.issued_at,
            expires_at: times.expires_at,
            signature_checked: false,
        })
    }

    /// The first moment at which the same token would be refused.
    pub(crate) fn valid_until(&self) -> Timestamp {
        checks::end(self.expires_at).min(self.issued_at.plus(MAX_AGE))
    }
}

/// Accepts this client as the one audience and as the one `azp`.
fn check_audience(payload: &Object, client_id: &str) -> Result<(), Refusal> {
    if checks::audience(payload) != Some(client_id) {
        return Err(Refusal::Audience);
    }
    match payload.get("azp") {
        None => Ok(()),
        Some(Value::String(party)) if party == client_id => Ok(()),
        Some(_) => Err(Refusal::AuthorizedParty),
    }
}

fn check_age(times: Times, now: Timestamp) -> Result<(), Refusal> {
    if now.since(times.issued_at) >= MAX_AGE { Err(Refusal::TooOld) } else { Ok(()) }
}

fn check_access_token_hash(payload: &Object, access_token: Option<&str>) -> Result<(), Refusal> {
    match (payload.get("at_hash"), access_token) {
        (None, _) | (Some(Value::String(_)), None) => Ok(()),
        (Some(Value::String(hash)), Some(token)) if *hash == access_token_hash(token) => Ok(()),
        _ => Err(Refusal::AccessTokenHash),
    }
}

/// The left half of the access token's SHA-256, in base64url (OpenID Connect Core §3.1.3.6).
fn access_token_hash(access_token: &str) -> String {
    let hash = digest(&SHA256, access_token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(left)
}

fn subject(payload: &Object) -> Result<&str, Refusal> {
    payload
        .text("sub")
        .filter(|sub| !sub.is_empty() && sub.len() <= MAX_SUBJECT_LEN)
        .filter(|sub| !sub.contains(char::is_control))
        .ok_or(Refusal::Subject)
}

fn role(payload: &Object, name: &str) -> Result<bool, Refusal> {
    match payload.get(name) {
        None => Ok(false),
        Some(Value::Bool(role)) => Ok(*role),
        Some(_) => Err(Refusal::Role),
    }
}
