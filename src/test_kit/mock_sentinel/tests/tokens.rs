use std::time::Duration;

use super::*;
use crate::test_kit::ManualClock;

fn is_hex(value: &Value, digits: usize) -> bool {
    let text = value.as_str().unwrap();
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.len() == digits && text.bytes().all(hex)
}

#[tokio::test]
async fn a_login_yields_what_is_documented() {
    let sentinel = MockSentinel::start().await.unwrap();
    let tokens = log_in(&sentinel).await;
    assert!(is_hex(&tokens["access_token"], 64));
    assert!(is_hex(&tokens["refresh_token"], 288));
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 28_800);
    assert!(tokens["id_token"].is_string());

    let refreshed = refresh(&sentinel, &tokens["refresh_token"]).await.json();
    assert_eq!(refreshed.get("id_token"), None);
    assert!(is_hex(&refreshed["refresh_token"], 288));
}

#[tokio::test]
async fn an_id_token_on_request_is_the_one_of_a_login() {
    let sentinel = MockSentinel::builder().clock(ManualClock::new()).start().await.unwrap();
    for rotated in [false, true] {
        let tokens = log_in(&sentinel).await;
        assert_eq!(tokens["id_token"], sentinel.id_token("3552833710"), "{rotated}");
        assert_ne!(sentinel.id_token("3552833711"), sentinel.id_token("3552833710"));
        sentinel.set_id_claim("iss", "elsewhere");
        sentinel.rotate_signing_key();
    }
}

#[tokio::test]
async fn a_code_presented_twice_costs_the_tokens() {
    let sentinel = MockSentinel::start().await.unwrap();
    let code = code(&sentinel).await;
    let tokens = redeem(&sentinel, &code).await.json();
    assert!(live(&sentinel, &tokens));
    let again = redeem(&sentinel, &code).await;
    assert_eq!(error(&again), (400, "invalid_grant".to_owned()));
    assert!(!live(&sentinel, &tokens));
}

#[tokio::test]
async fn a_code_is_good_for_ten_minutes() {
    let clock = ManualClock::new();
    let sentinel = MockSentinel::builder().clock(clock.clone()).start().await;
    let sentinel = sentinel.unwrap();
    let code = code(&sentinel).await;
    clock.advance(Duration::from_secs(600));
    let answer = redeem(&sentinel, &code).await;
    assert_eq!(error(&answer), (400, "invalid_grant".to_owned()));
}

/// RFC 7636, appendix B.
#[tokio::test]
async fn a_challenge_binds_the_code_to_its_verifier() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.auto_login(Some("3552833710"));
    let path = authorize_path(
        &sentinel,
        &[
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ],
    );
    let carried = get(&sentinel, &path, "").await.redirected();
    let code = value(&carried, "code").unwrap();
    assert_eq!(redeem(&sentinel, code).await.status, 400);
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
    ];
    assert_eq!(token(&sentinel, &grant).await.status, 200);
}

#[tokio::test]
async fn a_spent_refresh_token_ends_its_family() {
    let sentinel = MockSentinel::start().await.unwrap();
    let first = log_in(&sentinel).await;
    let second = refresh(&sentinel, &first["refresh_token"]).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert!(live(&sentinel, &first) && live(&sentinel, &second));
    assert_eq!(sentinel.counts().reuses, 0);

    let reused = refresh(&sentinel, &first["refresh_token"]).await;
    assert_eq!(error(&reused), (400, "invalid_grant".to_owned()));
    assert!(!live(&sentinel, &first) && !live(&sentinel, &second));
    let latest = refresh(&sentinel, &second["refresh_token"]).await;
    assert_eq!(error(&latest), (400, "invalid_grant".to_owned()));
    assert_eq!(sentinel.counts().reuses, 1);
    assert_eq!(sentinel.counts().refreshes, 3);
}

#[tokio::test]
async fn clients_authenticate_in_the_body_alone() {
    let sentinel = MockSentinel::start().await.unwrap();
    let code = code(&sentinel).await;
    let path = account_path(&sentinel, "token?v=1.0");
    let (id, secret) = (sentinel.client_id(), sentinel.client_secret());
    assert_eq!(secret.len(), 26);
    let form = |secret| {
        [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("client_id", id),
            ("client_secret", secret),
        ]
    };
    let refused = (401, "invalid_client".to_owned());
    let wrong = post(&sentinel, &path, &form("wrong")).await;
    assert_eq!(error(&wrong), refused);
    let basic = post_with(&sentinel, &path, "authorization: Basic YTpi\r\n", &form(secret)).await;
    assert_eq!(error(&basic), refused);
    let elsewhere = path.replace(sentinel.account_id(), "1");
    assert_eq!(error(&post(&sentinel, &elsewhere, &form(secret)).await), refused);
    assert_eq!(post(&sentinel, &path, &form(secret)).await.status, 200);

    let calls = sentinel.calls();
    let had: Vec<bool> = calls[1..].iter().map(|call| call.had_authorization).collect();
    assert_eq!(had, [false, true, false, false]);
    assert_eq!(calls[1].endpoint, Endpoint::Token);
    assert_eq!(calls[1].field("client_secret"), Some("wrong"));
    assert_eq!(calls[1].query, "v=1.0");
}

#[tokio::test]
async fn a_token_request_out_of_order_is_an_oauth_error() {
    let sentinel = MockSentinel::start().await.unwrap();
    let rows: [(&[(&str, &str)], &str); 4] = [
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[], "invalid_request"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "refresh_token"), ("grant_type", "refresh_token")], "invalid_request"),
    ];
    for (grant, expected) in rows {
        let answer = token(&sentinel, grant).await;
        assert_eq!(error(&answer), (400, expected.to_owned()), "{grant:?}");
    }
    let no_version = post(&sentinel, &account_path(&sentinel, "token"), &[]).await;
    assert_eq!(error(&no_version), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn revocation_ends_the_tokens_and_the_sso_session() {
    let sentinel = MockSentinel::start().await.unwrap();
    let page = get(&sentinel, &authorize_path(&sentinel, &[]), "").await;
    let location = page.header("location").unwrap();
    let user = [("user", "3552833710")];
    let carried = post(&sentinel, location, &user).await.redirected();
    let tokens = redeem(&sentinel, value(&carried, "code").unwrap()).await.json();

    let form = [
        ("token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", sentinel.client_id()),
        ("client_secret", sentinel.client_secret()),
    ];
    let path = account_path(&sentinel, "token/revoke");
    assert_eq!(post(&sentinel, &path, &form).await.status, 400);
    assert_eq!(sentinel.live_sso_sessions(), 1);
    for version in ["?v=1.0", "?v1.0"] {
        let answer = post(&sentinel, &format!("{path}{version}"), &form).await;
        assert_eq!(answer.status, 200, "{version}");
    }
    assert!(!live(&sentinel, &tokens));
    assert_eq!(refresh(&sentinel, &tokens["refresh_token"]).await.status, 400);
    assert_eq!(sentinel.live_sso_sessions(), 0);
    assert_eq!(sentinel.counts().revocations, 3);
}

#[tokio::test]
async fn an_access_token_opens_the_resource_while_it_lives() {
    let clock = ManualClock::new();
    let sentinel = MockSentinel::builder()
        .clock(clock.clone())
        .access_token_lifetime(Duration::from_secs(60))
        .start()
        .await
        .unwrap();
    let tokens = log_in(&sentinel).await;
    let bearer = format!("authorization: Bearer {}\r\n", tokens["access_token"].as_str().unwrap());
    let path = "/api/account/12345678/configuration/le-users/users/me";
    let me = get(&sentinel, path, &bearer).await.json();
    assert_eq!(me["fullName"], "Dana Agent");
    assert_eq!(get(&sentinel, path, "").await.status, 401);

    clock.advance(Duration::from_secs(60));
    assert!(!live(&sentinel, &tokens));
    assert_eq!(get(&sentinel, path, &bearer).await.status, 401);
}

#[tokio::test]
async fn sessions_can_be_ended_from_outside() {
    let sentinel = MockSentinel::start().await.unwrap();
    let (first, second) = (log_in(&sentinel).await, log_in(&sentinel).await);
    sentinel.revoke_family_of(first["refresh_token"].as_str().unwrap());
    sentinel.revoke_family_of("never issued");
    assert!(!live(&sentinel, &first) && live(&sentinel, &second));
    sentinel.end_user_sessions("3552833710");
    let answer = refresh(&sentinel, &second["refresh_token"]).await;
    assert_eq!(error(&answer), (400, "invalid_grant".to_owned()));
    assert_eq!(sentinel.counts().reuses, 0);
}
