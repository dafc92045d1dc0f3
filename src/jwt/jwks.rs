//! The keys that a host publishes (RFC 7517, RFC 7518 §6.3).

use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use serde_json::{Map, Value};

use super::{rules::LEAST_BITS_PUBLISHED, token::Object};

/// More than the largest sets seen; the client stops reading here too.
const MAX_DOCUMENT_LEN: usize = 512 * 1024;

/// The first ones count. It bounds the work of verifying a token that names no key.
const MAX_KEYS: usize = 32;

/// Verification takes longer than it is worth beyond this.
const MAX_BITS: usize = 8192;

/// The size from which a key fits RS256 (RFC 7518 §3.3).
const FULL_BITS: usize = 2048;

/// The usable keys of one host, in the order of the document.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// The document is not a JWK set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host's answer is not a JWK set")]
pub(super) struct InvalidKeySet(());

impl KeySet {
    /// Reads a JWK set; keys that cannot verify RS256 are skipped.
    pub(super) fn parse(document: &[u8]) -> Result<Self, InvalidKeySet> {
        if document.len() > MAX_DOCUMENT_LEN {
            return Err(InvalidKeySet(()));
        }
        let document = Object::parse(document).ok_or(InvalidKeySet(()))?;
        let keys = document.get("keys").and_then(Value::as_array);
        let usable = keys.ok_or(InvalidKeySet(()))?.iter().filter_map(Key::parse);
        Ok(Self { keys: usable.take(MAX_KEYS).collect() })
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys that may have signed a token with this `kid`: all of that name, for names repeat;
    /// every key if the token names none.
    pub(super) fn candidates(
        &self,
        key_id: Option<&str>,
        least_bits: usize,
    ) -> impl Iterator<Item = &Key> {
        let named = move |key: &&Key| key_id.is_none_or(|id| key.id.as_deref() == Some(id));
        let large = move |key: &&Key| key.bits >= least_bits;
        self.keys.iter().filter(named).filter(large)
    }
}

/// An RSA public key for RS256. Its numbers have no leading zeros.
#[derive(Clone, Debug)]
pub(super) struct Key {
    id: Option<Box<str>>,
    modulus: Box<[u8]>,
    exponent: Box<[u8]>,
    bits: usize,
}

impl Key {
    /// Accepts RSA keys whose members all allow the verification of RS256.
    ///
    /// A key with its private part (`d`) is skipped: everybody who can read the set can sign with
    /// it, so its signatures prove nothing.
    fn parse(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        let allowed = jwk.get("kty")? == "RSA"
            && jwk.get("use").is_none_or(|r#use| r#use == "sig")
            && jwk.get("alg").is_none_or(|alg| alg == "RS256")
            && jwk.get("key_ops").is_none_or(allows_verify)
            && !jwk.contains_key("d");
        if !allowed {
            return None;
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.into()),
        };
        let (modulus, exponent) = (number(jwk, "n")?, number(jwk, "e")?);
        let bits = bit_len(&modulus);
        let fits = (LEAST_BITS_PUBLISHED..=MAX_BITS).contains(&bits)
            && is_odd(&modulus)
            && is_exponent(&exponent);
        fits.then_some(Self { id, modulus, exponent, bits })
    }

    /// Whether this key made an RSASSA-PKCS1-v1_5 signature with SHA-256 (RFC 7518 §3.3).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let parameters = if self.bits < FULL_BITS {
            &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        } else {
            &RSA_PKCS1_2048_8192_SHA256
        };
        let key = RsaPublicKeyComponents { n: &*self.modulus, e: &*self.exponent };
        key.verify(parameters, message, signature).is_ok()
    }
}

fn allows_verify(operations: &Value) -> bool {
    operations.as_array().is_some_and(|list| list.iter().any(|operation| operation == "verify"))
}

/// Reads a Base64urlUInt (RFC 7518 §2) and drops the leading zeros that some writers add.
fn number(jwk: &Map<String, Value>, name: &str) -> Option<Box<[u8]>> {
    let text = jwk.get(name)?.as_str()?;
    let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes.get(first..)?.into())
}

fn bit_len(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    number.len() * 8 - unused as usize
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte % 2 == 1)
}

/// Odd, from 3 to 33 bits: 1 makes every padded message its own signature, and longer ones only cost
/// time.
fn is_exponent(number: &[u8]) -> bool {
    is_odd(number) && (2..=33).contains(&bit_len(number))
}
