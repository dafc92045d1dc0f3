use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;

use super::{
    keys::{keys, part, verify},
    *,
};
use crate::{Clock, test_kit::ManualClock};

fn path(sentinel: &MockSentinel) -> String {
    format!("/sentinel/api/v2/account/{}/app/token", sentinel.account_id())
}

async fn ask(sentinel: &MockSentinel, secret: &str, grant_type: &str) -> Answer {
    let form = [
        ("client_id", sentinel.client_id()),
        ("client_secret", secret),
        ("grant_type", grant_type),
    ];
    post(sentinel, &path(sentinel), &form).await
}

#[tokio::test]
async fn an_app_token_is_what_is_documented() {
    let clock = ManualClock::new();
    let sentinel = MockSentinel::builder()
        .clock(clock.clone())
        .app_token_lifetime(Duration::from_secs(1800))
        .app_token_scopes(["users.read", "users.write"])
        .start()
        .await
        .unwrap();
    let answer = ask(&sentinel, sentinel.client_secret(), "client_credentials").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(1800)));
    assert_eq!(answer.get("refresh_token"), None);
    let token = &answer["access_token"];
    let header = part(token, 0);
    assert_eq!(header["alg"], "RS256");
    let id: Vec<usize> = header["kid"].as_str().unwrap().split('-').map(str::len).collect();
    assert_eq!(id, [8, 4, 4, 4, 12], "a UUID");
    let now = clock.now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let expected = json!({
        "iss": "Sentinel", "aud": "12345678", "azp": sentinel.client_id(),
        "scope": "users.read users.write", "iat": now, "exp": now + 1800,
    });
    assert_eq!(part(token, 1), expected);
    assert!(verify(&keys(&sentinel).await, token));
    assert_eq!(sentinel.counts().app_tokens, 1);
}

#[tokio::test]
async fn an_app_token_request_out_of_order_is_an_oauth_error() {
    let sentinel = MockSentinel::start().await.unwrap();
    let secret = sentinel.client_secret();
    let unknown = ask(&sentinel, "wrong", "client_credentials").await;
    assert_eq!(error(&unknown), (401, "invalid_client".to_owned()));
    let grant = ask(&sentinel, secret, "refresh_token").await;
    assert_eq!(error(&grant), (400, "unsupported_grant_type".to_owned()));
    let form = [("client_id", sentinel.client_id()), ("client_secret", secret)];
    let none = post(&sentinel, &path(&sentinel), &form).await;
    assert_eq!(error(&none), (400, "invalid_request".to_owned()));
    sentinel.inject(Endpoint::AppToken, Fault::throttled(7));
    assert_eq!(ask(&sentinel, secret, "client_credentials").await.status, 429);
    sentinel.set_expires_in(ExpiresIn::Text);
    let answer = ask(&sentinel, secret, "client_credentials").await.json();
    assert_eq!(answer["expires_in"], "3600");
    assert_eq!(sentinel.counts().app_tokens, 5);
    assert_eq!(sentinel.calls()[4].endpoint, Endpoint::AppToken);
}

#[tokio::test]
async fn a_test_makes_any_app_token() {
    let sentinel = MockSentinel::start().await.unwrap();
    let keys = keys(&sentinel).await;
    let an_hour = Duration::from_secs(3600);
    let usual = part(&json!(sentinel.app_token().build()), 1);
    let rows: [(&str, AppTokenBuilder, Value); 5] = [
        ("azp", sentinel.app_token().client_id("partner"), json!("partner")),
        ("aud", sentinel.app_token().account("le1"), json!("le1")),
        ("scope", sentinel.app_token().scopes(["a", "b"]), json!("a b")),
        (
            "https://liveperson.com/consumer_id",
            sentinel.app_token().delegated("somebody"),
            json!("somebody"),
        ),
        ("exp", sentinel.app_token().without_claim("exp"), Value::Null),
    ];
    for (name, builder, expected) in rows {
        let token = json!(builder.build());
        assert_eq!(part(&token, 1)[name], expected);
        assert!(verify(&keys, &token), "{name}");
    }
    let old = part(&json!(sentinel.app_token().issued_ago(an_hour).build()), 1);
    for name in ["iat", "exp"] {
        let passed = usual[name].as_u64().unwrap() - old[name].as_u64().unwrap();
        assert!((3595..=3600).contains(&passed), "{name} moved by {passed} s");
    }
    assert!(!verify(&keys, &json!(sentinel.app_token().signed_by_stranger().build())));
}

#[tokio::test]
async fn a_test_signs_with_a_key_of_its_own() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.add_key(json!({ "kty": "RSA", "kid": "mine", "n": "AQ", "e": "AQAB" }));
    let listed = keys(&sentinel).await;
    assert!(listed.iter().any(|key| key["kid"] == "mine"), "{listed:?}");
    let token = sentinel.app_token().signed_with("mine", <[u8]>::to_vec).build();
    let (message, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(part(&json!(token), 0)["kid"], "mine");
    let decoded = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(signature).unwrap();
    assert_eq!(decoded, message.as_bytes());
}
