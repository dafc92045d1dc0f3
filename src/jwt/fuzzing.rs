//! What must hold of id_tokens and key sets, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use serde_json::Value;

use super::{
    jwks::KeySet,
    rules::{IdTokenRules, IdTokenSignature, TokenSource},
    verifier::Candidate,
};
use crate::clock::Timestamp;

/// When the token below was issued.
const NOW: u64 = 1_700_000_000_000;

/// The one token that this key has ever signed; the key itself is gone.
const TOKEN: &str = "eyJraWQiOiJrIiwidHlwIjoiSldUIiwiYWxnIjoiUlMyNTYifQ.eyJzdWIiOiIzNTUyODMzNzEwIiwiYXVkIjoidGhlLWNsaWVudCIsImlzcyI6IlNlbnRpbmVsIiwiaXNfYWRtaW4iOnRydWUsImlzX2xwYSI6ZmFsc2UsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwNjAwfQ.e16_zoTQrGwgPckKHejYRGB-Yz5vy_uJWqnN_p_ieWJTHhndupJv1ovhbYU8NcRXxrhQsmeSFkGFnsipaIcFTsFgGXJhsOWMudJLkqw_19v8dYn5xWEdNYrp9y_7tnx-Ww6m8BgOtUY2vZ-qsZWcEWk73pSkME0RoTyd5kLcX0DNuA7r5cCqvvHY9kQELrMK38DeS137bI7UEKkFXVM-irx2ryLlKR9-7UeqBhpmLuL4wJgfs8XarfspvP2IaZpLsrT8F13AUK1IHnYMK-8ratknq3vjE2hbeaOlFeIN_BdmEE_qA3utwIw5oQUDEG-PU9QZaCkD3ZzsSeYWtuJhTw";
const MODULUS: &str = "wizFwf_qdzRAG3PUjbhaYurKb2ShDbbY2A0cUbRSJYCiKgD2CrRv7Rqu2IBUQzoTY1qJk_b3fil_-0CMrOUErlg_HpqSmQDjsOHJiUhkFaJEZU5xsy5gB9aokibzlbbgx8pAevB4odPwxybGKcDhC5vC8IvmUFJtAGG2V8iE4OQUnMawb_CdsiVHQoY66OPGPmlHOlrY0zPcxy0tvs8Abc8dolSxP0MtliBw24mWB9UcLD4kSq2fuiuTTPMR8UD3bMD_UvmimbG85ddpI7MKe0ipJmFLvT_vLEEXDRyyP5qFciRm6np1D4x1bwhuras5i0Cd2qLjZLYr_xl5gc54_w";
const KEYS: &str = r#"{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"k","n":"wizFwf_qdzRAG3PUjbhaYurKb2ShDbbY2A0cUbRSJYCiKgD2CrRv7Rqu2IBUQzoTY1qJk_b3fil_-0CMrOUErlg_HpqSmQDjsOHJiUhkFaJEZU5xsy5gB9aokibzlbbgx8pAevB4odPwxybGKcDhC5vC8IvmUFJtAGG2V8iE4OQUnMawb_CdsiVHQoY66OPGPmlHOlrY0zPcxy0tvs8Abc8dolSxP0MtliBw24mWB9UcLD4kSq2fuiuTTPMR8UD3bMD_UvmimbG85ddpI7MKe0ipJmFLvT_vLEEXDRyyP5qFciRm6np1D4x1bwhuras5i0Cd2qLjZLYr_xl5gc54_w","e":"AQAB"}]}"#;

/// Whether `token` is believed under the strict policy, given `keys` that are fresh.
fn is_believed(token: &str, keys: &KeySet) -> bool {
    let rules =
        |signature| IdTokenRules { client_id: "the-client".into(), issuer: None, signature };
    let verdict = |signature, source| {
        let now = Timestamp::from_millis(NOW);
        let claims = Candidate::read(&rules(signature), token, source, None, now).ok()?;
        claims.decide(keys).ok().map(|claims| claims.signature_checked)
    };
    let strict = verdict(IdTokenSignature::Required, TokenSource::TokenEndpoint);
    let bearer = verdict(IdTokenSignature::Published, TokenSource::Bearer);
    assert_ne!(strict, Some(false), "believed without a signature");
    assert_eq!(strict, bearer, "a bearer needs what the strict policy needs");
    strict.is_some()
}

/// No token is believed but the one that the key has signed.
pub fn id_token(data: &[u8]) -> bool {
    let Ok(token) = std::str::from_utf8(data) else { return false };
    let keys = KeySet::parse(KEYS.as_bytes()).expect("a key set");
    let believed = is_believed(token, &keys);
    assert!(!believed || token == TOKEN, "{token} is believed");
    believed
}

/// No key set verifies the token but one that holds the key that has signed it; accepted is what
/// does.
pub fn key_set(data: &[u8]) -> bool {
    let Ok(keys) = KeySet::parse(data) else { return false };
    assert!(keys.len() <= 32);
    let believed = is_believed(TOKEN, &keys);
    if believed {
        let document: Value = serde_json::from_slice(data).expect("it was read before");
        let listed = document["keys"].as_array().expect("it was read before");
        // Zeros may stand before a number.
        let modulus = |key: &Value| {
            let text = key["n"].as_str().unwrap_or_default().as_bytes();
            base64_simd::URL_SAFE_NO_PAD.decode_to_vec(text).unwrap_or_default()
        };
        let ours = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(MODULUS).expect("base64url");
        assert!(listed.iter().any(|key| modulus(key).ends_with(&ours)), "verified without the key");
    }
    believed
}
