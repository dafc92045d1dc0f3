//! An issuer of RS256 tokens: LivePerson's way to say who somebody is.

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tower_lp_auth::{Clock, SystemClock};

use crate::session::USER;

pub const AUDIENCE: &str = "a-client";
const KEY_ID: &str = "key-1";
const LIFETIME_SECS: u64 = 8 * 60 * 60;

/// A key pair of 2048 bits.
pub struct Keys {
    signing: EncodingKey,
    public: Vec<u8>,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
}

impl Keys {
    pub fn generate() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("a key");
        let signing = EncodingKey::from_rsa_pem(pem("PRIVATE KEY", private.as_ref()).as_bytes());
        let public = pair.public_key();
        let spki = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(public);
        Self {
            signing: signing.expect("a PEM of ours"),
            public: spki.expect("a key").as_ref().to_vec(),
            modulus: public.modulus().big_endian_without_leading_zero().to_vec(),
            exponent: public.exponent().big_endian_without_leading_zero().to_vec(),
        }
    }

    /// An id_token of this issuer.
    pub fn id_token(&self, issuer: &str, nonce: &str) -> String {
        let now = now();
        let claims = json!({
            "iss": issuer, "sub": USER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_SECS,
            "nonce": nonce, "isAdmin": false, "isLPA": false, "account_id": "12345678",
        });
        let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
        encode(&header, &claims, &self.signing).expect("claims that are JSON")
    }

    pub fn public_pem(&self) -> String {
        pem("PUBLIC KEY", &self.public)
    }

    pub fn decoding(&self) -> DecodingKey {
        DecodingKey::from_rsa_pem(self.public_pem().as_bytes()).expect("a PEM of ours")
    }

    /// The public key as RFC 7517 writes it.
    pub fn jwks(&self) -> Value {
        let (n, e) = (base64url(&self.modulus), base64url(&self.exponent));
        json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e,
        }] })
    }
}

/// Seconds since the epoch.
fn now() -> u64 {
    let since = SystemClock::default().now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |it| it.as_secs())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = base64_simd::STANDARD.encode_to_string(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}

fn base64url(bytes: &[u8]) -> String {
    base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes)
}
