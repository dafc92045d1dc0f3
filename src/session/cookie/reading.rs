//! One pass over the `Cookie` fields of a request.

use std::{fmt, ops::Deref};

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{CookieNames, MAX_CANDIDATES, Owner, Traces};

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

impl<'a> Reading<'a> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { candidates: Candidates::Few(Values::default()), traces: Traces::default() }
    }

    /// Takes the next field in.
    #[inline]
    pub(crate) fn read(&mut self, names: &CookieNames, field: &'a HeaderValue) {
        let bytes = field.as_bytes();
        let mut start = 0;
        self.traces.enter_field();
        loop {
            let rest = &bytes[start..];
            if rest.len() < names.shortest {
                // No name of ours fits in; whose the pieces are need not be looked at one by one.
                self.traces.note_foreign(rest);
                return;
            }
            let length = memchr::memchr(b';', rest);
            let part = &rest[..length.unwrap_or(rest.len())];
            let span = (start, start + part.len());
            match names.claim(part) {
                (Owner::Session, value) => {
                    self.traces.note_ours(span);
                    self.candidates.push(value);
                }
                (Owner::Login, _) => {
                    self.traces.note_ours(span);
                    self.traces.logins = true;
                }
                (Owner::Foreign, _) => self.traces.note_foreign(part),
            }
            if length.is_none() {
                return;
            }
            start = span.1 + 1;
        }
    }
}

impl CookieNames {
    /// What stands in all fields.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Reading<'a> {
        let mut reading = Reading::new();
        for field in headers.get_all(COOKIE) {
            reading.read(self, field);
        }
        reading
    }

    /// The value of a field that begins with a session's cookie, as if nothing followed it.
    ///
    /// What has been opened before has no semicolon, so that where this value is known there is nothing
    /// to look for behind it.
    #[inline]
    pub(crate) fn sole_session<'a>(&self, field: &'a HeaderValue) -> Option<&'a [u8]> {
        field.as_bytes().strip_prefix(self.session.as_bytes())?.strip_prefix(b"=")
    }

    /// The session cookies among the request's.
    pub(crate) fn session_candidates<'a>(&self, headers: &'a HeaderMap) -> Candidates<'a> {
        self.read(headers).candidates
    }
}
