//! The keys of Sentinel: those that sign id_tokens and follow each other, and the App-JWTs' one.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

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

/// The key of App-JWTs, the same in every mock: a test's key is no secret, and costs no time so.
static APP_KEY: LazyLock<KeyPair> = LazyLock::new(|| {
    KeyPair::from_pkcs8(include_bytes!("app_key.der")).expect("a key that openssl has made")
});

/// A UUID, as in LivePerson's App-JWTs.
pub(super) const APP_KEY_ID: &str = "7c1f5d2e-3b0a-4f6e-9d84-52a1c0e7b693";

/// A key in no set.
static STRANGERS_KEY: LazyLock<KeyPair> = LazyLock::new(generate);

/// The current key of id_tokens, by its number, how many before it are still listed, and what else
/// is in the set.
#[derive(Debug, Default)]
pub(super) struct SigningKeys {
    current: usize,
    first_listed: usize,
    current_hidden: bool,
    guests: Vec<Value>,
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

    /// Puts a key of a test's into the set.
    pub(super) fn add_guest(&mut self, jwk: Value) {
        self.guests.push(jwk);
    }

    /// The JSON Web Key Set (RFC 7517 §5).
    pub(super) fn published(&self) -> Value {
        let end = self.current + usize::from(!self.current_hidden);
        let listed = (self.first_listed..end).map(|number| jwk(&key_id(number), &key(number)));
        let others = [jwk(APP_KEY_ID, &APP_KEY)].into_iter().chain(self.guests.iter().cloned());
        json!({ "keys": listed.chain(others).collect::<Vec<_>>() })
    }

    /// An id_token.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let key = key(self.current);
        jwt(&key_id(self.current), claims, |message| rs256(&key, message))
    }
}

/// A JWT in compact form (RFC 7515 §7.1) that calls itself signed with RS256.
pub(super) fn jwt(key_id: &str, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let header = json!({ "kid": key_id, "typ": "JWT", "alg": "RS256" });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode_to_string(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
}

/// The signature of App-JWTs.
pub(super) fn sign_as_sentinel(message: &[u8]) -> Vec<u8> {
    rs256(&APP_KEY, message)
}

/// A signature that no listed key has made.
pub(super) fn sign_as_stranger(message: &[u8]) -> Vec<u8> {
    rs256(&STRANGERS_KEY, message)
}

fn rs256(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
        .expect("a whole key signs");
    signature
}

/// "idtoken-" and a date, as in LivePerson's published example.
fn key_id(number: usize) -> String {
    format!("idtoken-26-01-{:02}", number + 1)
}

fn jwk(key_id: &str, key: &KeyPair) -> Value {
    let public = key.public_key();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
    json!({
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": key_id,
        "n": encode(public.modulus().big_endian_without_leading_zero()),
        "e": encode(public.exponent().big_endian_without_leading_zero()),
    })
}

fn key(number: usize) -> Arc<KeyPair> {
    let mut keys = GENERATED.lock().unwrap_or_else(PoisonError::into_inner);
    while keys.len() <= number {
        keys.push(Arc::new(generate()));
    }
    Arc::clone(&keys[number])
}

fn generate() -> KeyPair {
    KeyPair::generate(KeySize::Rsa2048).expect("the system provides randomness")
}
