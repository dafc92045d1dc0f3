//! What must hold of cookies, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{Candidates, CookieNames, Glance, MAX_CANDIDATES, Traces};

/// Of `Cookie` fields, one a line, ours are taken out and all others stay, byte for byte and in
/// order, whatever ours are called. Accepted are fields with a cookie of ours by its usual name.
pub fn cookie_header(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    // Their names have much in common with a pending login's, little, and nothing.
    let all = [(true, None), (false, None), (false, Some("lx")), (false, Some("mine"))];
    let [has_ours, ..] = all.map(|(secure, session)| {
        let names = CookieNames::new(secure, "abc123", session);
        ours_are_taken_out(&names, headers.clone())
    });
    has_ours
}

fn ours_are_taken_out(names: &CookieNames, mut headers: HeaderMap) -> bool {
    let Plain { sessions, has_login, foreign } = Plain::of(names, &headers);
    match names.session_candidates(&headers) {
        Candidates::Few(values) => assert_eq!(*values, sessions, "in {headers:?}"),
        Candidates::TooMany => assert!(sessions.len() > MAX_CANDIDATES, "in {headers:?}"),
    }
    let glance = Glance::at(names, headers.get_all(COOKIE), &mut Traces::default());
    if let Some(candidates) = glance.candidates() {
        assert_eq!(candidates.sole(), sessions.first().copied(), "in {headers:?}");
        assert!(sessions.len() <= 1, "in {headers:?}");
    }
    let has_session = !sessions.is_empty();
    let foreign: Vec<_> = foreign.into_iter().map(<[u8]>::to_vec).collect();

    assert_eq!(names.strip(&mut headers).logins, has_login, "in {headers:?}");
    let left = Plain::of(names, &headers);
    assert!(left.sessions.is_empty() && !left.has_login, "ours stayed: {headers:?}");
    assert_eq!(left.foreign, foreign, "a cookie of somebody else was touched");
    let once = headers.clone();
    assert!(!names.strip(&mut headers).logins);
    assert_eq!(headers, once, "there was nothing left to take out");
    has_session || has_login
}

/// What stands between semicolons, without blanks around it: the plain reading.
struct Plain<'a> {
    /// The values of sessions.
    sessions: Vec<&'a [u8]>,
    has_login: bool,
    /// Whatever is not ours.
    foreign: Vec<&'a [u8]>,
}

impl<'a> Plain<'a> {
    fn of(names: &CookieNames, headers: &'a HeaderMap) -> Self {
        let prefix = names.login("");
        let mut all = Self { sessions: Vec::new(), has_login: false, foreign: Vec::new() };
        let fields = headers.get_all(COOKIE).iter();
        for piece in fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')) {
            let (name, value) = match piece.iter().position(|byte| *byte == b'=') {
                Some(end) => (blanks(&piece[..end]), blanks(&piece[end + 1..])),
                None => (&[][..], piece),
            };
            if name == names.session().as_bytes() {
                all.sessions.push(value);
            } else if name.starts_with(prefix.as_bytes()) {
                all.has_login = true;
            } else if !blanks(piece).is_empty() {
                all.foreign.push(blanks(piece));
            }
        }
        all
    }
}

fn blanks(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(first) = bytes.iter().position(|byte| !is_blank(byte)) else { return &[] };
    let last = bytes.iter().rposition(|byte| !is_blank(byte)).unwrap_or(first);
    &bytes[first..=last]
}
