//! A session's tokens, packed: most requests of a session ask for none of them.

use std::sync::OnceLock;

use secrecy::{ExposeSecret, SecretSlice};

use super::{
    packed::{self, Packed},
    wire::Reader,
};
use crate::secret::{AccessToken, RefreshToken};

/// What acts for the user at LivePerson.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    /// As they stand in a payload.
    bytes: SecretSlice<u8>,
    has_refresh: bool,
    /// Made when first asked for.
    access: OnceLock<AccessToken>,
}

impl Tokens {
    pub(crate) fn new(
        access: AccessToken,
        refresh: Option<&RefreshToken>,
        scope: Option<&str>,
    ) -> Self {
        let bytes =
            packed::write(access.expose_secret(), refresh.map(RefreshToken::expose_secret), scope);
        Self { bytes, has_refresh: refresh.is_some(), access: access.into() }
    }

    pub(crate) fn access(&self) -> &AccessToken {
        self.access.get_or_init(|| AccessToken::new(self.packed().access.to_text()))
    }

    /// The refresh token, unpacked: whoever asks for it sends it to Sentinel.
    pub(crate) fn refresh(&self) -> Option<RefreshToken> {
        self.packed().refresh.map(|token| RefreshToken::new(token.to_text()))
    }

    #[inline]
    pub(crate) const fn has_refresh(&self) -> bool {
        self.has_refresh
    }

    /// The scope of the access token, where Sentinel has named one.
    pub(crate) fn scope(&self) -> Option<&str> {
        self.packed().scope
    }

    /// Their part of a payload, which [`Packed::read`] reads.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.expose_secret()
    }

    fn packed(&self) -> Packed<'_> {
        // They were read or written before they came here.
        Packed::read(&mut Reader::new(self.as_bytes())).unwrap_or_default()
    }
}

/// Keeps what was read as it stands there.
impl From<Packed<'_>> for Tokens {
    #[inline(always)]
    fn from(packed: Packed<'_>) -> Self {
        let bytes = SecretSlice::from(Box::from(packed.bytes));
        Self { bytes, has_refresh: packed.refresh.is_some(), access: OnceLock::new() }
    }
}

/// Whether they are the same tokens, however they are kept.
impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        self.access() == other.access()
            && self.refresh() == other.refresh()
            && self.scope() == other.scope()
    }
}

impl Eq for Tokens {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0a1b2c3d4e5f";

    fn given(access: &str, refresh: Option<&str>, scope: Option<&str>) -> Tokens {
        Tokens::new(AccessToken::new(access), refresh.map(RefreshToken::new).as_ref(), scope)
    }

    fn bytes(tokens: &Tokens) -> Vec<u8> {
        tokens.as_bytes().to_vec()
    }

    fn read(bytes: &[u8]) -> Option<Tokens> {
        let mut reader = Reader::new(bytes);
        let packed = Packed::read(&mut reader)?;
        reader.is_at_end().then(|| packed.into())
    }

    /// Tokens of every form, with refresh token and scope or without, come out of a payload as they went
    /// in, and go into the next one byte for byte as they came.
    #[test]
    fn packed_tokens_come_out_as_they_went_in() {
        for access in [HEX, "abc", "ABCD", "0aBC", "tok-en.~", "", "ä"] {
            for refresh in [None, Some(HEX), Some("f7a"), Some("F7"), Some("r~"), Some("")] {
                for scope in [None, Some(""), Some("a b")] {
                    let went_in = given(access, refresh, scope);
                    let came_out = read(&bytes(&went_in)).unwrap();
                    let row = format!("{access:?} {refresh:?} {scope:?}");
                    assert_eq!(bytes(&came_out), bytes(&went_in), "{row}");
                    assert_eq!(came_out.has_refresh(), refresh.is_some(), "{row}");
                    let its = came_out.refresh();
                    assert_eq!(its.as_ref().map(RefreshToken::expose_secret), refresh, "{row}");
                    assert_eq!(came_out.scope(), scope, "{row}");
                    assert_eq!(came_out.access().expose_secret(), access, "{row}");
                    assert_eq!(came_out, went_in, "{row}");
                }
            }
        }
    }

    /// To ask for a token changes nothing but how it is kept.
    #[test]
    fn tokens_that_were_asked_for_equal_those_that_were_not() {
        let tokens = read(&bytes(&given(HEX, Some("f7"), None))).unwrap();
        let unasked = tokens.clone();
        let access: *const AccessToken = tokens.access();
        assert_eq!(access, tokens.access() as *const _, "it is made once");
        assert_eq!(bytes(&tokens), bytes(&unasked));
        assert_eq!(tokens.clone(), unasked);
        for other in [
            given("0a", Some("f7"), None),
            given(HEX, Some("f8"), None),
            given(HEX, None, None),
            given(HEX, Some("f7"), Some("")),
        ] {
            assert_ne!(tokens, other);
        }
    }

    /// What is no token is found out when it comes, not when it is asked for.
    #[test]
    fn malformed_tokens_are_none_at_all() {
        let whole = bytes(&given(HEX, Some("r~"), Some("a")));
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_none(), "cut at {length}");
        }
        let table: [&[u8]; 6] = [
            &[2, 0, 0, 0],
            &[1, 1, 0xff, 0, 0],
            &[0, 0, 2, 0],
            &[0, 0, 1, 2, 0, 0],
            &[0, 0, 1, 1, 1, 0xff, 0],
            &[0, 0, 0, 1, 1, 0xff],
        ];
        for bytes in table {
            assert!(read(bytes).is_none(), "{bytes:?}");
        }
    }

    /// Neither before a token is asked for nor after it.
    #[test]
    fn tokens_never_print_themselves() {
        let given = given("canary-a", Some("canary-r"), None);
        let packed = read(&bytes(&given)).unwrap();
        let check = |tokens: &Tokens| {
            let printed = format!("{tokens:?}");
            // As a list of numbers a byte of them would show, too.
            assert!(!printed.contains("canary") && !printed.contains("99, 97"), "{printed}");
        };
        check(&given);
        check(&packed);
        packed.access();
        check(&packed);
    }
}
