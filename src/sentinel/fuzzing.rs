//! What must hold of LivePerson's answers, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use url::Host;

use super::{SentinelSettings, domain::read_answer, throttle, token};

/// Tokens that are accepted can be sent, and their life is bounded.
pub fn token_answer(data: &[u8]) -> bool {
    let _ = token::error_code(data);
    let Ok(tokens) = token::parse(data) else { return false };
    let access = tokens.access_token.expose_secret();
    assert!(!access.is_empty() && access.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(HeaderValue::try_from(format!("Bearer {access}")).is_ok());
    if let Some(refresh) = &tokens.refresh_token {
        let refresh = refresh.expose_secret();
        assert!(!refresh.is_empty() && refresh.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    }
    assert!(tokens.expires_in.is_none_or(|life| life <= Duration::from_secs(400 * 24 * 3600)));
    assert!(tokens.id_token.is_none_or(|token| !token.is_empty()));
    true
}

/// A host that is accepted from the real Domain API is LivePerson's, and asked over https.
pub fn domain_answer(data: &[u8]) -> bool {
    let api = SentinelSettings::DOMAIN_API.parse().expect("an origin");
    let account = "12345678".parse().expect("an account id");
    let suffixes = SentinelSettings::HOST_SUFFIXES.map(Into::into);
    let Ok(origin) = read_answer(data, &account, &api, &suffixes) else { return false };
    let Some(Host::Domain(name)) = origin.host() else { panic!("{origin} is no name") };
    let is_below = |suffix: &str| name == suffix || name.ends_with(&format!(".{suffix}"));
    assert!(SentinelSettings::HOST_SUFFIXES.into_iter().any(is_below), "{origin}");
    assert!(origin.is_https(), "{origin}");
    assert!(!origin.as_str()["https://".len()..].contains(['/', '?', '#', '@', '\\', '%']));
    true
}

/// A `Retry-After` that is understood asks for 1 to 60 s.
pub fn retry_after(data: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(data) else { return false };
    let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let Some(pause) = throttle::retry_after(&headers, now) else { return false };
    assert!((Duration::from_secs(1)..=Duration::from_secs(60)).contains(&pause), "{pause:?}");
    true
}
