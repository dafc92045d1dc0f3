//! Takes our cookies out of a request: the inner service never sees them.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{COOKIE, GetAll},
};

use super::{CookieNames, Glance, Owner, parts, pieces::Piece};

/// Whose cookies stand where in a request's fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traces {
    fields: u32,
    /// Which fields hold cookies of ours, a bit each; the last stands for all further ones.
    with_ours: u32,
    /// Which hold something else.
    with_foreign: u32,
    /// How many cookies of ours there are.
    ours: u32,
    /// Where the last of ours stands in its field.
    span: (usize, usize),
    /// Of pending logins.
    pub(crate) logins: bool,
}

impl Traces {
    #[inline]
    pub(super) fn enter_field(&mut self) {
        self.fields += 1;
    }

    pub(super) fn is_of_one_field(&self) -> bool {
        self.fields == 1
    }

    #[inline]
    pub(super) fn note_ours(&mut self, span: (usize, usize)) {
        self.with_ours |= bit(self.fields - 1);
        self.ours += 1;
        self.span = span;
    }

    /// Takes the next field in, and hands on the values of sessions.
    #[inline]
    pub(super) fn read<'a>(
        &mut self,
        names: &CookieNames,
        field: &'a [u8],
        mut session: impl FnMut(&'a [u8]),
    ) {
        let mut seen = 0;
        self.enter_field();
        for Piece { owner, value, span } in names.pieces(field) {
            self.note_foreign(&field[seen..span.0]);
            self.note_ours(span);
            if owner == Owner::Session {
                session(value);
            } else {
                self.logins = true;
            }
            seen = span.1;
        }
        self.note_foreign(&field[seen..]);
    }

    /// Notes what is not ours; blanks are nothing.
    #[inline]
    pub(super) fn note_foreign(&mut self, bytes: &[u8]) {
        let is_blank = |byte: &u8| matches!(byte, b';' | b' ' | b'\t');
        if !bytes.iter().all(is_blank) {
            self.with_foreign |= bit(self.fields - 1);
        }
    }
}

/// The bit of a field.
#[inline]
const fn bit(field: u32) -> u32 {
    1 << (if field < LAST { field } else { LAST })
}

/// The last bit.
const LAST: u32 = u32::BITS - 1;

impl CookieNames {
    /// Removes our cookies from the request; returns what was there.
    #[inline]
    pub(crate) fn strip(&self, headers: &mut HeaderMap) -> Traces {
        let fields = headers.get_all(COOKIE);
        if fields.iter().next().is_none() {
            return Traces::default();
        }
        let traces = self.traces(headers, &fields);
        self.strip_traced(headers, &traces);
        traces
    }

    /// The same where the fields have been read already.
    ///
    /// A field that holds only ours is removed, or overwritten with an empty value where there are
    /// several; beside others in one field, the others are copied byte for byte.
    #[inline]
    pub(crate) fn strip_traced(&self, headers: &mut HeaderMap, traces: &Traces) {
        if traces.with_ours == 0 {
            return;
        }
        if traces.fields == 1 && traces.with_foreign == 0 {
            headers.remove(COOKIE);
            return;
        }
        self.strip_fields(headers, traces);
    }

    /// The same where not all cookies are ours, or not in one field.
    fn strip_fields(&self, headers: &mut HeaderMap, traces: &Traces) {
        let fields = headers.iter_mut().filter(|(name, _)| **name == COOKIE);
        for (field, (_, value)) in (0..).zip(fields) {
            if traces.with_ours & bit(field) == 0 || (field >= LAST && !self.has_ours(value)) {
                continue;
            }
            *value = if traces.with_foreign & bit(field) == 0 {
                HeaderValue::from_static("")
            } else if traces.ours == 1 && field < LAST {
                without(value, traces.span)
            } else {
                self.without_ours(value)
            };
        }
    }

    /// Whose cookies stand where.
    fn traces(&self, headers: &HeaderMap, fields: &GetAll<'_, HeaderValue>) -> Traces {
        let mut traces = Traces::default();
        let glance = Glance::at(self, fields, &mut traces);
        if glance.candidates().is_some() { traces } else { self.read(headers).traces }
    }

    fn has_ours(&self, field: &HeaderValue) -> bool {
        self.pieces(field.as_bytes()).next().is_some()
    }

    /// What is left of a field that may hold several cookies of ours.
    fn without_ours(&self, field: &HeaderValue) -> HeaderValue {
        let bytes = field.as_bytes();
        let mut kept = Vec::with_capacity(bytes.len());
        for part in parts(bytes).filter(|part| self.claim(part).0 == Owner::Foreign) {
            if kept.is_empty() {
                kept.extend_from_slice(part.trim_ascii_start());
            } else {
                kept.push(b';');
                kept.extend_from_slice(part);
            }
        }
        instead_of(field, kept)
    }
}

/// What is left of a field without the piece at `span`, and one of the semicolons beside it.
fn without(field: &HeaderValue, (start, end): (usize, usize)) -> HeaderValue {
    let bytes = field.as_bytes();
    let (before, after) = (&bytes[..start], &bytes[end..]);
    let (before, after) = match before.split_last() {
        Some((_, before)) => (before.trim_ascii_start(), after),
        None => (before, after.get(1..).unwrap_or_default().trim_ascii_start()),
    };
    let mut kept = Vec::with_capacity(before.len() + after.len());
    kept.extend_from_slice(before);
    kept.extend_from_slice(after);
    instead_of(field, kept)
}

fn instead_of(field: &HeaderValue, kept: Vec<u8>) -> HeaderValue {
    let kept = Bytes::from(kept);
    let mut value = HeaderValue::from_maybe_shared(kept).expect("parts of a valid field are valid");
    value.set_sensitive(field.is_sensitive());
    value
}
