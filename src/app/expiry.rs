//! How long a token lives: from what the answer says, or the token itself.

use std::time::Duration;

use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// The life of a token of which nobody says how long it lives: short enough for any that was seen.
const ASSUMED: Duration = Duration::from_secs(5 * 60);

/// Longer than any App-JWT should live. A lifetime that was meant in another unit costs one call a
/// day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The life, counted from `sent_at`, when it was asked for.
///
/// The earlier end counts, where the answer and the token's `exp` (RFC 7519 §4.1.4) name two. That only
/// tells when to ask for another: nothing is verified here, and nothing else of the token is read.
pub(super) fn life(expires_in: Option<Duration>, token: &str, sent_at: Timestamp) -> Duration {
    let by_token = expiry(token).map(|end| end.since(sent_at));
    let stated = match (expires_in, by_token) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    stated.unwrap_or(ASSUMED).min(LONGEST)
}

/// The `exp` of a JWT; `None` for whatever has none that can be read.
fn expiry(token: &str) -> Option<Timestamp> {
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode_to_vec(payload.as_bytes()).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    let seconds = match claims.get("exp")? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok()?,
        _ => return None,
    };
    let since_epoch = Duration::try_from_secs_f64(seconds).ok()?;
    Some(Timestamp::default().plus(since_epoch))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_767_225_600);

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode_to_string(payload))
    }

    #[test]
    fn the_earlier_of_two_ends_counts_and_either_goes_before_a_guess() {
        let an_hour = jwt(r#"{"exp":1767229200}"#);
        for (what, expires_in, token, expected) in [
            ("the answer", Some(600), &*an_hour, 600),
            ("over already", Some(0), &an_hour, 0),
            ("meant in milliseconds", Some(3_600_000), &an_hour, 3600),
            ("so too, of an opaque token", Some(3_600_000), "opaque", 24 * 3600),
            ("the token", None, &an_hour, 3600),
            ("in digits", None, &jwt(r#"{"exp":"1767229200"}"#), 3600),
            ("with a fraction", None, &jwt(r#"{"exp":1767225660.0}"#), 60),
            ("expired", None, &jwt(r#"{"exp":1767225599}"#), 0),
            ("for ever", None, &jwt(r#"{"exp":1e300}"#), 300),
            ("for long", None, &jwt(r#"{"exp":99999999999}"#), 24 * 3600),
            ("negative", None, &jwt(r#"{"exp":-1}"#), 300),
            ("no number", None, &jwt(r#"{"exp":"soon"}"#), 300),
            ("an empty text", None, &jwt(r#"{"exp":""}"#), 300),
            ("a list", None, &jwt(r#"{"exp":[1767229200]}"#), 300),
            ("no claim", None, &jwt("{}"), 300),
            ("no object", None, &jwt("[1767229200]"), 300),
            ("no JSON", None, &jwt("exp"), 300),
            ("no base64url", None, "a.ä.c", 300),
            ("no JWT", None, "opaque", 300),
        ] {
            let found = life(expires_in.map(Duration::from_secs), token, NOW);
            assert_eq!(found, Duration::from_secs(expected), "{what}");
        }
    }

    proptest! {
        /// X10.
        #[test]
        fn no_token_makes_it_panic_or_live_for_longer_than_a_day(
            token in "[ -~]{0,40}(\\.[ -~]{0,40}){0,4}",
            payload in "\\{\"exp\":[-+0-9.eE\"\\[\\]{}]{0,20}\\}",
        ) {
            for token in [token, jwt(&payload)] {
                prop_assert!(life(None, &token, NOW) <= LONGEST);
            }
        }
    }
}
