//! A user's id.

use std::{fmt, ops::Deref};

/// A user's id at LivePerson, the id_token's `sub`. Most have ten digits: one as short as that needs no
/// allocation.
#[derive(Clone)]
pub(crate) struct Subject(Text);

#[derive(Clone)]
enum Text {
    Short { length: u8, bytes: Padded },
    Long(Box<str>),
}

/// A text and zeroes after it; aligned, so that its validity is seen in two steps.
#[derive(Clone, Copy)]
#[repr(align(8))]
struct Padded([u8; SHORT]);

const SHORT: usize = 16;

impl Subject {
    /// `None` if the bytes are no UTF-8.
    #[inline]
    pub(super) fn from_utf8(text: &[u8]) -> Option<Self> {
        let mut bytes = Padded([0; SHORT]);
        match (bytes.0.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text);
                if !bytes.0.is_ascii() {
                    str::from_utf8(&bytes.0).ok()?;
                }
                Some(Self(Text::Short { length, bytes }))
            }
            _ => Some(Self(Text::Long(str::from_utf8(text).ok()?.into()))),
        }
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Self {
        Self::from_utf8(text.as_bytes()).expect("a text is UTF-8")
    }
}

impl Deref for Subject {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        match &self.0 {
            // Valid since it was made.
            Text::Short { length, bytes } => str::from_utf8(&bytes.0)
                .ok()
                .and_then(|padded| padded.get(..usize::from(*length)))
                .unwrap_or_default(),
            Text::Long(text) => text,
        }
    }
}

impl PartialEq for Subject {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Subject {}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_length_comes_back() {
        for text in ["", "3552833710", &"9".repeat(16), &"9".repeat(17), "äöü", &"ä".repeat(8)]
        {
            assert_eq!(&*Subject::from(text), text);
        }
        let long = "x".repeat(5000);
        assert_eq!(&*Subject::from(&*long), long);
    }

    #[test]
    fn what_is_no_text_is_no_id() {
        for bytes in [&b"\xff"[..], b"123\xc3", &[0x80; 16], &[0x80; 17]] {
            assert!(Subject::from_utf8(bytes).is_none(), "{bytes:?}");
        }
    }
}
