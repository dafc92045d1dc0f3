//! Our cookies on the wire (RFC 6265): names, the exact-byte scanner, the lines that set and delete.
//!
//! A request's fields are read once ([`Reading`]); what they hold decides how they are stripped.
//!
//! Names are compared byte for byte, with nothing trimmed but SP and HTAB: a laxer reader accepts a
//! cookie that a sibling domain has tossed under a look-alike name.

use std::{fmt, ops::Deref};

use bytes::Bytes;
use cookie::{Cookie, SameSite, time};
use http::{HeaderMap, HeaderValue, header::COOKIE};

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
    Few(Values<'a>),
    /// More than [`MAX_CANDIDATES`].
    TooMany,
}

/// At most [`MAX_CANDIDATES`] values.
#[derive(Clone, Copy, Default)]
pub(crate) struct Values<'a> {
    list: [&'a [u8]; MAX_CANDIDATES],
    count: usize,
}

impl fmt::Debug for Values<'_> {
    /// Whoever holds a value is its user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({})", self.count)
    }
}

impl<'a> Deref for Values<'a> {
    type Target = [&'a [u8]];

    fn deref(&self) -> &Self::Target {
        &self.list[..self.count]
    }
}

impl<'a> Candidates<'a> {
    /// The one value of a bearer token.
    pub(crate) fn one(value: &'a [u8]) -> Self {
        let mut list = [&[][..]; MAX_CANDIDATES];
        list[0] = value;
        Self::Few(Values { list, count: 1 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(values) if values.is_empty())
    }

    fn push(&mut self, value: &'a [u8]) {
        match self {
            Self::Few(Values { list, count }) if *count < MAX_CANDIDATES => {
                list[*count] = value;
                *count += 1;
            }
            _ => *self = Self::TooMany,
        }
    }
}

/// What one pass over the `Cookie` fields of a request finds.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) candidates: Candidates<'a>,
    pub(crate) traces: Traces,
}

/// Whose cookies stand in a request's fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traces {
    fields: usize,
    /// How many bytes ours take, with a separator each.
    ours: usize,
    /// Of pending logins.
    pub(crate) logins: bool,
    foreign: bool,
}

impl<'a> Reading<'a> {
    pub(crate) fn new() -> Self {
        Self { candidates: Candidates::Few(Values::default()), traces: Traces::default() }
    }

    /// Takes the next field in.
    #[inline]
    pub(crate) fn read(&mut self, names: &CookieNames, field: &'a HeaderValue) {
        self.traces.fields += 1;
        for part in parts(field.as_bytes()) {
            match names.claim(part) {
                (Owner::Session, value) => {
                    self.traces.ours += part.len() + 1;
                    self.candidates.push(value);
                }
                (Owner::Login, _) => {
                    self.traces.ours += part.len() + 1;
                    self.traces.logins = true;
                }
                (Owner::Foreign, _) => {
                    self.traces.foreign |= !part.trim_ascii_start().is_empty();
                }
            }
        }
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

    /// The session cookies among the request's.
    pub(crate) fn session_candidates<'a>(&self, headers: &'a HeaderMap) -> Candidates<'a> {
        self.read(headers).candidates
    }

    fn read<'a>(&self, headers: &'a HeaderMap) -> Reading<'a> {
        let mut reading = Reading::new();
        for field in headers.get_all(COOKIE) {
            reading.read(self, field);
        }
        reading
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
    /// what was there.
    pub(crate) fn strip(&self, headers: &mut HeaderMap) -> Traces {
        let traces = self.read(headers).traces;
        self.strip_traced(headers, traces);
        traces
    }

    /// The same where the fields have been read already.
    ///
    /// A field that holds only ours is removed, or overwritten with an empty value where there are
    /// several; beside others in one field, the others are copied byte for byte.
    #[inline]
    pub(crate) fn strip_traced(&self, headers: &mut HeaderMap, traces: Traces) {
        if traces.ours == 0 {
            return;
        }
        if traces.fields == 1 && !traces.foreign {
            headers.remove(COOKIE);
            return;
        }
        for (_, field) in headers.iter_mut().filter(|(name, _)| **name == COOKIE) {
            let has_ours = traces.fields == 1
                || parts(field.as_bytes()).any(|part| self.claim(part).0 != Owner::Foreign);
            if has_ours {
                *field = self.without_ours(field, traces.ours);
            }
        }
    }

    /// What is left of a field that holds cookies of ours; they take about `ours` bytes.
    fn without_ours(&self, field: &HeaderValue, ours: usize) -> HeaderValue {
        let bytes = field.as_bytes();
        let mut kept = Vec::with_capacity(bytes.len().saturating_sub(ours));
        for part in parts(bytes).filter(|part| self.claim(part).0 == Owner::Foreign) {
            if kept.is_empty() {
                kept.extend_from_slice(part.trim_ascii_start());
            } else {
                kept.push(b';');
                kept.extend_from_slice(part);
            }
        }
        let kept = Bytes::from(kept);
        let mut value =
            HeaderValue::from_maybe_shared(kept).expect("parts of a valid field are valid");
        value.set_sensitive(field.is_sensitive());
        value
    }
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
