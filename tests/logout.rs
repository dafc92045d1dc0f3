//! Ending a session.

mod support;

use std::time::Duration;

use http::{Method, StatusCode};
use support::{AGENT, App, Browser, Counters, FETCH, FORM, Logs, NAVIGATE, until};
use tokio::time::Instant;
use tower_lp_auth::test_kit::{Endpoint, Fault};

/// G03, G04.
#[tokio::test]
async fn a_logout_ends_the_session_and_deletes_its_cookie() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = browser.clone();
    let page = browser.post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.location().as_deref(), Some("/"));
    assert_eq!(browser.jar.session(), None);
    browser.fetch("/me").await.assert_unauthorized();
    old.clone().fetch("/me").await.assert_unauthorized();
    assert_eq!(app.sentinel.counts().revocations, 0, "LivePerson's other applications go on");
}

/// G01.
#[tokio::test]
async fn only_a_post_ends_a_session() {
    let app = App::builder().layer(|it| it.revoke_on_logout(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut ahead = NAVIGATE.to_vec();
    ahead.push(("sec-purpose", "prefetch;prerender"));
    for (method, headers, status) in [
        (Method::GET, &NAVIGATE[..], 200),
        (Method::HEAD, &NAVIGATE, 200),
        (Method::GET, &ahead, 503),
        (Method::OPTIONS, &FETCH, 405),
        (Method::PUT, &FORM, 405),
        (Method::DELETE, &FORM, 405),
        (Method::GET, &FETCH, 200),
    ] {
        let page = browser.send(method.clone(), "/logout", headers, None).await;
        assert_eq!(page.status.as_u16(), status, "{method} {headers:?}: {page:?}");
        assert!(page.set_cookies().is_empty(), "{method} {headers:?}");
        assert_eq!(browser.fetch("/me").await.status, StatusCode::OK, "{method} {headers:?}");
    }
    assert_eq!(app.sentinel.counts().revocations, 0);
}

/// G01, L06: the question, with a form whose POST carries its page's origin.
#[tokio::test]
async fn the_confirmation_page_posts_back_to_the_logout() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let page = browser.navigate("/logout?return_to=/public").await;
    assert!(
        page.body.contains("<form method=\"post\" action=\"/logout?return_to=%2Fpublic\">"),
        "{page:?}"
    );
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    assert!(page.header("content-security-policy").is_some_and(|it| !it.contains("form-action")));
    let page = browser.post("/logout?return_to=%2Fpublic").await;
    assert_eq!(page.location().as_deref(), Some("/public"), "{page:?}");
    assert_eq!(browser.jar.session(), None);
}

/// G02, H14: CSRF protects the logout, with a session or without.
#[tokio::test]
async fn a_logout_from_another_site_is_refused() {
    let app = App::builder().layer(|it| it.trusted_origin("https://spa.example")).start().await;
    let signed_in = Browser::signed_in(&app).await;
    let evil = "https://evil.example";
    let table: &[(&[(&str, &str)], bool)] = &[
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site"), ("origin", evil)], false),
        (&[("origin", evil)], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "same-origin"), ("origin", "null")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("origin", "https://spa.example"), ("sec-fetch-site", "cross-site")], true),
        (&[], true),
    ];
    for (headers, allowed) in table {
        let mut none = Browser::new(&app);
        let page = none.send(Method::POST, "/logout", headers, None).await;
        let expected = if *allowed { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(page.status, expected, "without a session: {headers:?}: {page:?}");
        if !allowed {
            let mut browser = signed_in.clone();
            let page = browser.send(Method::POST, "/logout", headers, None).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}: {page:?}");
            assert!(page.set_cookies().is_empty(), "{headers:?}");
            assert_eq!(browser.fetch("/me").await.status, StatusCode::OK, "{headers:?}");
        }
    }
    let mut browser = signed_in;
    let spa = [("origin", "https://spa.example"), ("sec-fetch-site", "cross-site")];
    browser.send(Method::POST, "/logout", &spa, None).await;
    assert_eq!(browser.jar.session(), None);
}

/// G05: one call, with the newest refresh token, no hint and the client's credentials.
#[tokio::test]
async fn a_chosen_revocation_presents_the_newest_refresh_token_once() {
    let app = App::builder().layer(|it| it.revoke_on_logout(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.advance(2000);
    browser.fetch("/me").await;
    let access = browser.fetch("/me").await.access_token();
    assert!(app.sentinel.is_live_access_token(&access));
    let page = browser.post("/logout").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    let calls = app.sentinel.calls();
    let revocations: Vec<_> =
        calls.iter().filter(|call| call.endpoint == Endpoint::Revoke).collect();
    let [revocation] = &revocations[..] else { panic!("{revocations:?}") };
    let refresh = calls.iter().find(|call| call.endpoint == Endpoint::Refresh).expect("one");
    assert!(revocation.field("token").is_some_and(|token| !token.is_empty()));
    assert_ne!(revocation.field("token"), refresh.field("refresh_token"), "not the spent one");
    assert_eq!(revocation.field("token_type_hint"), None);
    assert_eq!(revocation.field("client_id"), Some(app.sentinel.client_id()));
    assert!(revocation.query.contains("v=1.0"), "{}", revocation.query);
    assert!(!app.sentinel.is_live_access_token(&access), "Sentinel has taken it");
}

/// G06, G07, G08, G09, G10: local first and fast, whatever Sentinel says; an answer that is clear is
/// final, and recorded.
#[tokio::test]
async fn a_logout_waits_at_most_two_seconds_for_sentinel() {
    let (logs, _guard) = Logs::capture();
    let invalid_client = Fault::Status {
        status: 401,
        headers: Vec::new(),
        body: br#"{"error":"invalid_client"}"#.to_vec(),
    };
    let table = [
        ("unknown token", Fault::status(200), "success"),
        ("unsupported", Fault::oauth_error("unsupported_token_type"), "unsupported"),
        ("refused", Fault::status(400), "refused"),
        ("our own mistake", invalid_client, "misconfigured"),
        ("slow", Fault::Delay(Duration::from_secs(3)), "success"),
    ];
    let mut apps = Vec::new();
    for _ in &table {
        let timeout = Duration::from_secs(8);
        let builder =
            App::builder().layer(move |it| it.revoke_on_logout(true).request_timeout(timeout));
        apps.push(Counters::of(builder).await);
    }
    let logouts =
        table.iter().zip(apps).map(|((what, fault, outcome), (app, counted))| async move {
            app.sentinel.inject_always(Endpoint::Revoke, fault.clone());
            log_out_fast(&app, what).await;
            assert!(app.auth.shutdown(Duration::from_secs(10)).await, "{what}: no outcome");
            let series = format!("lp_auth_revocations_total{{outcome={outcome}}}");
            assert_eq!(counted.get(&series), 1, "{what}");
            assert_eq!(counted.sum_of("lp_auth_revocations_total"), 1, "{what}");
            assert_eq!(app.sentinel.counts().revocations, 1, "{what}");
        });
    futures_util::future::join_all(logouts).await;
    let levels = [
        ("success", "INFO"),
        ("unsupported", "WARN"),
        ("refused", "WARN"),
        ("misconfigured", "ERROR"),
    ];
    for (outcome, level) in levels {
        let rows = table.iter().filter(|(_, _, expected)| *expected == outcome).count();
        assert_eq!(told(&logs, outcome), vec![level; rows], "{outcome}: {}", logs.text());
    }
}

/// A logout that is over for the user long before Sentinel's patience is.
async fn log_out_fast(app: &App, what: &str) {
    let mut browser = Browser::signed_in(app).await;
    let mut old = browser.clone();
    let started = Instant::now();
    let page = browser.post("/logout").await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{what}: {page:?}");
    assert_eq!(browser.jar.session(), None, "{what}");
    old.fetch("/me").await.assert_unauthorized();
}

/// The levels of the lines that tell of this outcome.
fn told(logs: &Logs, outcome: &str) -> Vec<String> {
    let outcome = format!("outcome=\"{outcome}\"");
    let text = logs.text();
    let lines =
        text.lines().filter(|line| line.contains("refresh token") && line.contains(&outcome));
    lines.map(|line| line.split_whitespace().nth(1).expect("a level").to_owned()).collect()
}

/// An application that revokes at a logout, and its counters.
async fn revoking() -> (App, Counters) {
    let timeout = Duration::from_secs(3);
    Counters::of(App::builder().layer(move |it| it.revoke_on_logout(true).request_timeout(timeout)))
        .await
}

fn revocations(counted: &Counters, outcome: &str) -> u64 {
    counted.get(&format!("lp_auth_revocations_total{{outcome={outcome}}}"))
}

/// G06, G10, X24: what fails is tried again after a pause, whatever the failure; the outcome is
/// counted and logged once.
#[tokio::test]
async fn a_revocation_that_fails_is_tried_again() {
    let (logs, _guard) = Logs::capture();
    let table = [
        ("down", Fault::status(503)),
        ("reset", Fault::Reset),
        ("hanging", Fault::Hang),
        ("throttled", Fault::throttled(1)),
    ];
    let mut apps = Vec::new();
    for _ in &table {
        apps.push(revoking().await);
    }
    let logouts = table.iter().zip(apps).map(|((what, fault), (app, counted))| async move {
        app.sentinel.inject(Endpoint::Revoke, fault.clone());
        log_out_fast(&app, what).await;
        until(|| app.auth.health().waiting_revocations == 1).await;
        assert_eq!(counted.get("lp_auth_revocations_waiting"), 1, "{what}");
        assert_eq!(counted.sum_of("lp_auth_revocations_total"), 0, "{what}: nothing is claimed");
        app.advance(2);
        until(|| app.auth.health().waiting_revocations == 0).await;
        assert_eq!(revocations(&counted, "success"), 1, "{what}");
        assert_eq!(counted.sum_of("lp_auth_revocations_total"), 1, "{what}");
        assert_eq!(counted.get("lp_auth_revocation_retries_total"), 1, "{what}");
        assert_eq!(counted.get("lp_auth_revocations_waiting"), 0, "{what}");
        assert_eq!(app.sentinel.counts().revocations, 2, "{what}");
        let calls = app.sentinel.calls();
        let mut sent = calls.iter().filter(|call| call.endpoint == Endpoint::Revoke);
        let mut token = || sent.next().and_then(|call| call.field("token")).map(str::to_owned);
        assert_eq!(token(), token(), "{what}: another token");
    });
    futures_util::future::join_all(logouts).await;
    assert_eq!(told(&logs, "success"), vec!["INFO"; table.len()], "{}", logs.text());
}

/// G06, X24: pauses grow, and after ten minutes it is given up, loudly.
#[tokio::test]
async fn a_revocation_is_given_up_after_ten_minutes() {
    let (logs, _guard) = Logs::capture();
    let (app, counted) = revoking().await;
    app.sentinel.inject_always(Endpoint::Revoke, Fault::status(503));
    log_out_fast(&app, "down").await;
    // A half more than the pause, for jitter.
    for (tries, pause) in [(2, 2), (3, 3), (4, 6)] {
        until(|| counted.get("lp_auth_revocation_retries_total") == tries - 1).await;
        app.advance(pause);
        until(|| app.sentinel.counts().revocations == tries).await;
    }
    until(|| counted.get("lp_auth_revocation_retries_total") == 4).await;
    app.advance(600);
    until(|| app.auth.health().waiting_revocations == 0).await;
    assert_eq!(revocations(&counted, "gave_up"), 1);
    assert_eq!(counted.sum_of("lp_auth_revocations_total"), 1);
    assert_eq!(app.sentinel.counts().revocations, 4, "tried when its time was over");
    assert_eq!(told(&logs, "gave_up"), ["WARN"], "{}", logs.text());
    assert!(logs.text().contains("reason=\"time_over\""), "{}", logs.text());
    assert!(app.auth.shutdown(Duration::from_secs(5)).await, "nothing is left");
}

/// G06: a 429 holds back all revocations until the time that it names, refreshes not at all.
#[tokio::test]
async fn a_throttled_revocation_holds_back_the_others() {
    let refresh_after = Duration::from_secs(10);
    let builder =
        App::builder().layer(move |it| it.revoke_on_logout(true).refresh_after(refresh_after));
    let (app, counted) = Counters::of(builder).await;
    let mut due = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Revoke, Fault::status(503));
    app.sentinel.inject(Endpoint::Revoke, Fault::throttled(30));
    log_out_fast(&app, "down").await;
    log_out_fast(&app, "throttled").await;
    let retries = || counted.get("lp_auth_revocation_retries_total");
    until(|| retries() == 2).await;
    app.advance(20);
    until(|| retries() == 3).await;
    assert_eq!(app.sentinel.counts().revocations, 2, "the first has been sent all the same");
    log_out_fast(&app, "meanwhile").await;
    until(|| app.auth.health().waiting_revocations == 3).await;
    assert_eq!(app.sentinel.counts().revocations, 2, "a new one has been sent");
    due.fetch("/me").await;
    until(|| app.sentinel.counts().refreshes == 1).await;
    app.advance(46);
    until(|| app.auth.health().waiting_revocations == 0).await;
    assert_eq!(revocations(&counted, "success"), 3);
    assert_eq!(app.sentinel.counts().revocations, 5);
}

/// G10: the session is over before Sentinel is asked.
#[tokio::test]
async fn the_session_is_over_while_sentinel_is_still_being_asked() {
    let app = App::builder().layer(|it| it.revoke_on_logout(true)).start().await;
    let browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Revoke, Fault::Hang);
    let logout = tokio::spawn(browser.request(Method::POST, "/logout", &FORM, None).send());
    let asked = async {
        while app.sentinel.counts().revocations == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await.expect("a revocation");
    assert!(!logout.is_finished());
    browser.clone().fetch("/me").await.assert_unauthorized();
    logout.abort();
}

/// G11, G12.
#[tokio::test]
async fn a_logout_works_from_any_state_and_twice() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut other_tab = browser.clone();
    app.advance(9 * 3600);
    let expired = browser.post("/logout").await;
    assert_eq!((expired.status.as_u16(), browser.jar.session()), (303, None), "{expired:?}");
    let second = other_tab.post("/logout").await;
    assert_eq!((second.status.as_u16(), other_tab.jar.session()), (303, None), "{second:?}");
    let none = browser.post("/logout").await;
    assert_eq!(none.status, StatusCode::SEE_OTHER, "{none:?}");
    let mut unopenable = Browser::signed_in(&app).await;
    let (name, _) = unopenable.jar.session().expect("a session");
    let name = name.to_owned();
    unopenable.jar.insert(&name, "garbage");
    let page = unopenable.post("/logout").await;
    assert_eq!((page.status.as_u16(), unopenable.jar.session()), (303, None), "{page:?}");
}

/// G13: the return parameter is judged like a login's.
#[tokio::test]
async fn a_logout_leaves_this_origin_for_nobody() {
    let app = App::start().await;
    for (value, expected) in [
        ("/public", "/public"),
        ("/a/b?x=1%26y=%2F", "/a/b?x=1&y=/"),
        ("//evil.example", "/"),
        ("/%5Cevil.example", "/"),
        ("https://evil.example", "/"),
        ("/.//evil.example", "/"),
        ("/%09/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/logout", "/"),
        ("/login", "/"),
        ("/a&return_to=/b", "/"),
    ] {
        let mut browser = Browser::signed_in(&app).await;
        let page = browser.post(&format!("/logout?return_to={value}")).await;
        assert_eq!(page.location().as_deref(), Some(expected), "{value}");
        assert_eq!(browser.jar.session(), None, "{value}");
        let confirm = browser.navigate(&format!("/logout?return_to={value}")).await;
        assert!(!confirm.body.contains("evil"), "{value}: {confirm:?}");
    }
}

/// G03: a logout ends on the landing page only if that would not sign the user straight in again.
#[tokio::test]
async fn a_logout_ends_where_nobody_is_signed_in_again() {
    for (what, app, expected) in [
        ("an optional landing page", App::start().await, "/"),
        (
            "a protected landing page",
            App::builder().layer(|it| it.landing("/me")).start().await,
            "/logout?signed-out",
        ),
        (
            "a public landing page",
            App::builder().layer(|it| it.landing("/public?from=login")).start().await,
            "/public?from=login",
        ),
        (
            "a choice",
            App::builder().layer(|it| it.landing("/me").after_logout("/public")).start().await,
            "/public",
        ),
    ] {
        let mut browser = Browser::signed_in(&app).await;
        let page = browser.post("/logout").await;
        assert_eq!(page.location().as_deref(), Some(expected), "{what}");
        let before = app.sentinel.counts().authorize;
        let page = browser.open(expected).await;
        assert_eq!(page.status, StatusCode::OK, "{what}: {page:?}");
        assert_eq!(app.sentinel.counts().authorize, before, "{what}");
    }
}

/// The page after a logout says so only to whoever is signed out.
#[tokio::test]
async fn the_signed_out_page_is_shown_to_nobody_who_is_signed_in() {
    let app = App::builder().layer(|it| it.landing("/me")).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let page = browser.navigate("/logout?signed-out").await;
    assert!(page.body.contains("<form method=\"post\""), "{page:?}");
    browser.post("/logout").await;
    let page = browser.navigate("/logout?signed-out").await;
    assert!(page.body.contains("You are signed out") && !page.body.contains("<form"), "{page:?}");
    assert!(page.body.contains("href=\"/login\""), "{page:?}");
}

/// G17: other devices and other users stay.
#[tokio::test]
async fn a_logout_leaves_other_sessions_alone() {
    let app = App::start().await;
    let mut here = Browser::signed_in(&app).await;
    let mut there = Browser::signed_in(&app).await;
    let mut other = Browser::new(&app);
    other.sign_in(&app, "4711").await;
    here.post("/logout").await;
    assert_eq!(there.fetch("/me").await.json()["user_id"], AGENT);
    assert_eq!(other.fetch("/me").await.json()["user_id"], "4711");
}

/// G16: nothing of a session is left for the back button.
#[tokio::test]
async fn the_back_button_finds_nothing() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let page = browser.fetch("/me").await;
    assert_eq!(page.header("cache-control"), Some("private"));
    let page = browser.post("/logout").await;
    assert_eq!(page.header("cache-control"), Some("no-store"));
    browser.navigate("/me").await.assert_login();
}

/// `LpUser::end_session`: a handler ends the session as a logout does.
#[tokio::test]
async fn a_handler_can_end_the_session() {
    let app = App::builder().layer(|it| it.revoke_on_logout(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let old = browser.clone();
    let page = browser.fetch("/end").await;
    assert_eq!((page.body.as_str(), browser.jar.session()), ("ended", None), "{page:?}");
    let mut again = old.clone();
    again.fetch("/me").await.assert_unauthorized();
    again.fetch("/end").await.assert_unauthorized();
    assert!(app.auth.shutdown(Duration::from_secs(5)).await, "the revocation has finished");
    assert_eq!(app.sentinel.counts().revocations, 1);
}

/// The logout's own place can be moved, and its links with it.
#[tokio::test]
async fn the_logout_can_be_moved() {
    let app = App::builder().layer(|it| it.logout_path("/bye").landing("/me")).start().await;
    let mut browser = Browser::signed_in(&app).await;
    assert_eq!(app.auth.logout_url(), "/bye");
    let page = browser.navigate("/bye").await;
    assert!(page.body.contains("action=\"/bye\""), "{page:?}");
    assert_eq!(browser.post("/logout").await.body, "fallback", "no path of ours any more");
    let page = browser.post("/bye").await;
    assert_eq!(page.location().as_deref(), Some("/bye?signed-out"));
}
