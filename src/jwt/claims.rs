//! What an id_token claims (OpenID Connect Core §2), checked (§3.1.3.7).

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::{error::Refusal, rules::IdTokenRules, token::Object};
use crate::clock::Timestamp;

/// How far Sentinel's clock and ours may be apart, in either direction.
const LEEWAY: Duration = Duration::from_secs(60);

/// Sentinel's id_tokens live for ten minutes, and are looked at as soon as they come; an hour leaves
/// room for change and none for a token that somebody kept.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// User ids of LivePerson are ten digits or a UUID.
const MAX_SUBJECT_LEN: usize = 256;

/// The end of the year 9999. A later date is a mistake or an attempt, and no date at all.
const LAST_SECOND: f64 = 253_402_300_799.0;

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
        let issuer = payload.text("iss").ok_or(Refusal::Issuer)?;
        if !rules.is_issuer(issuer) {
            return Err(Refusal::Issuer);
        }
        check_audience(payload, &rules.client_id)?;
        let (issued_at, expires_at) = check_times(payload, now)?;
        check_access_token_hash(payload, access_token)?;
        Ok(Self {
            subject: subject(payload)?.into(),
            issuer: issuer.into(),
            is_admin: role(payload, "is_admin")?,
            is_lpa: role(payload, "is_lpa")?,
            issued_at,
            expires_at,
            signature_checked: false,
        })
    }
}

/// Accepts this client as the one audience, alone or as a list of one, and as the one `azp`.
fn check_audience(payload: &Object, client_id: &str) -> Result<(), Refusal> {
    let audience = match payload.get("aud") {
        Some(Value::Array(list)) if list.len() == 1 => list.first(),
        other => other,
    };
    if audience.and_then(Value::as_str) != Some(client_id) {
        return Err(Refusal::Audience);
    }
    match payload.get("azp") {
        None => Ok(()),
        Some(Value::String(party)) if party == client_id => Ok(()),
        Some(_) => Err(Refusal::AuthorizedParty),
    }
}

/// Gives `iat` and `exp` if the token is valid now, within [`LEEWAY`].
///
/// The bounds are those of RFC 7519 §4.1: a token is no longer valid *on* the moment `exp` plus
/// leeway, and already valid on the moment `iat` or `nbf` less leeway.
fn check_times(payload: &Object, now: Timestamp) -> Result<(Timestamp, Timestamp), Refusal> {
    let expires_at = time(payload, "exp")?.ok_or(Refusal::Time)?;
    let issued_at = time(payload, "iat")?.ok_or(Refusal::Time)?;
    let not_before = time(payload, "nbf")?;
    let soon = now.plus(LEEWAY);
    if expires_at.plus(LEEWAY) <= now {
        Err(Refusal::Expired)
    } else if issued_at > soon {
        Err(Refusal::IssuedInFuture)
    } else if not_before.is_some_and(|start| start > soon) {
        Err(Refusal::NotYetValid)
    } else if now.since(issued_at) >= MAX_AGE {
        Err(Refusal::TooOld)
    } else {
        Ok((issued_at, expires_at))
    }
}

/// Reads a NumericDate (RFC 7519 §2): seconds since the epoch, whole or not; less than a millisecond
/// is dropped.
fn time(payload: &Object, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = payload.get(name) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(secs) if (0.0..=LAST_SECOND).contains(&secs) => {
            Ok(Some(Timestamp::from_millis((secs * 1000.0) as u64)))
        }
        _ => Err(Refusal::Time),
    }
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
