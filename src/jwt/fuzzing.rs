//! What must hold of id_tokens and key sets, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use serde_json::Value;

use super::{
    bearer_claims::BearerClaims,
    candidate::Candidate,
    jwks::KeySet,
    rules::{BearerRules, IdTokenRules, IdTokenSignature},
    token::Object,
};
use crate::clock::Timestamp;

/// When the token below was issued.
const NOW: u64 = 1_700_000_000_000;

/// The one token that this key has ever signed; the key itself is gone.
const TOKEN: &str = "eyJraWQiOiJrIiwidHlwIjoiSldUIiwiYWxnIjoiUlMyNTYifQ.eyJzdWIiOiIzNTUyODMzNzEwIiwiYXVkIjoidGhlLWNsaWVudCIsImlzcyI6IlNlbnRpbmVsIiwiaXNfYWRtaW4iOnRydWUsImlzX2xwYSI6ZmFsc2UsImlhdCI6MTcwMDAwMDAwMCwiZXhwIjoxNzAwMDAwNjAwfQ.e16_zoTQrGwgPckKHejYRGB-Yz5vy_uJWqnN_p_ieWJTHhndupJv1ovhbYU8NcRXxrhQsmeSFkGFnsipaIcFTsFgGXJhsOWMudJLkqw_19v8dYn5xWEdNYrp9y_7tnx-Ww6m8BgOtUY2vZ-qsZWcEWk73pSkME0RoTyd5kLcX0DNuA7r5cCqvvHY9kQELrMK38DeS137bI7UEKkFXVM-irx2ryLlKR9-7UeqBhpmLuL4wJgfs8XarfspvP2IaZpLsrT8F13AUK1IHnYMK-8ratknq3vjE2hbeaOlFeIN_BdmEE_qA3utwIw5oQUDEG-PU9QZaCkD3ZzsSeYWtuJhTw";
const MODULUS: &str = "wizFwf_qdzRAG3PUjbhaYurKb2ShDbbY2A0cUbRSJYCiKgD2CrRv7Rqu2IBUQzoTY1qJk_b3fil_-0CMrOUErlg_HpqSmQDjsOHJiUhkFaJEZU5xsy5gB9aokibzlbbgx8pAevB4odPwxybGKcDhC5vC8IvmUFJtAGG2V8iE4OQUnMawb_CdsiVHQoY66OPGPmlHOlrY0zPcxy0tvs8Abc8dolSxP0MtliBw24mWB9UcLD4kSq2fuiuTTPMR8UD3bMD_UvmimbG85ddpI7MKe0ipJmFLvT_vLEEXDRyyP5qFciRm6np1D4x1bwhuras5i0Cd2qLjZLYr_xl5gc54_w";
const KEYS: &str = r#"{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"k","n":"wizFwf_qdzRAG3PUjbhaYurKb2ShDbbY2A0cUbRSJYCiKgD2CrRv7Rqu2IBUQzoTY1qJk_b3fil_-0CMrOUErlg_HpqSmQDjsOHJiUhkFaJEZU5xsy5gB9aokibzlbbgx8pAevB4odPwxybGKcDhC5vC8IvmUFJtAGG2V8iE4OQUnMawb_CdsiVHQoY66OPGPmlHOlrY0zPcxy0tvs8Abc8dolSxP0MtliBw24mWB9UcLD4kSq2fuiuTTPMR8UD3bMD_UvmimbG85ddpI7MKe0ipJmFLvT_vLEEXDRyyP5qFciRm6np1D4x1bwhuras5i0Cd2qLjZLYr_xl5gc54_w","e":"AQAB"}]}"#;

fn id_token_rules(signature: IdTokenSignature) -> IdTokenRules {
    IdTokenRules { client_id: "the-client".into(), issuer: None, signature }
}

fn bearer_rules(id_tokens: bool, apps: &[&str]) -> BearerRules {
    let account = "the-account".parse().expect("an account id");
    BearerRules { account, id_tokens, apps: apps.iter().map(|app| (*app).into()).collect() }
}

/// Whether `token` is believed under the strict policy, given `keys` that are fresh.
fn is_believed(token: &str, keys: &KeySet) -> bool {
    let now = Timestamp::from_millis(NOW);
    let strict = || {
        let rules = id_token_rules(IdTokenSignature::Required);
        Candidate::id_token(&rules, token, None, now).ok()?.decide(keys).ok()
    };
    let bearer = || {
        let rules = id_token_rules(IdTokenSignature::Published);
        let accepted = bearer_rules(true, &["the-app"]);
        Candidate::bearer(&accepted, &rules, token, now).ok()?.decide(keys).ok()
    };
    let strict = strict();
    assert!(strict.as_ref().is_none_or(|claims| claims.signature_checked), "without a signature");
    let as_bearer = strict.clone().map(std::sync::Arc::new).map(BearerClaims::User);
    assert_eq!(bearer(), as_bearer, "a bearer needs what the strict policy needs");
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

/// The payload of a caller's token names a user of our client, or a service of our list that calls
/// our account with a short list of scopes; it does so only where such tokens are switched on.
pub fn bearer_claims(data: &[u8]) -> bool {
    let Some(payload) = Object::parse(data) else { return false };
    let (ids, now) = (id_token_rules(IdTokenSignature::Published), Timestamp::from_millis(NOW));
    let read = |id_tokens, apps: &[&str]| {
        BearerClaims::check(&payload, &ids, &bearer_rules(id_tokens, apps), now)
    };
    let Ok(claims) = read(true, &["the-app", "another-app"]) else { return false };
    assert!(claims.valid_until() > now, "over already: {claims:?}");
    match &claims {
        BearerClaims::User(user) => {
            assert!((1..=256).contains(&user.subject.len()) && !user.signature_checked);
            assert!(read(false, &["the-app", "another-app"]).is_err(), "not switched on");
        }
        BearerClaims::App(app) => {
            assert!(["the-app", "another-app"].contains(&&*app.client_id), "{app:?}");
            assert!(app.account == "the-account" && app.scopes.len() <= 128, "{app:?}");
            let is_plain = |scope: &str| scope.bytes().all(|byte| byte.is_ascii_graphic());
            assert!(app.scopes.iter().all(|scope| !scope.is_empty() && is_plain(scope)));
            assert!(read(true, &[]).is_err() && read(true, &["a-third"]).is_err(), "not accepted");
        }
    }
    true
}
