//! The browser comes back from Sentinel.

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use support::{AGENT, App, Browser, Counters, FETCH, Logs, NAVIGATE, Page, eventually, read};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::Instant,
};
use tower_lp_auth::{
    Audience, Builder, LoginDecision, Rejection, RejectionReason, SessionKey,
    test_kit::{Call, Endpoint, Fault, ManualClock},
};
use url::Url;

/// MockSentinel's administrator.
const ADMIN: &str = "3552833711";

/// One more instance of the application, at the same redirect URI and with the same session key.
async fn second_instance(app: &App, change: impl FnOnce(Builder) -> Builder + 'static) -> App {
    let callback = app.url("/callback");
    App::builder()
        .beside(app)
        .layer(move |layer| change(layer.redirect_uri(callback)))
        .start()
        .await
}

/// The same browser, whose requests a balancer sends to another instance.
fn moved(browser: &Browser, to: &App) -> Browser {
    let mut moved = Browser::new(to);
    moved.jar = browser.jar.clone();
    moved
}

/// Path and query of a callback's URL.
fn path_of(callback: &str) -> String {
    Url::parse(callback).expect("a URL")[url::Position::BeforePath..].to_owned()
}

fn parameter(callback: &str, name: &str) -> String {
    let url = Url::parse(callback).expect("a URL");
    let named = url.query_pairs().find(|(key, _)| key == name);
    named.unwrap_or_else(|| panic!("no {name} in {callback}")).1.into_owned()
}

/// Opens a callback in a task of its own, as the browser is now.
fn open_in_background(browser: &Browser, callback: &str) -> tokio::task::JoinHandle<Page> {
    let request = browser.request(Method::GET, callback, &NAVIGATE, None);
    let url = callback.to_owned();
    tokio::spawn(async move { read(request.send().await.expect("an answer"), url).await })
}

/// Follows a page's one link to its end, as a signed-in user.
async fn assert_way_forward_signs_in(browser: &mut Browser, app: &App, page: &Page, case: &str) {
    app.sentinel.auto_login(Some(AGENT));
    browser.open(&page.way_forward()).await;
    let me = browser.fetch("/me").await;
    assert_eq!(me.status, 200, "after the way forward of {case}: {me:?}");
}

/// B34.
#[tokio::test]
async fn a_successful_callback_sets_one_session_and_leaks_nothing() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let page = browser.navigate(&callback).await;
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.location().as_deref(), Some("/me"));
    for (name, expected) in [("cache-control", "no-store"), ("referrer-policy", "no-referrer")] {
        assert_eq!(page.header(name), Some(expected), "{page:?}");
    }
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    let deleted = page.login_cookies();
    assert_eq!(deleted.len(), 1, "{page:?}");
    for attribute in ["=; ", "Max-Age=0", "Path=/", "HttpOnly", "SameSite=Lax"] {
        assert!(deleted[0].contains(attribute), "no {attribute} in {deleted:?}");
    }
    assert_eq!(app.calls(), 0);
}

/// B01, B02, B03, B05, B06, B07.
#[tokio::test]
async fn a_callback_with_anything_wrong_is_refused_before_anybody_is_asked() {
    let app = App::start().await;
    let mut started = Browser::new(&app);
    let good = started.reach_callback(&app, "/me").await;
    let (code, state) = (parameter(&good, "code"), parameter(&good, "state"));
    let other = "A".repeat(43);
    let long = "c".repeat(60 * 1024);
    let before = app.sentinel.counts();
    for query in [
        String::new(),
        "?".into(),
        format!("?code={code}"),
        format!("?code={code}&state="),
        format!("?code={code}&state=short"),
        format!("?code={code}&state={other}"),
        format!("?code={code}&state={state}&state={state}"),
        format!("?code={code}&state={other}&state={state}"),
        format!("?code={code}&state={state}&state={other}"),
        format!("?code={code}&state[]={state}"),
        format!("?code={code}&state=%ff{state}"),
        format!("?code={code}&state={state}%00"),
        format!("?code={long}&state={state}"),
    ] {
        let case = format!("{query:.200}");
        let mut browser = started.clone();
        let began = Instant::now();
        let page = browser.navigate(&format!("/callback{query}")).await;
        assert!(began.elapsed() < Duration::from_secs(2), "{case}");
        page.assert_refused();
        assert!(!page.body.contains(&code) && !page.body.contains(&state), "{case}: {page:?}");
        assert!(!page.deletes_login(), "{case}: {page:?}");
        assert_eq!(app.sentinel.counts(), before, "{case}");
        browser.navigate(&page.way_forward()).await.assert_login();
    }
    assert_eq!(started.navigate(&good).await.location().as_deref(), Some("/me"));
}

/// B05, B06, B07: beside a good state, anything wrong ends the login that the state names, for good.
#[tokio::test]
async fn a_callback_with_a_good_state_and_anything_wrong_ends_its_login() {
    let app = App::start().await;
    for query in [
        "?state={state}",
        "?code=&state={state}",
        "?code=%ff&state={state}",
        "?code=a%0d%0ab&state={state}",
        "?code={code}&code={code}&state={state}",
        "?code=x&state={state}&code={code}",
        "?iss=a&code={code}&iss=b&state={state}",
        "?error=a&error=b&state={state}",
    ] {
        let mut browser = Browser::new(&app);
        let good = browser.reach_callback(&app, "/me").await;
        let mut kept = browser.clone();
        let before = app.sentinel.counts();
        let (code, state) = (parameter(&good, "code"), parameter(&good, "state"));
        let wrong = query.replace("{code}", &code).replace("{state}", &state);
        let page = browser.navigate(&format!("/callback{wrong}")).await;
        page.assert_refused();
        assert!(!page.body.contains(&code) && !page.body.contains(&state), "{query}: {page:?}");
        assert!(page.deletes_login(), "{query}: {page:?}");
        // A jar that has kept the cookie does not revive it.
        kept.navigate(&good).await.assert_refused();
        assert_eq!(app.sentinel.counts(), before, "{query}");
    }
}

/// B04.
#[tokio::test]
async fn a_callback_of_another_browser_signs_nobody_in() {
    let app = App::start().await;
    let mut attacker = Browser::new(&app);
    let callback = attacker.reach_callback(&app, "/me").await;
    let signed_in = Browser::signed_in(&app).await;
    let mut busy = Browser::new(&app);
    busy.reach_callback(&app, "/token").await;
    for (case, mut victim) in
        [("nobody", Browser::new(&app)), ("signed in", signed_in), ("logging in", busy)]
    {
        let before = app.sentinel.counts().exchanges;
        let jar = victim.jar.header();
        let page = victim.navigate(&callback).await;
        page.assert_refused();
        assert_eq!(victim.jar.header(), jar, "{case}");
        assert_eq!(app.sentinel.counts().exchanges, before, "{case}");
        assert_way_forward_signs_in(&mut victim, &app, &page, case).await;
        assert_eq!(victim.fetch("/me").await.json()["user_id"], AGENT, "{case}");
    }
}

/// B08, B09.
#[tokio::test]
async fn an_error_from_sentinel_ends_the_login_and_shows_none_of_its_text() {
    let app = App::start().await;
    let bad = "<script>alert(1)</script>canary";
    for (error, status, retry) in [
        ("access_denied", 403, false),
        ("server_error", 503, true),
        ("temporarily_unavailable", 503, true),
        ("invalid_scope", 400, false),
        (bad, 400, false),
        ("", 400, false),
    ] {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me?a=1").await;
        let state = parameter(&callback, "state");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("error", error)
            .append_pair("error_description", bad)
            .append_pair("error_uri", "https://evil.example/canary")
            .finish();
        for (other, case) in [
            (format!("/callback?{query}"), "no state"),
            (format!("/callback?{query}&state={}", "A".repeat(43)), "a wrong state"),
            (format!("/callback?{query}&state={bad}"), "a broken state"),
        ] {
            let page = browser.navigate(&other).await;
            page.assert_refused();
            assert!(!page.deletes_login(), "{error} with {case}: {page:?}");
            assert!(!page.body.contains("canary"), "{error} with {case}: {page:?}");
        }
        let page = browser.navigate(&format!("/callback?{query}&state={state}")).await;
        page.assert_closed_page(status);
        assert!(!page.body.contains("canary") && !page.body.contains("alert"), "{page:?}");
        assert!(page.deletes_login(), "{error}: {page:?}");
        assert_eq!(page.header("retry-after").is_some(), retry, "{error}: {page:?}");
        assert_eq!(page.way_forward(), "/login?return_to=%2Fme%3Fa%3D1", "{error}");
        browser.navigate(&callback).await.assert_refused();
        assert_eq!(app.sentinel.counts().exchanges, 0, "{error}");
    }
}

/// B08: the user declines on Sentinel's own page.
#[tokio::test]
async fn a_user_who_declines_ends_on_a_page_and_may_try_again() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let start = browser.navigate("/me").await;
    let form = browser.navigate(&start.location().unwrap()).await.location().unwrap();
    let form = format!("{}{form}", app.sentinel.url());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let denied = browser.send(Method::POST, &form, &headers, Some("deny=".into())).await;
    let page = browser.navigate(&denied.location().expect("a way back")).await;
    page.assert_closed_page(403);
    assert_eq!(app.sentinel.counts().exchanges, 0);
    assert_way_forward_signs_in(&mut browser, &app, &page, "a denial").await;
}

/// B10, B11.
#[tokio::test]
async fn a_callback_that_is_repeated_presents_no_code_again() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let before = browser.clone();
    browser.navigate(&callback).await;
    let with_session = browser.navigate(&callback).await;
    assert_eq!(with_session.location().as_deref(), Some("/"), "{with_session:?}");
    assert!(with_session.set_cookies().is_empty(), "{with_session:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);

    let mut without = Browser::new(&app);
    let page = without.navigate(&callback).await;
    page.assert_refused();
    let mut kept = before;
    let again = kept.navigate(&callback).await;
    again.assert_refused();
    assert!(again.deletes_login(), "{again:?}");
    assert_eq!(app.sentinel.counts().exchanges, 1);

    let mut signed_out = browser;
    signed_out.post("/logout").await;
    let back = signed_out.navigate(&callback).await;
    back.assert_refused();
    assert_eq!(app.sentinel.counts().exchanges, 1);

    for (mut browser, page) in [(without, page), (kept, again), (signed_out, back)] {
        let authorized = app.sentinel.counts().authorize;
        assert_way_forward_signs_in(&mut browser, &app, &page, "a replay").await;
        assert_eq!(app.sentinel.counts().authorize, authorized + 1);
    }
}

/// B10, B11, after a restart: nothing is remembered of spent states.
#[tokio::test]
async fn a_callback_repeated_after_a_restart_still_signs_in_nobody_twice() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let before = browser.clone();
    browser.navigate(&callback).await;
    let restarted = second_instance(&app, |layer| layer).await;
    let callback = path_of(&callback);

    let mut same = moved(&browser, &restarted);
    let page = same.navigate(&callback).await;
    assert_eq!(page.location().as_deref(), Some("/"), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
    Browser::new(&restarted).navigate(&callback).await.assert_refused();
    assert_eq!(app.sentinel.counts().exchanges, 1);

    // A jar that kept the login's cookie: the code is Sentinel's to refuse.
    let mut kept = moved(&before, &restarted);
    let page = kept.navigate(&callback).await;
    page.assert_closed_page(502);
    assert!(page.deletes_login(), "{page:?}");
    assert_eq!(app.sentinel.counts().exchanges, 2);
    kept.navigate(&page.way_forward()).await.assert_login();
}

/// B12, jar rule 4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_callbacks_at_once_present_the_code_once_and_make_one_session() {
    let app = App::start().await;
    app.sentinel.inject(Endpoint::Token, Fault::Delay(Duration::from_millis(300)));
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let tasks: Vec<_> = (0..20).map(|_| open_in_background(&browser, &callback)).collect();
    let mut sessions = Vec::new();
    for task in tasks {
        let page = task.await.unwrap();
        assert_eq!(page.status, 303, "{page:?}");
        let expected = if page.session_cookies().is_empty() { "/" } else { "/me" };
        assert_eq!(page.location().as_deref(), Some(expected), "{page:?}");
        if expected == "/" {
            assert!(page.set_cookies().is_empty(), "{page:?}");
        }
        sessions.extend(page.session_cookies());
        browser.take_cookies(&page);
    }
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(app.sentinel.counts().exchanges, 1);
    assert_eq!(browser.fetch("/me").await.status, 200);
}

/// B12, B27, X07: nor does a failure multiply the calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_callbacks_at_once_make_one_call_when_it_fails_too() {
    let app = App::start().await;
    for (case, fault, ends) in [
        ("500", Fault::status(500), true),
        ("invalid_grant", Fault::oauth_error("invalid_grant"), true),
        ("429", Fault::throttled(30), false),
    ] {
        let before = app.sentinel.counts().exchanges;
        app.sentinel.inject(Endpoint::Token, Fault::after(Duration::from_millis(200), fault));
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let tasks: Vec<_> = (0..20).map(|_| open_in_background(&browser, &callback)).collect();
        let mut explained = 0;
        for task in tasks {
            let page = task.await.unwrap();
            if page.status == 303 {
                assert_eq!(page.location().as_deref(), Some("/"), "{case}: {page:?}");
                assert!(page.set_cookies().is_empty(), "{case}: {page:?}");
            } else {
                page.assert_closed_page(page.status.as_u16());
                assert!(ends || !page.deletes_login(), "{case}: {page:?}");
                explained += 1;
            }
        }
        assert!(explained >= 1, "{case}");
        assert_eq!(app.sentinel.counts().exchanges, before + 1, "{case}");
    }
    assert_eq!(app.calls(), 0);
}

/// Jar rule 4.
#[tokio::test]
async fn a_reload_during_a_slow_exchange_gets_the_session() {
    let app = App::start().await;
    for hang_up in [false, true] {
        let exchanges = app.sentinel.counts().exchanges;
        app.sentinel.inject(Endpoint::Token, Fault::Late(Duration::from_millis(400)));
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let first = open_in_background(&browser, &callback);
        eventually("the code is presented", || app.sentinel.counts().exchanges > exchanges).await;
        if hang_up {
            first.abort();
            browser.navigate(&callback).await;
        } else {
            let second = open_in_background(&browser, &callback);
            let first = first.await.unwrap();
            assert_eq!(first.location().as_deref(), Some("/"), "{first:?}");
            assert!(first.set_cookies().is_empty(), "{first:?}");
            let second = second.await.unwrap();
            assert_eq!(second.location().as_deref(), Some("/me"), "{second:?}");
            browser.take_cookies(&second);
        }
        assert_eq!(browser.fetch("/me").await.status, 200, "hung up: {hang_up}");
        assert_eq!(app.sentinel.counts().exchanges, exchanges + 1, "hung up: {hang_up}");
    }
}

/// Jar rule 4.
#[tokio::test]
async fn an_outcome_that_nobody_waited_for_goes_to_the_callback_that_comes_later() {
    let app = App::start().await;
    app.sentinel.inject(Endpoint::Token, Fault::Delay(Duration::from_millis(100)));
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let first = open_in_background(&browser, &callback);
    eventually("the code is presented", || app.sentinel.counts().exchanges == 1).await;
    first.abort();
    eventually("the keys are fetched", || app.sentinel.counts().jwks == 1).await;
    let page = browser.navigate(&callback).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);
    assert_eq!(app.sentinel.counts().exchanges, 1);
}

/// B13.
#[tokio::test]
async fn a_login_older_than_ten_minutes_is_over_whatever_the_browser_keeps() {
    let app = App::start().await;
    for (age, over) in [(600, false), (601, true), (100_000, true)] {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let before = app.sentinel.counts().exchanges;
        app.advance(age);
        let page = browser.navigate(&callback).await;
        if over {
            page.assert_refused();
            assert!(page.deletes_login(), "after {age} s: {page:?}");
            assert_eq!(app.sentinel.counts().exchanges, before, "after {age} s");
            assert_way_forward_signs_in(&mut browser, &app, &page, "a late login").await;
        } else {
            assert_eq!(app.sentinel.counts().exchanges, before + 1, "after {age} s");
        }
    }
}

/// B18.
#[tokio::test]
async fn a_login_of_another_application_or_account_is_unknown() {
    let app = App::start().await;
    let elsewhere = App::builder().beside(&app).start().await;
    let other_account = second_instance(&app, |layer| layer.account("87654321")).await;
    for (case, other, renamed) in [("origin", &elsewhere, true), ("account", &other_account, false)]
    {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let before = app.sentinel.counts();
        let mut victim = Browser::new(other);
        let (name, value) = browser.jar.logins()[0];
        let hash = &name[name.len() - 16..];
        if renamed {
            victim.navigate("/me").await;
            let own = victim.jar.logins()[0].0.to_owned();
            victim.jar.insert(&format!("{}{hash}", &own[..own.len() - 16]), value);
        } else {
            victim.jar.insert(name, value);
        }
        let page = victim.navigate(&path_of(&callback)).await;
        page.assert_refused();
        assert!(page.deletes_login(), "{case}: {page:?}");
        assert_eq!(app.sentinel.counts().exchanges, before.exchanges, "{case}");
    }
}

/// B19.
#[tokio::test]
async fn a_login_cookie_is_no_session_and_a_session_is_no_login_cookie() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let (session_name, session) = browser.jar.session().expect("a session");
    let (session_name, session) = (session_name.to_owned(), session.to_owned());
    let callback = browser.reach_callback(&app, "/login").await;
    let (login_name, login) = browser.jar.logins()[0];
    let (login_name, login) = (login_name.to_owned(), login.to_owned());
    let before = app.sentinel.counts().exchanges;

    let mut pasted = Browser::new(&app);
    pasted.jar.insert(&session_name, &login);
    pasted.fetch("/me").await.assert_unauthorized();
    pasted.jar.clear();
    pasted.jar.insert(&login_name, &session);
    let page = pasted.navigate(&callback).await;
    page.assert_refused();
    assert!(page.deletes_login(), "{page:?}");
    assert_eq!(app.sentinel.counts().exchanges, before);
}

/// B23.
#[tokio::test]
async fn with_pkce_the_verifier_matches_the_challenge_and_is_seen_nowhere_else() {
    let (logs, _guard) = Logs::capture();
    let app = App::builder().layer(|layer| layer.pkce(true)).start().await;
    let mut browser = Browser::new(&app);
    let start = browser.navigate("/me").await;
    let callback = browser.through_sentinel(&app, &start, AGENT).await;
    let page = browser.navigate(&callback).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    let exchange = last_exchange(&app);
    let verifier = exchange.field("code_verifier").expect("a verifier");
    assert_eq!(verifier.len(), 43);
    let seen = format!("{start:?} {callback} {page:?} {}", logs.text());
    assert!(logs.text().contains("signed in"), "nothing was logged");
    assert!(!seen.contains(verifier));

    let start = browser.navigate("/login").await;
    let mut url = Url::parse(&start.location().unwrap()).unwrap();
    let altered: Vec<_> = url
        .query_pairs()
        .map(|(name, value)| match &*name {
            "code_challenge" => (name.into_owned(), "A".repeat(43)),
            _ => (name.into_owned(), value.into_owned()),
        })
        .collect();
    url.query_pairs_mut().clear().extend_pairs(altered);
    let callback = browser.navigate(url.as_str()).await.location().expect("a code");
    let page = browser.navigate(&callback).await;
    page.assert_closed_page(502);
    assert!(page.deletes_login(), "{page:?}");
    assert_eq!(browser.fetch("/me").await.status, 200, "the session before stays");
}

fn last_exchange(app: &App) -> Call {
    let calls = app.sentinel.calls();
    calls.into_iter().rfind(|call| call.endpoint == Endpoint::Token).expect("a token call")
}

/// B24: answers that are no login.
#[tokio::test]
async fn an_answer_of_the_token_endpoint_that_lacks_anything_is_refused() {
    let app = App::start().await;
    let body = |value: Value| Fault::Body(value.to_string().into_bytes());
    let faults = [
        ("error in a 200", body(json!({ "error": "invalid_grant" }))),
        ("no access token", body(json!({ "token_type": "Bearer", "id_token": "a.b.c" }))),
        ("an empty object", body(json!({}))),
        ("no object", body(json!([]))),
        ("HTML", Fault::Body(b"<html>captive</html>".to_vec())),
        ("no id_token", body(json!({ "token_type": "Bearer", "access_token": "a" }))),
        ("a broken id_token", {
            body(json!({ "token_type": "Bearer", "access_token": "a", "id_token": "a.b.c" }))
        }),
        ("invalid_grant", Fault::oauth_error("invalid_grant")),
        ("invalid_client", Fault::oauth_error("invalid_client")),
        ("404", Fault::status(404)),
    ];
    for (case, fault) in faults {
        app.sentinel.inject(Endpoint::Token, fault);
        assert_login_refused(&app, case, 502).await;
    }
    for token_type in [None, Some("mac"), Some("")] {
        app.sentinel.set_token_type(token_type);
        assert_login_refused(&app, &format!("token_type {token_type:?}"), 502).await;
    }
    app.sentinel.set_token_type(Some("Bearer"));
    app.sentinel.set_id_token(false);
    let (logs, _guard) = Logs::capture();
    assert_login_refused(&app, "no id_token", 502).await;
    assert!(logs.text().contains("LP_TOKEN_API_VERSION"), "{}", logs.text());
}

/// A login that fails: a page, no session, its cookie deleted, one token call, and a link that
/// starts another.
async fn assert_login_refused(app: &App, case: &str, status: u16) {
    let mut browser = Browser::new(app);
    let callback = browser.reach_callback(app, "/me").await;
    let before = app.sentinel.counts().exchanges;
    let page = browser.navigate(&callback).await;
    assert_eq!(page.status.as_u16(), status, "{case}: {page:?}");
    page.assert_closed_page(status);
    assert!(page.deletes_login(), "{case}: {page:?}");
    assert_eq!(page.way_forward(), "/login?return_to=%2Fme", "{case}");
    assert_eq!(app.sentinel.counts().exchanges, before + 1, "{case}");
    assert_eq!(browser.jar.header(), None, "{case}");
    browser.navigate(&callback).await.assert_refused();
    assert_eq!(app.sentinel.counts().exchanges, before + 1, "{case} again");
    browser.navigate(&page.way_forward()).await.assert_login();
}

/// B25.
#[tokio::test]
async fn a_token_type_is_bearer_in_any_case() {
    let app = App::start().await;
    for token_type in ["bearer", "BEARER", "Bearer"] {
        app.sentinel.set_token_type(Some(token_type));
        Browser::signed_in(&app).await;
    }
}

/// B26.
#[tokio::test]
async fn members_that_nobody_knows_are_ignored() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", &parameter(&callback, "code"))
        .append_pair("redirect_uri", &app.url("/callback"))
        .append_pair("client_id", app.sentinel.client_id())
        .append_pair("client_secret", app.sentinel.client_secret())
        .finish();
    let account = app.sentinel.account_id();
    let url = format!("{}/sentinel/api/account/{account}/token?v=2.0", app.sentinel.url());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = browser.send(Method::POST, &url, &headers, Some(form)).await;
    let mut answer = answer.json();
    assert!(answer["access_token"].is_string(), "{answer}");
    answer["x"] = json!({ "y": [1, { "z": null }] });
    answer["config"] = json!("…");
    app.sentinel.inject(Endpoint::Token, Fault::Body(answer.to_string().into_bytes()));
    browser.navigate(&callback).await;
    assert_eq!(browser.fetch("/me").await.access_token(), answer["access_token"].as_str().unwrap());
}

/// B27, X03, X05, X06: the code may be spent, so it is never presented again.
#[tokio::test]
async fn an_exchange_that_fails_after_it_was_sent_ends_the_login_with_a_retry_link() {
    let app =
        App::builder().layer(|layer| layer.request_timeout(Duration::from_secs(2))).start().await;
    for (case, fault) in [
        ("500", Fault::status(500)),
        ("503", Fault::status(503)),
        ("302", Fault::status(302)),
        ("no answer", Fault::Hang),
        ("a slow body", Fault::Drip),
        ("a reset", Fault::Reset),
        ("a lost response", Fault::LostResponse),
        ("half a body", Fault::HalfBody),
    ] {
        app.sentinel.inject(Endpoint::Token, fault);
        assert_login_refused(&app, case, 503).await;
    }
    app.sentinel.inject(Endpoint::Token, Fault::ResetAfterBody);
    Browser::signed_in(&app).await;
}

/// X17: keys that cannot be had refuse the login for now.
#[tokio::test]
async fn a_login_without_keys_to_verify_with_is_refused_for_now() {
    let app = App::start().await;
    app.sentinel.inject_always(Endpoint::Jwks, Fault::status(503));
    assert_login_refused(&app, "no keys", 503).await;
}

/// A port of loopback that refuses connections until it is opened, then leads to `target`.
struct Gate(TcpSocket, SocketAddr);

impl Gate {
    fn closed() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port on loopback");
        let address = socket.local_addr().expect("a bound socket");
        Self(socket, address)
    }

    fn open(self, target: &str) {
        let target = target.strip_prefix("http://").expect("plain http").to_owned();
        let listener = self.0.listen(64).expect("a listener");
        tokio::spawn(async move {
            while let Ok((mut from, _)) = listener.accept().await {
                let target = target.clone();
                tokio::spawn(async move {
                    let mut to = TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut from, &mut to).await
                });
            }
        });
    }
}

/// X03: no connection, so the code is unspent and the same callback works later.
#[tokio::test]
async fn an_exchange_that_was_not_sent_keeps_the_login_for_a_reload() {
    let app = App::start().await;
    let gate = Gate::closed();
    let sentinel = format!("http://{}", gate.1);
    let cut_off = second_instance(&app, move |layer| layer.sentinel_url(sentinel)).await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let mut browser = moved(&browser, &cut_off);
    for _ in 0..2 {
        let page = browser.navigate(&path_of(&callback)).await;
        page.assert_unavailable();
        page.assert_closed_page(503);
        assert_eq!(page.way_forward(), path_of(&callback));
    }
    assert_eq!(app.sentinel.counts().exchanges, 0);
    gate.open(&app.sentinel.url());
    let page = browser.navigate(&path_of(&callback)).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);
}

/// X07: a 429 leaves the code unspent.
#[tokio::test]
async fn a_429_at_the_exchange_keeps_the_login_and_says_when_to_come_back() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me?a=1&b=2").await;
    app.sentinel.inject(Endpoint::Token, Fault::throttled(7));
    for (passed, left) in [(0, "7"), (3, "4")] {
        app.advance(passed);
        let page = browser.navigate(&callback).await;
        page.assert_unavailable();
        page.assert_closed_page(503);
        assert_eq!(page.header("retry-after"), Some(left));
        assert_eq!(page.way_forward(), path_of(&callback));
        assert_eq!(app.sentinel.counts().exchanges, 1);
    }
    app.advance(4);
    let page = browser.navigate(&path_of(&callback)).await;
    assert_eq!(page.location().as_deref(), Some("/me?a=1&b=2"), "{page:?}");
    assert_eq!(app.sentinel.counts().exchanges, 2);
}

/// The limit of 32 exchanges at once: what is beyond is not queued, and loses nothing.
#[tokio::test]
async fn the_33rd_exchange_at_once_is_asked_to_reload_and_then_succeeds() {
    let app = App::start().await;
    app.sentinel.inject_always(Endpoint::Token, Fault::Delay(Duration::from_millis(1500)));
    let mut logins = Vec::new();
    for _ in 0..33 {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        logins.push((browser, callback));
    }
    let (mut late, late_callback) = logins.pop().expect("33 logins");
    let running: Vec<_> =
        logins.iter().map(|(browser, callback)| open_in_background(browser, callback)).collect();
    eventually("32 codes are presented", || app.sentinel.counts().exchanges == 32).await;
    let page = late.navigate(&late_callback).await;
    page.assert_unavailable();
    page.assert_closed_page(503);
    assert_eq!(page.header("retry-after"), Some("1"));
    assert_eq!(page.way_forward(), path_of(&late_callback));
    assert_eq!(app.sentinel.counts().exchanges, 32);
    // A reload of one that is running is no 33rd.
    let reload = open_in_background(&logins[0].0, &logins[0].1);
    app.sentinel.clear_faults();
    let mut sessions = 0;
    for task in running.into_iter().chain([reload]) {
        let page = task.await.unwrap();
        assert_eq!(page.status, 303, "{page:?}");
        sessions += page.session_cookies().len();
    }
    assert_eq!(sessions, 32);
    let page = late.navigate(&page.way_forward()).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
}

/// B28.
#[tokio::test]
async fn a_browser_that_keeps_no_cookies_ends_on_a_page_that_says_so() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    app.sentinel.auto_login(Some(AGENT));
    let mut page = browser.navigate("/me").await;
    let mut redirects = 0;
    while let Some(location) = page.location() {
        redirects += 1;
        assert!(redirects <= 3, "still on the way to {location}");
        browser.jar.clear();
        page = browser.navigate(&location).await;
    }
    page.assert_refused();
    assert!(page.body.contains("Your browser sent no cookie"), "{page:?}");
    assert_eq!(app.sentinel.counts().exchanges, 0);
}

/// B29, X21.
#[tokio::test]
async fn a_clock_that_is_wrong_by_a_quarter_of_an_hour_is_named_and_loops_nothing() {
    for ahead in [true, false] {
        let wrong = ManualClock::new();
        let skew = Duration::from_secs(15 * 60);
        if ahead {
            wrong.jump_wall_forward(skew)
        } else {
            wrong.jump_wall_backward(skew)
        }
        let app = App::builder().layer(move |layer| layer.clock(wrong)).start().await;
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let (logs, _guard) = Logs::capture();
        let page = browser.navigate(&callback).await;
        page.assert_closed_page(502);
        assert!(page.body.contains("clocks"), "{page:?}");
        assert!(page.deletes_login(), "{page:?}");
        let text = logs.text();
        assert!(text.contains("clock_skew"), "ahead: {ahead}: {text}");
        let errors = text.lines().filter(|line| line.contains("ERROR")).count();
        assert_eq!(errors, 1, "ahead: {ahead}: {text}");
    }
}

/// X21.
#[tokio::test]
async fn a_clock_that_is_wrong_by_a_minute_is_forgiven() {
    for ahead in [true, false] {
        let wrong = ManualClock::new();
        let skew = Duration::from_secs(59);
        if ahead {
            wrong.jump_wall_forward(skew)
        } else {
            wrong.jump_wall_backward(skew)
        }
        let app = App::builder().layer(move |layer| layer.clock(wrong)).start().await;
        Browser::signed_in(&app).await;
    }
}

/// B30, B31.
#[tokio::test]
async fn only_a_real_get_consumes_a_callback() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    for method in [Method::HEAD, Method::POST, Method::PUT, Method::OPTIONS, Method::DELETE] {
        let page = browser.send(method.clone(), &callback, &NAVIGATE, None).await;
        assert_eq!(page.status, 405, "{method}: {page:?}");
        assert_eq!(page.header("allow"), Some("GET"), "{method}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{method}");
        assert!(page.set_cookies().is_empty(), "{method}: {page:?}");
    }
    for (name, value) in
        [("sec-purpose", "prefetch"), ("sec-purpose", "prefetch;prerender"), ("x-moz", "prefetch")]
    {
        let headers: Vec<_> = NAVIGATE.into_iter().chain([(name, value)]).collect();
        let page = browser.send(Method::GET, &callback, &headers, None).await;
        page.assert_closed_page(503);
        assert!(page.set_cookies().is_empty(), "{value}: {page:?}");
    }
    assert_eq!(app.sentinel.counts().exchanges, 0);
    assert_eq!(browser.navigate(&callback).await.location().as_deref(), Some("/me"));
}

/// B32, B33, jar rule 3.
#[tokio::test]
async fn a_login_ends_the_session_that_the_browser_brought() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let planted = browser.clone();
    let callback = browser.reach_callback_as(&app, "/login", ADMIN).await;
    assert_eq!(planted.clone().fetch("/me").await.status, 200, "until the new session exists");
    browser.navigate(&callback).await;
    assert_eq!(browser.fetch("/me").await.json()["user_id"], ADMIN);
    planted.clone().fetch("/me").await.assert_unauthorized();
    assert_ne!(browser.jar.session(), planted.jar.session());
}

/// Jar rule 3: a login that fails ends nothing.
#[tokio::test]
async fn a_login_that_fails_leaves_the_session_before() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let session = browser.jar.session().map(|(_, value)| value.to_owned());
    app.sentinel.inject(Endpoint::Token, Fault::status(500));
    let callback = browser.reach_callback_as(&app, "/login", ADMIN).await;
    let page = browser.navigate(&callback).await;
    page.assert_closed_page(503);
    assert_eq!(browser.jar.session().map(|(_, value)| value.to_owned()), session);
    assert_eq!(browser.fetch("/me").await.json()["user_id"], AGENT);
}

/// B36.
#[tokio::test]
async fn claims_of_any_size_or_shape_split_no_header_and_end_in_a_session_or_a_page() {
    let app = App::start().await;
    let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (name, value, status) in [
        ("name", json!("a\r\nset-cookie: x=1"), 303),
        ("sub", json!("a\r\nset-cookie: x=1"), 502),
        ("name", json!("x".repeat(4 * 1024)), 303),
        ("name", json!("x".repeat(16 * 1024)), 502),
        ("name", json!("x".repeat(1024 * 1024)), 502),
        ("name", nested(1000), 502),
        ("sub", json!("x".repeat(4 * 1024)), 502),
        ("sub", json!(""), 502),
        ("sub", json!(7), 502),
        ("sub", json!({ "a": 1 }), 502),
    ] {
        app.sentinel.reset_id_claims();
        let case = format!("{name} = {value:.40}");
        app.sentinel.set_id_claim(name, value);
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let page = browser.navigate(&callback).await;
        assert_eq!(page.status.as_u16(), status, "{case}: {page:?}");
        assert!(page.deletes_login(), "{case}: {page:?}");
        let names: Vec<_> = browser.jar.names();
        assert_eq!(names.len(), usize::from(status == 303), "{case}: {names:?}");
        let me = browser.fetch("/me").await;
        assert_eq!(me.status.as_u16(), if status == 303 { 200 } else { 401 }, "{case}");
    }
}

/// C14, C15: what a sibling has tossed in ends on a page, not in a loop.
#[tokio::test]
async fn session_cookies_that_no_login_can_replace_end_on_a_page() {
    let app = App::start().await;
    let (one, two) = (Browser::signed_in(&app).await, Browser::signed_in(&app).await);
    let (name, one_value) = one.jar.session().expect("a session");
    let (_, two_value) = two.jar.session().expect("another session");
    for (case, values, signs_in) in [
        ("two sessions", vec![one_value, two_value], false),
        ("five cookies", vec!["a", "b", "c", "d", "e"], false),
        ("four cookies", vec!["a", "b", "c", "d"], true),
        ("one twice and a broken one", vec![one_value, "a", one_value], true),
    ] {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let mut tossed: Vec<_> = values.iter().map(|value| format!("{name}={value}")).collect();
        tossed.extend(browser.jar.header());
        let cookies = tossed.join("; ");
        browser.jar.clear();
        let headers: Vec<_> = NAVIGATE.into_iter().chain([("cookie", &*cookies)]).collect();
        let page = browser.send(Method::GET, &callback, &headers, None).await;
        assert!(page.deletes_login(), "{case}: {page:?}");
        assert_eq!(page.session_cookies().len(), usize::from(signs_in), "{case}: {page:?}");
        if signs_in {
            assert_eq!(page.location().as_deref(), Some("/me"), "{case}: {page:?}");
        } else {
            page.assert_refused();
            assert!(page.body.contains("Two sessions at once"), "{case}: {page:?}");
            assert_eq!(one.clone().fetch("/me").await.status, 200, "{case}");
            assert_eq!(two.clone().fetch("/me").await.status, 200, "{case}");
        }
    }
}

/// M01: a login at its most talkative, and one that fails.
#[tokio::test]
async fn no_secret_of_a_login_is_ever_logged() {
    let (logs, _guard) = Logs::capture();
    let app = App::builder().layer(|layer| layer.pkce(true)).start().await;
    let mut secrets = vec![app.sentinel.client_secret().to_owned()];
    for fault in [None, Some(Fault::oauth_error("invalid_grant")), Some(Fault::status(500))] {
        if let Some(fault) = fault {
            app.sentinel.inject(Endpoint::Token, fault);
        }
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me?canary-query").await;
        secrets.push(parameter(&callback, "code"));
        secrets.push(parameter(&callback, "state"));
        secrets.push(browser.jar.logins()[0].1.to_owned());
        browser.navigate(&callback).await;
        secrets.push(last_exchange(&app).field("code_verifier").expect("PKCE").to_owned());
        if let Some((_, session)) = browser.jar.session() {
            secrets.push(session.to_owned());
            secrets.push(browser.fetch("/token").await.body);
        }
    }
    let logged = logs.text();
    let ours: Vec<_> = logged.lines().filter(|line| line.contains("tower_lp_auth")).collect();
    assert!(ours.iter().any(|line| line.contains("signed in")), "{ours:?}");
    assert!(ours.iter().any(|line| line.contains("invalid_grant")), "{ours:?}");
    assert_eq!(secrets.len(), 1 + 3 * 4 + 2);
    for line in ours {
        for secret in secrets.iter().map(String::as_str).chain(["canary-query"]) {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// M04.
#[tokio::test]
async fn the_reference_on_a_page_stands_in_the_log_beside_the_reason() {
    let (logs, _guard) = Logs::capture();
    let app = App::start().await;
    let page = Browser::new(&app).navigate("/callback").await;
    let (_, rest) = page.body.split_once("Reference: ").expect("a reference");
    let (reference, _) = rest.split_once('<').expect("its end");
    let logged = logs.text();
    let line = logged.lines().find(|line| line.contains(reference)).expect("a line with it");
    assert!(line.contains("invalid_callback"), "{line}");
}

/// M04: every end of a login is counted once, under one reason.
#[tokio::test]
async fn each_login_that_ends_is_counted_under_its_outcome() {
    let decisions = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::clone(&decisions);
    let builder = App::builder().layer(|layer| {
        layer.on_login(move |_| {
            let decision = next.lock().unwrap().pop().unwrap_or(LoginDecision::Allow);
            std::future::ready(Ok(decision))
        })
    });
    let (app, counted) = Counters::of(builder).await;
    for (outcome, fault, decision) in [
        ("success", None, None),
        ("login_denied", None, Some(LoginDecision::deny())),
        ("login_denied", None, Some(LoginDecision::deny_with(http::Response::default()))),
        ("login_refused", Some(Fault::oauth_error("invalid_grant")), None),
        ("sentinel_unavailable", Some(Fault::status(500)), None),
        ("login_expired", None, None),
    ] {
        decisions.lock().unwrap().extend(decision);
        if let Some(fault) = fault {
            app.sentinel.inject(Endpoint::Token, fault);
        }
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        if outcome == "login_expired" {
            app.advance(601);
        }
        let (before, all) = (counted.logins(outcome), counted.sum_of("lp_auth_logins_total"));
        browser.navigate(&callback).await;
        assert_eq!(counted.logins(outcome), before + 1, "{outcome}");
        assert_eq!(counted.sum_of("lp_auth_logins_total"), all + 1, "{outcome}");
    }
}

/// O12: a shutdown lets a login finish whose code is already presented.
#[tokio::test]
async fn a_shutdown_waits_for_an_exchange_under_way() {
    let app = App::start().await;
    app.sentinel.inject(Endpoint::Token, Fault::Late(Duration::from_millis(300)));
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let running = open_in_background(&browser, &callback);
    eventually("the code is presented", || app.sentinel.counts().exchanges == 1).await;
    assert!(!app.auth.shutdown(Duration::from_millis(1)).await);
    assert!(app.auth.shutdown(Duration::from_secs(5)).await);
    let page = running.await.unwrap();
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
}

/// C11.
#[tokio::test]
async fn a_session_too_large_for_its_cookie_fails_loudly_at_login() {
    let app = App::start().await;
    app.sentinel.set_refresh_token_digits(8000);
    let (logs, _guard) = Logs::capture();
    assert_login_refused(&app, "large tokens", 500).await;
    let logged = logs.text();
    assert!(logged.lines().any(|line| line.contains("ERROR") && line.contains("session store")));
}

/// B37.
#[tokio::test]
async fn a_login_cookie_with_any_bit_changed_is_unknown() {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let (name, value) = browser.jar.logins()[0];
    let (name, value) = (name.to_owned(), value.to_owned());
    let mut tampered = Browser::new(&app);
    for at in 0..value.len() {
        let index = ALPHABET.iter().position(|c| *c == value.as_bytes()[at]).expect("base64url");
        let mut other = value.clone().into_bytes();
        other[at] = ALPHABET[index ^ (1 << (at % 6))];
        let other = String::from_utf8(other).unwrap();
        tampered.jar.insert(&name, &other);
        let page = tampered.navigate(&callback).await;
        assert_eq!(page.status, 400, "byte {at}: {page:?}");
        assert!(page.deletes_login(), "byte {at}: {page:?}");
    }
    for other in [&value[1..], &value[..value.len() - 1], &format!("{value}A"), ""] {
        tampered.jar.insert(&name, other);
        tampered.navigate(&callback).await.assert_refused();
    }
    assert_eq!(app.sentinel.counts().exchanges, 0);
    assert_eq!(browser.navigate(&callback).await.location().as_deref(), Some("/me"));
}

/// B38.
#[tokio::test]
async fn of_several_login_cookies_with_one_name_the_one_that_opens_counts() {
    let app = App::start().await;
    for (good_at, copies, works) in
        [(Some(0), 2, true), (Some(1), 2, true), (Some(3), 4, true), (None, 2, false)]
    {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let (name, value) = browser.jar.logins()[0];
        let cookies: Vec<_> = (0..copies)
            .map(|at| if good_at == Some(at) { value.to_owned() } else { value.to_lowercase() })
            .map(|value| format!("{name}={value}"))
            .collect();
        let header = cookies.join("; ");
        let headers: Vec<_> = NAVIGATE.into_iter().chain([("cookie", &*header)]).collect();
        let page = Browser::new(&app).send(Method::GET, &callback, &headers, None).await;
        if works {
            assert_eq!(page.location().as_deref(), Some("/me"), "{good_at:?}: {page:?}");
        } else {
            page.assert_refused();
        }
    }
}

/// B38, C17: HTTP/2 and some proxies hand cookies over in several fields.
#[tokio::test]
async fn a_login_cookie_is_found_in_any_cookie_field() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let cookie = browser.jar.header().expect("a login cookie");
    let headers: Vec<_> = NAVIGATE
        .into_iter()
        .chain([("cookie", "theme=dark"), ("cookie", &*cookie), ("cookie", "a=b")])
        .collect();
    let page = Browser::new(&app).send(Method::GET, &callback, &headers, None).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
}

/// B39.
#[tokio::test]
async fn a_login_that_fails_leaves_the_other_tabs_theirs() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let mut callbacks = Vec::new();
    for tab in 0..3 {
        callbacks.push(browser.reach_callback(&app, &format!("/me?tab={tab}")).await);
    }
    app.sentinel.inject(Endpoint::Token, Fault::status(500));
    browser.navigate(&callbacks[1]).await.assert_closed_page(503);
    browser.navigate("/callback?code=a&state=b").await.assert_refused();
    for tab in [0, 2] {
        let page = browser.navigate(&callbacks[tab]).await;
        assert_eq!(page.location(), Some(format!("/me?tab={tab}")), "{page:?}");
    }
}

/// B40, B41.
#[tokio::test]
async fn a_login_goes_on_at_another_instance_and_under_a_rotated_key() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me?a=1").await;
    let other = second_instance(&app, |layer| layer).await;
    let mut there = moved(&browser, &other);
    let page = there.navigate(&path_of(&callback)).await;
    assert_eq!(page.location().as_deref(), Some("/me?a=1"), "{page:?}");
    assert_eq!(there.fetch("/me").await.status, 200);
    assert_eq!(moved(&there, &app).fetch("/me").await.status, 200);

    let callback = browser.reach_callback(&app, "/me?a=2").await;
    for (keeps_old_key, status) in [(false, 400), (true, 303)] {
        let (old, sentinel, clock) = (app.key.clone(), app.sentinel.clone(), app.clock.clone());
        let redirect_uri = app.url("/callback");
        let rotated = App::builder()
            .layer(move |layer| {
                let layer = layer
                    .domain_api_url(sentinel.url())
                    .client_secret(sentinel.client_secret())
                    .clock(clock)
                    .redirect_uri(redirect_uri);
                layer.session_key(if keeps_old_key { old } else { SessionKey::random() })
            })
            .start()
            .await;
        let mut there = moved(&browser, &rotated);
        let page = there.navigate(&path_of(&callback)).await;
        assert_eq!(page.status.as_u16(), status, "old key kept: {keeps_old_key}: {page:?}");
    }
}

/// L06: pages of our own paths are for people, whoever asks.
#[tokio::test]
async fn pages_of_the_callback_are_html_whatever_accept_says() {
    let app = App::start().await;
    let json = [("accept", "application/json")];
    let grpc = [("content-type", "application/grpc")];
    for (case, headers) in [
        ("a navigation", &NAVIGATE[..]),
        ("a fetch", &FETCH),
        ("JSON", &json),
        ("gRPC", &grpc),
        ("nothing", &[]),
    ] {
        let mut browser = Browser::new(&app);
        let callback = browser.reach_callback(&app, "/me").await;
        let state = parameter(&callback, "state");
        for (query, status) in [
            (String::new(), 400),
            (format!("?code=a&state={}", "A".repeat(43)), 400),
            (format!("?error=access_denied&state={state}"), 403),
        ] {
            let url = format!("/callback{query}");
            let page = browser.send(Method::GET, &url, headers, None).await;
            assert_eq!(page.status.as_u16(), status, "{case}: {page:?}");
            page.assert_closed_page(status);
        }
    }
}

/// L06: the application's own answers replace the pages, never the headers that protect them.
#[tokio::test]
async fn pages_can_be_replaced_and_stay_uncached() {
    let respond = |rejection: &Rejection| {
        let body = json!({
            "reason": rejection.reason().as_str(),
            "person": rejection.audience() == Audience::Person,
            "forward": format!("{:?}", rejection.way_forward()),
            "denied": rejection.reason() == RejectionReason::AccessDenied,
        });
        http::Response::builder()
            .status(rejection.status())
            .header("cache-control", "public, max-age=600")
            .header("x-own", "yes")
            .body(body.to_string().into())
            .expect("a response")
    };
    let app = App::builder().layer(move |layer| layer.responses_fn(respond)).start().await;
    let mut browser = Browser::new(&app);
    let callback = browser.reach_callback(&app, "/me").await;
    let denied = format!("/callback?error=access_denied&state={}", parameter(&callback, "state"));
    app.sentinel.inject(Endpoint::Token, Fault::throttled(3));
    for (url, expected, deletes) in [
        ("/callback", json!(["invalid_callback", true, "Login(\"/login\")", false]), false),
        (&*callback, json!(["login_busy", true, "Retry", false]), false),
        (&*denied, json!(["access_denied", true, "Login(\"/login?return_to=%2Fme\")", true]), true),
    ] {
        let page = browser.navigate(url).await;
        assert_eq!(page.header("x-own"), Some("yes"), "{page:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{page:?}");
        assert_eq!(page.deletes_login(), deletes, "{page:?}");
        let it = page.json();
        let seen = json!([it["reason"], it["person"], it["forward"], it["denied"]]);
        assert_eq!(seen, expected, "{page:?}");
    }
    let page = browser.fetch("/me").await;
    assert_eq!(page.json()["person"], json!(false));
    assert_eq!(page.json()["reason"], json!("not_signed_in"));
}
