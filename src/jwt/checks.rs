//! What the claims of every kind of token have in common (RFC 7519 §4.1).

use std::time::Duration;

use serde_json::Value;

use super::{error::Refusal, rules::IdTokenRules, token::Object};
use crate::clock::Timestamp;

/// How far Sentinel's clock and ours may be apart, in either direction.
const LEEWAY: Duration = Duration::from_secs(60);

/// The end of the year 9999. A later date is a mistake or an attempt, and no date at all.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Gives `iss` if it is the right one.
pub(super) fn issuer<'a>(payload: &'a Object, rules: &IdTokenRules) -> Result<&'a str, Refusal> {
    payload.text("iss").filter(|issuer| rules.is_issuer(issuer)).ok_or(Refusal::Issuer)
}

/// The one audience, alone or as a list of one.
pub(super) fn audience(payload: &Object) -> Option<&str> {
    match payload.get("aud")? {
        Value::Array(list) if list.len() == 1 => list.first()?.as_str(),
        other => other.as_str(),
    }
}

/// When a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
}

impl Times {
    /// Gives `iat` and `exp` if the token is valid now, within [`LEEWAY`].
    ///
    /// The bounds are those of RFC 7519 §4.1: a token is no longer valid *on* the moment `exp` plus
    /// leeway, and already valid on the moment `iat` or `nbf` less leeway.
    pub(super) fn check(payload: &Object, now: Timestamp) -> Result<Self, Refusal> {
        let expires_at = time(payload, "exp")?.ok_or(Refusal::Time)?;
        let issued_at = time(payload, "iat")?.ok_or(Refusal::Time)?;
        let not_before = time(payload, "nbf")?;
        let soon = now.plus(LEEWAY);
        if end(expires_at) <= now {
            Err(Refusal::Expired)
        } else if issued_at > soon {
            Err(Refusal::IssuedInFuture)
        } else if not_before.is_some_and(|start| start > soon) {
            Err(Refusal::NotYetValid)
        } else {
            Ok(Self { issued_at, expires_at })
        }
    }
}

/// The first moment at which a token is no longer valid.
pub(super) fn end(expires_at: Timestamp) -> Timestamp {
    expires_at.plus(LEEWAY)
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
