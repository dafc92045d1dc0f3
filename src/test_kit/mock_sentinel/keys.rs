//! The keys that sign id_tokens.

use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64_simd::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// All keys ever needed in this process: generating one takes a good part of a second, so every
/// mock has the same first key, the same second key, and so on.
static GENERATED: Mutex<Vec<Arc<KeyPair>>> = Mutex::new(Vec::new());

/// The current key, by its number, and how many before it are still listed.
#[derive(Debug, Default)]
pub(super) struct SigningKeys {
    current: usize,
    first_listed: usize,
    current_hidden: bool,
}

impl SigningKeys {
    /// Signs with a new key from now on; the old ones stay in the set.
    pub(super) fn rotate(&mut self) {
        self.current += 1;
    }

    /// Takes all keys but the current one out of the set.
    pub(super) fn withdraw_old(&mut self) {
        self.first_listed = self.current;
    }

    /// Takes the current key out of the set, or puts it back.
    pub(super) fn hide_current(&mut self, hidden: bool) {
        self.current_hidden = hidden;
    }

    /// The JSON Web Key Set (RFC 7517 §5).
    pub(super) fn published(&self) -> Value {
        let end = self.current + usize::from(!self.current_hidden);
        let listed = self.first_listed..end;
        json!({ "keys": listed.map(public_key).collect::<Vec<_>>() })
    }

    /// A JWT in compact form (RFC 7515 §7.1), signed with RS256.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let header = json!({ "kid": key_id(self.current), "typ": "JWT", "alg": "RS256" });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let key = key(self.current);
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .expect("a generated key signs");
        format!("{message}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
    }
}

/// "idtoken-" and a date, as in LivePerson's published example.
fn key_id(number: usize) -> String {
    format!("idtoken-26-01-{:02}", number + 1)
}

fn public_key(number: usize) -> Value {
    let key = key(number);
    let public = key.public_key();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id(number),
        "n": encode(public.modulus().big_endian_without_leading_zero()),
        "e": encode(public.exponent().big_endian_without_leading_zero()),
    })
}

fn key(number: usize) -> Arc<KeyPair> {
    let mut keys = GENERATED.lock().unwrap_or_else(PoisonError::into_inner);
    while keys.len() <= number {
        let key = KeyPair::generate(KeySize::Rsa2048).expect("the system provides randomness");
        keys.push(Arc::new(key));
    }
    Arc::clone(&keys[number])
}
