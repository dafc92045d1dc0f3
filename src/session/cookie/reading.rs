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

    /// The only one.
    pub(crate) fn sole(&self) -> Option<&'a [u8]> {
        match self {
            Self::Few(Values { list: [value, ..], count: 1 }) => Some(value),
            _ => None,
        }
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
    fn new() -> Self {
        Self { candidates: Candidates::Few(Values::default()), traces: Traces::default() }
    }

    /// Takes the next field in.
    fn read(&mut self, names: &CookieNames, field: &'a HeaderValue) {
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

/// A first look at the `Cookie` fields of a request, which takes none of them apart.
///
/// It is enough where the one field that begins with a session's name is nothing but that cookie, and the
/// others are too short for any of ours.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glance<'a> {
    session: Option<&'a [u8]>,
    /// There is more to it.
    is_vague: bool,
}

impl<'a> Glance<'a> {
    /// Takes the next field in, and notes in `traces` whose it is.
    #[inline]
    pub(crate) fn take_in(
        &mut self,
        names: &CookieNames,
        field: &'a HeaderValue,
        traces: &mut Traces,
    ) {
        let bytes = field.as_bytes();
        traces.enter_field();
        if let Some(value) = names.session_to_end(bytes) {
            traces.note_ours((0, bytes.len()));
            self.is_vague |= self.session.replace(value).is_some();
        } else if bytes.len() < names.shortest {
            traces.note_foreign(bytes);
        } else {
            self.is_vague = true;
        }
    }

    /// The value of the only session, if nothing follows it in its field; the traces are right then.
    ///
    /// What has been opened before has no semicolon: where the value is known, nothing does follow.
    #[inline]
    pub(crate) fn sole_session(&self) -> Option<&'a [u8]> {
        self.session.filter(|_| !self.is_vague)
    }

    /// What taking the fields apart would find, where that can be said without; the traces are right then.
    pub(crate) fn candidates(&self) -> Option<Candidates<'a>> {
        match self.session {
            _ if self.is_vague => None,
            None => Some(Candidates::Few(Values::default())),
            Some(value) if memchr::memchr(b';', value).is_none() && is_trimmed(value) => {
                Some(Candidates::one(value))
            }
            Some(_) => None,
        }
    }
}

/// Without a blank at either end.
fn is_trimmed(value: &[u8]) -> bool {
    !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

impl CookieNames {
    /// The value of a session's cookie that a field begins with, as if nothing followed it.
    #[inline]
    fn session_to_end<'a>(&self, field: &'a [u8]) -> Option<&'a [u8]> {
        field.strip_prefix(self.session.as_bytes())?.strip_prefix(b"=")
    }

    /// What stands in all fields.
    pub(crate) fn read<'a>(&self, headers: &'a HeaderMap) -> Reading<'a> {
        let mut reading = Reading::new();
        for field in headers.get_all(COOKIE) {
            reading.read(self, field);
        }
        reading
    }

    /// The session cookies among the request's.
    pub(crate) fn session_candidates<'a>(&self, headers: &'a HeaderMap) -> Candidates<'a> {
        self.read(headers).candidates
    }
}
