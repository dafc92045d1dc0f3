//! Where cookies of ours stand in a field: found by what their names have in common, however many
//! foreign ones stand around them.

use super::{CookieNames, Owner};

/// A cookie of ours in a field.
pub(super) struct Piece<'a> {
    pub(super) owner: Owner,
    /// Of a session; empty for others.
    pub(super) value: &'a [u8],
    /// From behind a semicolon to before the next, blanks included.
    pub(super) span: (usize, usize),
}

/// The cookies of ours in a field, from left to right.
pub(super) struct Pieces<'n, 'f> {
    names: &'n CookieNames,
    field: &'f [u8],
    /// From where on to search.
    from: usize,
}

impl CookieNames {
    #[inline]
    pub(super) fn pieces<'n, 'f>(&'n self, field: &'f [u8]) -> Pieces<'n, 'f> {
        Pieces { names: self, field, from: 0 }
    }
}

impl<'f> Iterator for Pieces<'_, 'f> {
    type Item = Piece<'f>;

    #[inline(always)]
    fn next(&mut self) -> Option<Piece<'f>> {
        loop {
            let rest = self.field.get(self.from..)?;
            let at = self.from + self.names.in_common.find(rest)?;
            let rest = &self.field[at..];
            let end = at + memchr::memchr(b';', rest).unwrap_or(rest.len());
            // Whatever else this piece holds is no name.
            self.from = end + 1;
            let Some(start) = start_of_piece(&self.field[..at]) else { continue };
            match self.names.claim(&self.field[at..end]) {
                (Owner::Foreign, _) => {}
                (owner, value) => return Some(Piece { owner, value, span: (start, end) }),
            }
        }
    }
}

/// Where the piece starts in which a name follows `before`; `None` if something else stands before the
/// name in that piece.
#[inline]
fn start_of_piece(mut before: &[u8]) -> Option<usize> {
    loop {
        match before {
            [rest @ .., b' ' | b'\t'] => before = rest,
            [] | [.., b';'] => return Some(before.len()),
            _ => return None,
        }
    }
}
