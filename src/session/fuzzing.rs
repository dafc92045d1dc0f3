//! What must hold of cookies, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{Candidates, CookieNames, MAX_CANDIDATES};

/// Of `Cookie` fields, one a line, ours are taken out and all others stay, byte for byte and in
/// order. Accepted are fields with a cookie of ours.
pub fn cookie_header(data: &[u8]) -> bool {
    let names = CookieNames::new(true, "abc123", None);
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let before = foreign(&names, &headers);
    let had_session = match names.session_candidates(&headers) {
        Candidates::Few(values) => {
            assert!(values.len() <= MAX_CANDIDATES);
            !values.is_empty()
        }
        Candidates::TooMany => true,
    };
    let had_login = names.login_cookies(&headers).next().is_some();
    let stripped_login = names.strip(&mut headers).logins;
    assert!(stripped_login || !had_login);
    assert!(names.session_candidates(&headers).is_empty(), "ours stayed: {headers:?}");
    assert_eq!(names.login_cookies(&headers).next(), None, "ours stayed: {headers:?}");
    assert_eq!(foreign(&names, &headers), before, "a cookie of somebody else was touched");
    let once = headers.clone();
    assert!(!names.strip(&mut headers).logins);
    assert_eq!(headers, once, "there was nothing left to take out");
    had_session || had_login
}

/// The pieces that are not ours, without blanks around them.
fn foreign(names: &CookieNames, headers: &HeaderMap) -> Vec<Vec<u8>> {
    let prefix = names.login("");
    let is_ours = |piece: &[u8]| {
        let Some(end) = piece.iter().position(|byte| *byte == b'=') else { return false };
        let name = blanks(&piece[..end]);
        name == names.session().as_bytes() || name.starts_with(prefix.as_bytes())
    };
    headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b';'))
        .filter(|piece| !is_ours(piece))
        .map(|piece| blanks(piece).to_vec())
        .filter(|piece| !piece.is_empty())
        .collect()
}

fn blanks(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(first) = bytes.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let last = bytes.iter().rposition(|byte| !is_blank(byte)).unwrap_or(first);
    &bytes[first..=last]
}
