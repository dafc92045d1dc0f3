use super::*;

/// Follows authorize to the login page, and submits its form.
async fn submit(sentinel: &MockSentinel, path: &str, form: &[(&str, &str)]) -> Answer {
    let answer = get(sentinel, path, "").await;
    assert_eq!(answer.status, 302);
    let page = answer.header("location").unwrap();
    post(sentinel, page, form).await
}

#[tokio::test]
async fn the_login_page_lists_all_users_and_a_way_out() {
    let sentinel = MockSentinel::start().await.unwrap();
    let answer = get(&sentinel, &authorize_path(&sentinel, &[]), "").await;
    let page = get(&sentinel, answer.header("location").unwrap(), "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let html = page.text();
    for user in sentinel.users() {
        assert!(html.contains(&format!("id=\"user-{}\"", user.id())));
        assert!(html.contains(user.name()));
    }
    assert!(html.contains("id=\"deny\"") && html.contains("app.example"));
    assert_eq!(sentinel.counts().logins, 0);
}

#[tokio::test]
async fn a_chosen_user_comes_back_with_a_code_and_the_state() {
    let sentinel = MockSentinel::start().await.unwrap();
    let path = authorize_path(&sentinel, &[("state", "a b&c")]);
    let answer = submit(&sentinel, &path, &[("user", "3552833711")]).await;
    let carried = answer.redirected();
    assert_eq!(value(&carried, "from"), Some("mock"));
    assert_eq!(value(&carried, "state"), Some("a b&c"));

    let tokens = redeem(&sentinel, value(&carried, "code").unwrap()).await;
    assert_eq!(tokens.header("cache-control"), Some("no-store"));
    assert!(live(&sentinel, &tokens.json()));
    let counts = sentinel.counts();
    assert_eq!((counts.authorize, counts.logins, counts.exchanges), (1, 1, 1));
}

#[tokio::test]
async fn a_known_browser_sees_no_page() {
    let sentinel = MockSentinel::start().await.unwrap();
    let path = authorize_path(&sentinel, &[]);
    let answer = submit(&sentinel, &path, &[("user", "3552833710")]).await;
    let set_cookie = answer.header("set-cookie").unwrap();
    assert!(set_cookie.contains("HttpOnly"), "{set_cookie}");
    let (cookie, _) = set_cookie.split_once(';').unwrap();
    assert_eq!(sentinel.live_sso_sessions(), 1);

    let header = format!("cookie: other=1; {cookie}\r\n");
    let again = get(&sentinel, &path, &header).await;
    assert!(value(&again.redirected(), "code").is_some());

    sentinel.end_user_sessions("3552833710");
    assert_eq!(sentinel.live_sso_sessions(), 0);
    let again = get(&sentinel, &path, &header).await;
    assert!(again.header("location").unwrap().starts_with("/login?"));
}

#[tokio::test]
async fn a_user_who_declines_comes_back_with_an_error() {
    let sentinel = MockSentinel::start().await.unwrap();
    let path = authorize_path(&sentinel, &[("state", "s")]);
    let carried = submit(&sentinel, &path, &[("deny", "1")]).await.redirected();
    assert_eq!(value(&carried, "error"), Some("access_denied"));
    assert!(value(&carried, "error_description").is_some());
    assert_eq!(value(&carried, "state"), Some("s"));
    assert_eq!(value(&carried, "code"), None);
}

#[tokio::test]
async fn a_request_out_of_order_stays_on_a_page() {
    let sentinel = MockSentinel::builder().redirect_uri(CALLBACK).start().await.unwrap();
    let good = authorize_path(&sentinel, &[]);
    let challenge = format!("{good}&code_challenge={}", "a".repeat(43));
    let rows = [
        (good.clone(), 302),
        (good.replace("redirect_uri=", "x="), 302), // the only one registered
        (good.replace("v=1.0&", ""), 400),
        (good.replace("response_type=code", "response_type=token"), 400),
        (good.replace("client_id=", "x="), 400),
        (good.replace("app.example", "evil.example"), 400),
        (format!("{good}&v=1.0"), 400),
        (challenge.clone(), 400),
        (format!("{challenge}&code_challenge_method=plain"), 400),
        (format!("{challenge}&code_challenge_method=S256"), 302),
        (good.replace(sentinel.client_id(), "unknown"), 401),
        (good.replace(sentinel.account_id(), "87654321"), 401),
    ];
    for (path, status) in rows {
        let answer = get(&sentinel, &path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("location").is_some(), status == 302);
    }
}

#[tokio::test]
async fn without_registration_every_web_address_is_a_redirect_uri() {
    let sentinel = MockSentinel::start().await.unwrap();
    let good = authorize_path(&sentinel, &[]);
    for (path, status) in [
        (good.replace("http%3A", "https%3A"), 302),
        (good.replace("http%3A", "javascript%3A"), 400),
        (good.replace("redirect_uri=", "x="), 400),
    ] {
        assert_eq!(get(&sentinel, &path, "").await.status, status, "{path}");
    }
}

#[tokio::test]
async fn auto_login_makes_up_users_as_needed() {
    let sentinel = MockSentinel::start().await.unwrap();
    sentinel.auto_login(Some("99"));
    let answer = get(&sentinel, &authorize_path(&sentinel, &[]), "").await;
    assert!(value(&answer.redirected(), "code").is_some());
    assert_eq!(sentinel.users().last().unwrap().id(), "99");
    assert_eq!(sentinel.live_sso_sessions(), 0);
}
