//! How a session's tokens stand in a payload.

use hex_simd::AsciiCase;
use secrecy::SecretSlice;
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use super::wire::Reader;

/// The tokens' part of a payload, in its order.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Packed<'a> {
    /// All of it as it was read.
    #[serde(skip)]
    pub(super) bytes: &'a [u8],
    pub(super) access: Token<'a>,
    pub(super) refresh: Option<Token<'a>>,
    pub(super) scope: Option<&'a str>,
}

/// A token: half as long when it is lowercase hex, as Sentinel's are.
#[derive(Clone, Copy, Serialize)]
pub(super) enum Token<'a> {
    Hex(#[serde(serialize_with = "as_bytes")] &'a [u8]),
    Text(&'a str),
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// What stands beside the tokens and the scope at most: kinds, and three lengths. With room for all no
/// secret is left behind where a vector grew.
const BESIDE: usize = 40;

/// Packs the tokens; [`Packed::read`] reads them.
pub(super) fn write(access: &str, refresh: Option<&str>, scope: Option<&str>) -> SecretSlice<u8> {
    let (access_hex, refresh_hex) = (hex(access), refresh.and_then(hex));
    let packed = Packed {
        bytes: &[],
        access: Token::new(access, access_hex.as_deref()),
        refresh: refresh.map(|text| Token::new(text, refresh_hex.as_deref())),
        scope,
    };
    let digits = access.len() + refresh.map_or(0, str::len) + scope.map_or(0, str::len);
    let bytes = postcard::to_extend(&packed, Vec::with_capacity(BESIDE + digits));
    let bytes = bytes.expect("a flat structure of known length serializes");
    SecretSlice::from(Box::from(&**Zeroizing::new(bytes)))
}

/// What the digits of a lowercase hex text stand for.
fn hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let lowercase_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if !text.bytes().all(lowercase_hex) {
        return None;
    }
    hex_simd::decode_to_vec(text).ok().map(Zeroizing::new)
}

impl<'a> Packed<'a> {
    #[inline(always)]
    pub(super) fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let before = reader.rest();
        let access = Token::read(reader)?;
        let refresh = if reader.flag()? { Some(Token::read(reader)?) } else { None };
        let scope = if reader.flag()? { Some(reader.text()?) } else { None };
        let bytes = before.get(..before.len() - reader.rest().len())?;
        Some(Self { bytes, access, refresh, scope })
    }
}

impl<'a> Token<'a> {
    fn new(text: &'a str, hex: Option<&'a Vec<u8>>) -> Self {
        hex.map_or(Self::Text(text), |bytes| Self::Hex(bytes))
    }

    #[inline(always)]
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        match reader.byte()? {
            0 => Some(Self::Hex(reader.bytes()?)),
            1 => Some(Self::Text(reader.text()?)),
            _ => None,
        }
    }

    pub(super) fn to_text(self) -> String {
        match self {
            Self::Hex(bytes) => hex_simd::encode_to_string(bytes, AsciiCase::Lower),
            Self::Text(text) => text.to_owned(),
        }
    }
}

impl Default for Token<'_> {
    fn default() -> Self {
        Self::Text("")
    }
}
