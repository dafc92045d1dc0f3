//! Our cookies on the wire (RFC 6265): names, the exact-byte scanner, the lines that set and delete.
//!
//! Names are compared byte for byte, with nothing trimmed but SP and HTAB: a laxer reader accepts a
//! cookie that a sibling domain has tossed under a look-alike name.

use cookie::{Cookie, SameSite, time};
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, Entry},
};

/// A session cookie that appears more often than this is refused unopened.
pub(crate) const MAX_CANDIDATES: usize = 4;

/// A cookie longer than this, with its attributes, is dropped by browsers (RFC 6265bis §5.6).
pub(crate) const MAX_LINE: usize = 4096;

/// The cookies of one layer: their names and attributes.
#[derive(Clone, Debug)]
pub(crate) struct CookieNames {
    session: Box<str>,
    /// What the name of a pending login's cookie begins with; the state's hash follows.
    login_prefix: Box<str>,
    secure: bool,
}

/// Whose cookie a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Session,
    Login,
    Foreign,
}

/// The session cookies of one request, none of them believed.
#[derive(Debug)]
pub(crate) enum Candidates<'a> {
    /// In the order of the header fields; often one, possibly none.
    Few(Vec<&'a [u8]>),
    /// More than [`MAX_CANDIDATES`].
    TooMany,
}

impl Candidates<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(values) if values.is_empty())
    }
}

impl CookieNames {
    /// Names with `__Host-` and attributes with `Secure`, unless the redirect URI is plain http on
    /// loopback. `tag` is the beginning of the redirect URI's hash.
    pub(crate) fn new(secure: bool, tag: &str, session_name: Option<&str>) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        let session = match session_name {
            Some(name) => format!("{prefix}{name}"),
            None => format!("{prefix}lp_session_{tag}"),
        };
        Self {
            session: session.into(),
            login_prefix: format!("{prefix}lp_login_{tag}_").into(),
            secure,
        }
    }

    pub(crate) fn session(&self) -> &str {
        &self.session
    }

    /// The name of the pending login whose state hashes to `state_hash`.
    pub(crate) fn login(&self, state_hash: &str) -> String {
        format!("{}{state_hash}", self.login_prefix)
    }

    fn owner(&self, name: &[u8]) -> Owner {
        if name == self.session.as_bytes() {
            Owner::Session
        } else if name.starts_with(self.login_prefix.as_bytes()) {
            Owner::Login
        } else {
            Owner::Foreign
        }
    }

    /// The session cookies among the request's.
    pub(crate) fn session_candidates<'a>(&self, headers: &'a HeaderMap) -> Candidates<'a> {
        let mut values = Vec::new();
        for (name, value) in all_pairs(headers) {
            if name == self.session.as_bytes() {
                if values.len() == MAX_CANDIDATES {
                    return Candidates::TooMany;
                }
                values.push(value);
            }
        }
        Candidates::Few(values)
    }

    /// The cookies of pending logins among the request's: names and values, in order.
    pub(crate) fn login_cookies<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        all_pairs(headers)
            .filter(|(name, _)| self.owner(name) == Owner::Login)
            .filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
    }

    /// The line that sets a cookie of ours for `max_age`.
    pub(crate) fn set(&self, name: &str, value: &str, max_age: std::time::Duration) -> HeaderValue {
        let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
        self.line(name, value, seconds)
    }

    /// The line that deletes a cookie of ours: the attributes of [`CookieNames::set`].
    pub(crate) fn delete(&self, name: &str) -> HeaderValue {
        self.line(name, "", 0)
    }

    fn line(&self, name: &str, value: &str, max_age: i64) -> HeaderValue {
        let cookie = Cookie::build((name, value))
            .path("/")
            .secure(self.secure)
            .http_only(true)
            .same_site(SameSite::Lax)
            .max_age(time::Duration::seconds(max_age))
            .build();
        let mut line = HeaderValue::try_from(cookie.to_string())
            .expect("names and base64url values are visible ASCII");
        line.set_sensitive(true);
        line
    }

    /// Removes our cookies from the request, so that the inner service never sees them; returns
    /// whether cookies of pending logins were among them.
    ///
    /// A field that holds only ours is removed, or overwritten with an empty value where there are
    /// several; beside others in one field, the others are copied byte for byte.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) -> bool {
        let mut fields = headers.get_all(COOKIE).iter();
        let (Some(first), second) = (fields.next(), fields.next()) else { return false };
        if second.is_none() {
            let (rest, had_login) = self.without_ours(first);
            match rest {
                Rest::Unchanged => {}
                Rest::Nothing => drop(headers.remove(COOKIE)),
                Rest::Others(value) => drop(headers.insert(COOKIE, value)),
            }
            return had_login;
        }
        let Entry::Occupied(mut entry) = headers.entry(COOKIE) else { return false };
        let mut had_any_login = false;
        for field in entry.iter_mut() {
            let (rest, had_login) = self.without_ours(field);
            had_any_login |= had_login;
            match rest {
                Rest::Unchanged => {}
                Rest::Nothing => *field = HeaderValue::from_static(""),
                Rest::Others(value) => *field = value,
            }
        }
        had_any_login
    }

    /// What is left of a field, and whether a pending login's cookie was in it.
    fn without_ours(&self, field: &HeaderValue) -> (Rest, bool) {
        let bytes = field.as_bytes();
        let owner = |part: &[u8]| self.owner(split_pair(part).0);
        let (mut ours, mut logins) = (false, false);
        for part in parts(bytes) {
            let owner = owner(part);
            ours |= owner != Owner::Foreign;
            logins |= owner == Owner::Login;
        }
        if !ours {
            return (Rest::Unchanged, false);
        }
        let mut kept = Vec::with_capacity(bytes.len());
        for part in parts(bytes).filter(|part| owner(part) == Owner::Foreign) {
            if kept.is_empty() {
                kept.extend_from_slice(part.trim_ascii_start());
            } else {
                kept.push(b';');
                kept.extend_from_slice(part);
            }
        }
        if kept.is_empty() {
            return (Rest::Nothing, logins);
        }
        let mut value = HeaderValue::from_bytes(&kept).expect("parts of a valid field are valid");
        value.set_sensitive(field.is_sensitive());
        (Rest::Others(value), logins)
    }
}

/// What is left of a field without our cookies.
enum Rest {
    Unchanged,
    Nothing,
    Others(HeaderValue),
}

fn all_pairs(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers.get_all(COOKIE).iter().flat_map(|field| parts(field.as_bytes())).map(split_pair)
}

/// The pieces between semicolons.
fn parts(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let bytes = rest?;
        match memchr::memchr(b';', bytes) {
            Some(at) => {
                rest = Some(&bytes[at + 1..]);
                Some(&bytes[..at])
            }
            None => rest.take(),
        }
    })
}

/// Name and value, without SP and HTAB around them; a piece without `=` is a value without a name.
fn split_pair(part: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', part) {
        Some(at) => (trim(&part[..at]), trim(&part[at + 1..])),
        None => (&[], trim(part)),
    }
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
