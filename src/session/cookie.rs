//! Our cookies on the wire (RFC 6265): names, the exact-byte scanner, the lines that set and delete.
//!
//! A request's fields are read once ([`reading`]), and ours found in them ([`pieces`]); where they stand
//! decides how they are taken out ([`traces`]).
//!
//! Names are compared byte for byte, with nothing trimmed but SP and HTAB: a laxer reader accepts a
//! cookie that a sibling domain has tossed under a look-alike name.

mod pieces;
mod reading;
mod traces;

use cookie::{Cookie, SameSite, time};
use http::{HeaderMap, HeaderValue, header::COOKIE};
use memchr::memmem::Finder;

pub(crate) use self::{
    reading::{Candidates, Glance, Reading},
    traces::Traces,
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
    /// The length of the shorter of the two: what is shorter is not ours.
    shortest: usize,
    /// Finds what both begin with.
    in_common: Finder<'static>,
}

/// Whose cookie a name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Session,
    Login,
    Foreign,
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
        let login_prefix = format!("{prefix}lp_login_{tag}_");
        let shortest = session.len().min(login_prefix.len());
        let in_common =
            Finder::new(in_common(session.as_bytes(), login_prefix.as_bytes())).into_owned();
        let (session, login_prefix) = (session.into(), login_prefix.into());
        Self { session, login_prefix, secure, shortest, in_common }
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

    /// Whose cookie a piece of a field is, and a session's value: as [`split_pair`] and
    /// [`CookieNames::owner`] say, without looking for the end of a name that is not ours.
    #[inline]
    fn claim<'a>(&self, part: &'a [u8]) -> (Owner, &'a [u8]) {
        let part = trim(part);
        if let Some(rest) = part.strip_prefix(self.session.as_bytes())
            && let [b'=', value @ ..] = trim_start(rest)
        {
            return (Owner::Session, trim_start(value));
        }
        let named =
            part.starts_with(self.login_prefix.as_bytes()) && memchr::memchr(b'=', part).is_some();
        (if named { Owner::Login } else { Owner::Foreign }, &[])
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
}

/// What two names begin with.
fn in_common<'a>(one: &'a [u8], other: &[u8]) -> &'a [u8] {
    let length = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    &one[..length]
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

#[inline]
fn trim(bytes: &[u8]) -> &[u8] {
    let mut bytes = trim_start(bytes);
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[inline]
fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
