//! One pass over the `Cookie` fields of a request.

use std::{fmt, ops::Deref};

use http::{HeaderMap, HeaderValue, header::COOKIE};

use super::{CookieNames, MAX_CANDIDATES, Traces};

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
}

/// A first look at the `Cookie` fields of a request.
///
/// It takes none of them apart, and is enough where the one field that begins with a session's name is nothing
/// but that cookie, and the others are too short for any of ours. What one field alone holds can be
/// [`settled`](Glance::settled).
#[derive(Clone, Copy, Default)]
pub(crate) struct Glance<'a> {
    session: Option<&'a [u8]>,
    /// A field that shows that there is more to it, the last of them.
    vague: Option<&'a HeaderValue>,
}

impl fmt::Debug for Glance<'_> {
    /// Whoever holds a value is its user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Glance")
            .field("has_session", &self.session.is_some())
            .field("is_vague", &self.vague.is_some())
            .finish()
    }
}

impl<'a> Glance<'a> {
    /// The first look at these fields, settled; notes in `traces`, new ones, whose they are.
    #[inline]
    pub(crate) fn at(
        names: &CookieNames,
        fields: impl IntoIterator<Item = &'a HeaderValue>,
        traces: &mut Traces,
    ) -> Self {
        let mut glance = Self::default();
        for field in fields {
            glance.take_in(names, field, traces);
        }
        glance.settled(names, traces)
    }

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
        if let Some(value) = names.session_to_end(bytes).filter(|value| !ends_in_another(value)) {
            traces.note_ours((0, bytes.len()));
            self.note_session(value, field);
        } else if bytes.len() < names.shortest {
            traces.note_foreign(bytes);
        } else {
            self.vague = Some(field);
        }
    }

    /// The same where it is enough; else what taking the field apart finds, if there is but one.
    #[inline]
    pub(crate) fn settled(self, names: &CookieNames, traces: &mut Traces) -> Self {
        match self.vague {
            Some(field) if traces.is_of_one_field() => Self::of_one(names, field, traces),
            _ => self,
        }
    }

    #[inline(never)]
    fn of_one(names: &CookieNames, field: &'a HeaderValue, traces: &mut Traces) -> Self {
        let mut glance = Self::default();
        *traces = Traces::default();
        traces.read(names, field.as_bytes(), |value| glance.note_session(value, field));
        glance
    }

    #[inline]
    fn note_session(&mut self, value: &'a [u8], field: &'a HeaderValue) {
        if self.session.replace(value).is_some() {
            self.vague = Some(field);
        }
    }

    /// The value of the only session, if it ends before the next semicolon; the traces are right then.
    ///
    /// What has been opened before has no semicolon: where the value is known, it does end there.
    #[inline]
    pub(crate) fn sole_session(&self) -> Option<&'a [u8]> {
        self.session.filter(|_| self.vague.is_none())
    }

    /// What taking the fields apart would find, where that can be said without; the traces are right then.
    pub(crate) fn candidates(&self) -> Option<Candidates<'a>> {
        match self.session {
            _ if self.vague.is_some() => None,
            None => Some(Candidates::Few(Values::default())),
            Some(value) if memchr::memchr(b';', value).is_none() && is_trimmed(value) => {
                Some(Candidates::one(value))
            }
            Some(_) => None,
        }
    }
}

/// Whether what begins as a session's value ends as a field does in which other cookies follow: there is an
/// equals sign near its end. A sealed value has none. Where there is none, or the value is shorter than is
/// looked at, others may follow yet.
#[inline]
fn ends_in_another(value: &[u8]) -> bool {
    const NEAR: usize = 64;
    let end = value.last_chunk::<NEAR>();
    // No byte is left out, so that many are compared at once.
    end.is_some_and(|end| end.iter().fold(false, |any, byte| any | (*byte == b'=')))
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
            reading.traces.read(self, field.as_bytes(), |value| reading.candidates.push(value));
        }
        reading
    }

    /// The session cookies among the request's.
    pub(crate) fn session_candidates<'a>(&self, headers: &'a HeaderMap) -> Candidates<'a> {
        self.read(headers).candidates
    }
}
