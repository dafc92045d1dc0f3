use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64_simd::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;

const JWKS: &str = "/sentinel/well-known/jwks";

pub(super) async fn keys(sentinel: &MockSentinel) -> Vec<Value> {
    let set = get(sentinel, JWKS, "").await.json();
    set["keys"].as_array().unwrap().clone()
}

fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode_to_vec(text).unwrap()
}

pub(super) fn part(id_token: &Value, at: usize) -> Value {
    let text = id_token.as_str().unwrap();
    serde_json::from_slice(&decode(text.split('.').nth(at).unwrap())).unwrap()
}

/// Verifies a token with the key that its header names.
pub(super) fn verify(keys: &[Value], id_token: &Value) -> bool {
    let kid = &part(id_token, 0)["kid"];
    let Some(key) = keys.iter().find(|key| key["kid"] == *kid) else {
        return false;
    };
    let member = |name: &str| decode(key[name].as_str().unwrap());
    let key = RsaPublicKeyComponents { n: member("n"), e: member("e") };
    let (message, signature) = id_token.as_str().unwrap().rsplit_once('.').unwrap();
    let signature = decode(signature);
    key.verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &signature).is_ok()
}

#[tokio::test]
async fn the_listed_key_verifies_an_id_token() {
    let sentinel = MockSentinel::start().await.unwrap();
    let tokens = log_in(&sentinel).await;
    let keys = keys(&sentinel).await;
    assert_eq!(keys.len(), 2, "one of id_tokens, one of App-JWTs");
    for (member, expected) in [("kty", "RSA"), ("use", "sig"), ("alg", "RS256")] {
        assert_eq!(keys[0][member], expected);
    }
    assert!(verify(&keys, &tokens["id_token"]));

    let header = part(&tokens["id_token"], 0);
    assert_eq!(header["alg"], "RS256");
    assert!(header["kid"].as_str().unwrap().starts_with("idtoken-"));
    let claims = part(&tokens["id_token"], 1);
    assert_eq!(claims["sub"], "3552833710");
    assert_eq!(claims["aud"], sentinel.client_id());
    assert_eq!(claims["iss"], "Sentinel");
    assert_eq!((&claims["is_admin"], &claims["is_lpa"]), (&json!(false), &json!(false)));
    assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|at| at + 600));
}

#[tokio::test]
async fn an_old_key_stays_listed_until_it_is_withdrawn() {
    let sentinel = MockSentinel::start().await.unwrap();
    let old = log_in(&sentinel).await;
    sentinel.rotate_signing_key();
    let new = log_in(&sentinel).await;
    let both = keys(&sentinel).await;
    assert!(verify(&both, &old["id_token"]) && verify(&both, &new["id_token"]));

    sentinel.withdraw_old_keys();
    let one = keys(&sentinel).await;
    assert!(!verify(&one, &old["id_token"]) && verify(&one, &new["id_token"]));
}

#[tokio::test]
async fn the_key_set_can_be_empty_or_nonsense() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_publish_keys(false);
    assert!(keys(&sentinel).await.is_empty());
    sentinel.set_jwks_body(Some(b"<html>".to_vec()));
    assert_eq!(get(&sentinel, JWKS, "").await.text(), "<html>");
    sentinel.set_jwks_body(None);
    sentinel.set_publish_keys(true);
    assert_eq!(keys(&sentinel).await.len(), 2);
    assert_eq!(sentinel.counts().jwks, 3);
}

#[tokio::test]
async fn claims_are_what_a_test_wants() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_issuer("sentinel");
    sentinel.set_id_claim("aud", "another");
    sentinel.set_id_claim("iat", 7);
    sentinel.remove_id_claim("sub");
    let claims = part(&log_in(&sentinel).await["id_token"], 1);
    assert_eq!(claims["iss"], "sentinel");
    assert_eq!(claims["aud"], "another");
    assert_eq!(claims["iat"], 7);
    assert_eq!(claims.get("sub"), None);

    sentinel.reset_id_claims();
    let claims = part(&log_in(&sentinel).await["id_token"], 1);
    assert_eq!(claims["sub"], "3552833710");
}
