//! A token taken apart (RFC 7515 §7.1), before anything in it is believed.

use std::{fmt, ops::RangeInclusive};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::error::Refusal;

/// Sentinel's tokens have under 1 KiB; this bounds the work that a stranger can ask for.
const MAX_LEN: usize = 16 * 1024;

/// Longer than a UUID, a thumbprint or a date with a word.
const MAX_KEY_ID_LEN: usize = 256;

/// RSA signatures of 1024 to 8192 bits; anything else is none.
const SIGNATURE_LENS: RangeInclusive<usize> = 128..=1024;

/// The parts of a token whose header this crate can follow. Nothing is verified yet.
#[derive(Debug)]
pub(super) struct UnverifiedToken<'a> {
    /// `None` if the header has none.
    pub(super) key_id: Option<Box<str>>,
    pub(super) payload: Object,
    /// What the signature covers: header, dot, payload, as they were sent.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart.
    ///
    /// `jku`, `jwk`, `x5u` and `x5c` are ignored: no token chooses its own key (RFC 8725 §3.10).
    pub(super) fn parse(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_LEN {
            return Err(Refusal::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Refusal::Malformed)?;
        let (header, payload) = (decode(header)?, decode(payload)?);
        let signature = decode(signature)?;
        let header = Object::parse(&header).ok_or(Refusal::Header)?;
        let key_id = follow(&header)?;
        let payload = Object::parse(&payload).ok_or(Refusal::Payload)?;
        if !SIGNATURE_LENS.contains(&signature.len()) {
            return Err(Refusal::Signature);
        }
        Ok(Self { key_id, payload, signed: signed.as_bytes(), signature })
    }
}

/// Base64url as RFC 7515 §2 has it: no padding, no white space; the unused bits are zero, so that
/// one token has one spelling.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part.as_bytes()).map_err(|_| Refusal::Malformed)
}

/// Accepts the headers that mean "RS256 over a JWT" and gives the name of the key.
fn follow(header: &Object) -> Result<Option<Box<str>>, Refusal> {
    if header.text("alg") != Some("RS256") {
        return Err(Refusal::Algorithm);
    }
    if header.get("crit").is_some() || header.get("b64").is_some() {
        return Err(Refusal::Critical);
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if typ.eq_ignore_ascii_case("JWT") => {}
        Some(_) => return Err(Refusal::Type),
    }
    match header.get("kid") {
        None => Ok(None),
        Some(Value::String(id)) if id.len() <= MAX_KEY_ID_LEN => Ok(Some(id.as_str().into())),
        Some(_) => Err(Refusal::KeyId),
    }
}

/// A JSON object in which no name stands twice.
///
/// RFC 8259 §4 leaves a repeated name to the reader, so two readers may see two tokens. What lies
/// deeper is read by nobody here; serde_json stops at 128 levels.
#[derive(Debug)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DistinctNames)
    }
}

struct DistinctNames;

impl<'de> Visitor<'de> for DistinctNames {
    type Value = Object;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object with distinct names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
        let mut object = Map::new();
        while let Some((name, value)) = entries.next_entry()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Object(object))
    }
}
