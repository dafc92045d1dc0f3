use serde_json::json;

use super::*;

#[tokio::test]
async fn without_rotation_the_refresh_token_stays() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_rotation(false);
    let tokens = log_in(&sentinel).await;
    for _ in 0..2 {
        let next = refresh(&sentinel, &tokens["refresh_token"]).await.json();
        assert_eq!(next["refresh_token"], tokens["refresh_token"]);
        assert_ne!(next["access_token"], tokens["access_token"]);
    }
}

#[tokio::test]
async fn a_refresh_that_returns_no_token_spends_none() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_refresh_returns_token(false);
    let tokens = log_in(&sentinel).await;
    for _ in 0..2 {
        let next = refresh(&sentinel, &tokens["refresh_token"]).await;
        assert_eq!(next.status, 200);
        assert_eq!(next.json().get("refresh_token"), None);
    }
}

#[tokio::test]
async fn without_reuse_detection_only_the_spent_token_is_refused() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_reuse_detection(false);
    let first = log_in(&sentinel).await;
    let second = refresh(&sentinel, &first["refresh_token"]).await.json();
    assert_eq!(refresh(&sentinel, &first["refresh_token"]).await.status, 400);
    assert_eq!(refresh(&sentinel, &second["refresh_token"]).await.status, 200);
    assert_eq!(sentinel.counts().reuses, 1);
}

#[tokio::test]
async fn a_refresh_can_end_the_old_access_token() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_old_access_token_dies(true);
    let first = log_in(&sentinel).await;
    let second = refresh(&sentinel, &first["refresh_token"]).await.json();
    assert!(!live(&sentinel, &first) && live(&sentinel, &second));
}

#[tokio::test]
async fn a_lifetime_is_stated_in_every_form() {
    let sentinel = MockSentinel::start().await.unwrap();
    let rows = [
        (ExpiresIn::Number, Some(json!(28_800))),
        (ExpiresIn::Text, Some(json!("28800"))),
        (ExpiresIn::Literal(json!(-1)), Some(json!(-1))),
        (ExpiresIn::Absent, None),
    ];
    for (form, expected) in rows {
        sentinel.set_expires_in(form.clone());
        let tokens = log_in(&sentinel).await;
        assert_eq!(tokens.get("expires_in"), expected.as_ref(), "{form:?}");
    }
}

#[tokio::test]
async fn no_lifetime_is_too_long() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_access_token_lifetime(std::time::Duration::MAX);
    let tokens = log_in(&sentinel).await;
    assert_eq!(tokens["expires_in"], u64::MAX);
    assert!(live(&sentinel, &tokens));
}

#[tokio::test]
async fn parts_of_an_answer_can_be_left_out_or_changed() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.set_id_token(false);
    sentinel.set_login_refresh_token(false);
    sentinel.set_token_type(None);
    let tokens = log_in(&sentinel).await;
    for name in ["id_token", "refresh_token", "token_type"] {
        assert_eq!(tokens.get(name), None, "{name}");
    }

    sentinel.set_login_refresh_token(true);
    sentinel.set_refresh_id_token(true);
    sentinel.set_token_type(Some("mac"));
    sentinel.set_refresh_token_digits(544);
    let tokens = log_in(&sentinel).await;
    assert_eq!(tokens["refresh_token"].as_str().unwrap().len(), 544);
    let refreshed = refresh(&sentinel, &tokens["refresh_token"]).await.json();
    assert_eq!(refreshed["token_type"], "mac");
    assert!(refreshed["id_token"].is_string());
}
