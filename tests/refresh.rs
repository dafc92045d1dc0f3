//! Tokens age and are renewed: what each answer of Sentinel comes to.

mod support;

use std::{
    net::TcpListener,
    time::{Duration, UNIX_EPOCH},
};

use axum::routing::get;
use serde_json::{Value, json};
use support::{AGENT, App, AppBuilder, Browser, Counters, Ends, retry_after, setbacks, until};
use tower_lp_auth::{
    Clock, EndReason, LpUser,
    test_kit::{Endpoint, ExpiresIn, Fault, MockSentinel},
};

const HOUR: u64 = 3600;

/// Access tokens live an hour, so that their end comes long before the session's.
fn hourly() -> AppBuilder {
    App::builder()
        .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
        .layer(|layer| layer.request_timeout(Duration::from_secs(2)))
}

/// Tokens are due after 100 s and a tenth, before activity is re-sealed: a cookie that comes then is
/// a refresh's.
fn soon_due() -> AppBuilder {
    App::builder().layer(|layer| layer.refresh_after(Duration::from_secs(100)))
}

/// Sealed rule 4: a quick refresh of a due session is in the same response's cookie.
#[tokio::test]
async fn a_due_session_is_served_at_once_and_gets_its_new_cookie() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let before = browser.fetch("/token").await.body;
    app.advance(120);
    let due = browser.fetch("/token").await;
    assert_eq!(due.body, before);
    assert_eq!(due.session_cookies().len(), 1, "{due:?}");
    let after = browser.fetch("/token").await.body;
    assert_ne!(after, before);
    assert!(app.sentinel.is_live_access_token(&after));
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// F20: a waiter asks for new tokens once, however short they live.
#[tokio::test]
async fn tokens_that_are_nearly_over_when_they_come_still_serve() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    app.advance(8 * 3600 - 30);
    app.sentinel.set_expires_in(ExpiresIn::Literal(1.into()));
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(200)));
    let mut waiting = browser.clone();
    let waiting = tokio::spawn(async move { waiting.fetch("/token").await });
    while app.sentinel.counts().refreshes == 0 {
        tokio::task::yield_now().await;
    }
    app.clock.advance(Duration::from_millis(700));
    let page = waiting.await.unwrap();
    assert_eq!(page.status, 200, "{page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body));
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// F08 to F12, F26 and the table of outcomes: until its true end the access token serves, then
/// comes 503 with `Retry-After`, the session is kept, and nobody asks Sentinel before the failure
/// memory is over.
#[tokio::test]
async fn a_setback_is_no_end() {
    let mut rows = Vec::new();
    for row in setbacks() {
        let (mut ends, hook) = Ends::new();
        let (app, counted) = Counters::of(hourly().layer(hook)).await;
        // Sentinel takes the same token again, so that a lost answer is a setback too.
        app.sentinel.set_rotation(false);
        let browser = Browser::signed_in(&app).await;
        rows.push(async move {
            row.survived_by(&app, browser, &counted).await;
            assert!(ends.is_quiet(), "{}: ended by {}", row.name, ends.next().await);
        });
    }
    futures_util::future::join_all(rows).await;
}

/// F08: a Sentinel that nobody can connect to.
#[tokio::test]
async fn a_refused_connection_keeps_the_session() {
    let app = hourly().start().await;
    let mut browser = Browser::signed_in(&app).await;
    let token = browser.fetch("/token").await.body;
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr();
    let account = app.sentinel.account_id();
    let answer = json!({
        "service": "sentinel",
        "account": account,
        "baseURI": closed.expect("a bound listener").to_string(),
    });
    app.sentinel.inject_always(Endpoint::Domain, Fault::Body(answer.to_string().into_bytes()));
    app.advance(2000);
    // The look-up is renewed beside the handler; the answers that follow go by the new one.
    for _ in 0..3 {
        assert_eq!(browser.fetch("/token").await.body, token);
        app.advance(12);
    }
    app.advance(HOUR - 2036);
    let refused = browser.fetch("/token").await;
    assert!((10..=11).contains(&retry_after(&refused)), "{refused:?}");
    assert_eq!(app.sentinel.counts().refreshes, 0);

    app.sentinel.clear_faults();
    app.advance(601);
    let recovered = browser.fetch("/token").await;
    assert_eq!(recovered.status, 200, "{recovered:?}");
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// F12 and the row "unknown": serial attempts, their pauses doubling to five minutes until there is
/// an answer.
#[tokio::test]
async fn pauses_after_unknown_outcomes_double_until_an_answer_comes() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::Reset);
    app.advance(2000);
    browser.fetch("/token").await;
    for (tried, pause) in (1..).zip([10, 20, 40, 80, 160, 300, 300, 300]) {
        assert_eq!(app.sentinel.counts().refreshes, tried, "before the pause of {pause} s");
        app.advance(pause - 1);
        browser.fetch("/token").await;
        assert_eq!(app.sentinel.counts().refreshes, tried, "within the pause of {pause} s");
        app.advance(pause / 10 + 1);
        browser.fetch("/token").await;
    }
    assert_eq!(app.sentinel.counts().refreshes, 9);
    // An answer, however bad, is not one more unknown outcome, and tokens end the row.
    app.sentinel.clear_faults();
    app.advance(331);
    browser.fetch("/token").await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::Reset);
    app.advance(2000);
    browser.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 11);
    app.advance(12);
    browser.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 12);
}

/// F07 and the row "invalid_grant": this session ends, others live.
#[tokio::test]
async fn invalid_grant_ends_this_session_alone() {
    let (mut ends, hook) = Ends::new();
    let app = hourly().layer(hook).start().await;
    for (after, name) in [(2000, "due"), (HOUR - 30, "in the last minute"), (HOUR, "expired")] {
        let mut browser = Browser::signed_in(&app).await;
        let mut other = Browser::signed_in(&app).await;
        let token = browser.fetch("/token").await.body;
        app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
        app.advance(after);
        let tried = app.sentinel.counts().refreshes;
        let first = browser.fetch("/token").await;
        if after == 2000 {
            assert_eq!(first.body, token, "{name}: the handler runs beside the refresh");
        } else {
            first.assert_unauthorized();
        }
        assert_eq!(ends.next().await, EndReason::RefreshRefused, "{name}");
        browser.fetch("/token").await.assert_unauthorized();
        assert_eq!(browser.fetch("/").await.body, "hello stranger", "{name}");
        assert!(browser.jar.session().is_some(), "{name}: only navigations delete");
        let login = browser.navigate("/token").await;
        login.assert_login();
        assert_eq!(login.session_cookies().len(), 1, "{name}: {login:?}");
        assert_eq!(browser.jar.session(), None, "{name}");
        assert_eq!(app.sentinel.counts().refreshes, tried + 1, "{name}: presented again");
        assert_eq!(other.fetch("/me").await.json()["user_id"], AGENT, "{name}");
        assert!(ends.is_quiet(), "{name}");
    }
}

/// F12: one serial re-presentation after a lost answer, and if that is refused, its own reason.
#[tokio::test]
async fn a_refusal_after_a_lost_answer_is_a_lost_rotation() {
    for fault in [Fault::LostResponse, Fault::HalfBody, Fault::Late(Duration::from_secs(2))] {
        let (mut ends, hook) = Ends::new();
        let (app, counted) = Counters::of(hourly().layer(hook)).await;
        let mut browser = Browser::signed_in(&app).await;
        app.sentinel.inject(Endpoint::Refresh, fault.clone());
        app.advance(2000);
        assert_eq!(browser.fetch("/token").await.status, 200, "{fault:?}");
        until(|| counted.refreshes("unknown") == 1).await;
        assert!(ends.is_quiet(), "{fault:?}");
        app.advance(12);
        browser.fetch("/token").await;
        assert_eq!(ends.next().await, EndReason::RotationLost, "{fault:?}");
        browser.fetch("/token").await.assert_unauthorized();
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (2, 1), "{fault:?}");
    }
}

/// F13.
#[tokio::test]
async fn a_reset_after_the_whole_answer_is_a_success() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::ResetAfterBody);
    app.advance(120);
    let due = browser.fetch("/token").await;
    assert_eq!(due.session_cookies().len(), 1, "{due:?}");
    let token = browser.fetch("/token").await.body;
    assert!(app.sentinel.is_live_access_token(&token));
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// F09 and the row "429": the pause holds for all sessions of this client, and for refreshes alone.
#[tokio::test]
async fn a_429_stops_its_own_grant_type_and_no_other() {
    let app = App::start().await;
    let mut first = Browser::signed_in(&app).await;
    let mut second = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::throttled(30));
    app.advance(2000);
    first.fetch("/token").await;
    second.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 1, "the other session asked too");
    let mut third = Browser::signed_in(&app).await;
    assert_eq!(third.fetch("/token").await.status, 200, "no login during a pause of refreshes");
    app.advance(31);
    second.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 2);

    app.sentinel.inject(Endpoint::Token, Fault::throttled(60));
    app.sentinel.auto_login(Some(AGENT));
    let refused = Browser::new(&app).open("/me").await;
    assert_eq!(refused.status, 503, "{refused:?}");
    first.fetch("/token").await;
    assert_eq!(app.sentinel.counts().refreshes, 3, "a 429 on codes has stopped a refresh");
}

/// F10, F25: our own misconfiguration is one loud metric, and one call in the one documented style.
#[tokio::test]
async fn a_refused_client_is_an_alarm_and_never_a_second_try() {
    for error in ["invalid_client", "unauthorized_client"] {
        let (ends, hook) = Ends::new();
        let (app, counted) = Counters::of(App::builder().layer(hook)).await;
        let mut browser = Browser::signed_in(&app).await;
        app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error(error));
        app.advance(2000);
        assert_eq!(browser.fetch("/token").await.status, 200, "{error}");
        assert_eq!(counted.refreshes("misconfigured"), 1, "{error}");
        assert_eq!(app.sentinel.counts().refreshes, 1, "{error}: a second try");
        let calls = app.sentinel.calls();
        let call = calls.iter().find(|call| call.endpoint == Endpoint::Refresh).expect("a call");
        assert!(!call.had_authorization, "{error}");
        assert_eq!(call.field("client_id"), Some(app.sentinel.client_id()), "{error}");
        assert_eq!(call.field("client_secret"), Some(app.sentinel.client_secret()), "{error}");
        assert!(ends.is_quiet(), "{error}");
        app.advance(12);
        browser.fetch("/token").await;
        assert_eq!((counted.refreshes("success"), counted.refreshes("misconfigured")), (1, 1));
    }
}

/// F10, F12: each outcome has its label in the metrics.
#[tokio::test]
async fn outcomes_are_counted_by_their_kind() {
    let (app, counted) = Counters::of(App::builder()).await;
    let mut browser = Browser::signed_in(&app).await;
    app.advance(2000);
    for (fault, outcome) in [
        (Fault::status(503), "failed"),
        (Fault::throttled(5), "failed"),
        (Fault::Reset, "unknown"),
        (Fault::oauth_error("unauthorized_client"), "misconfigured"),
    ] {
        let before = counted.refreshes(outcome);
        app.sentinel.inject(Endpoint::Refresh, fault.clone());
        browser.fetch("/token").await;
        assert_eq!(counted.refreshes(outcome), before + 1, "{fault:?}");
        app.advance(45);
    }
    app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
    browser.fetch("/token").await;
    // An attempt with an unknown outcome came before.
    assert_eq!(counted.get("lp_auth_sessions_ended_total{reason=rotation_lost}"), 1);
}

/// C26: `expires_in` as a number, as a string, absent (eight hours), and absurd.
#[tokio::test]
async fn expires_in_is_read_in_every_form() {
    const DAY: u64 = 24 * HOUR;
    let literal = |value: Value| ExpiresIn::Literal(value);
    for (form, life) in [
        (ExpiresIn::Number, HOUR),
        (ExpiresIn::Text, HOUR),
        (ExpiresIn::Absent, 8 * HOUR),
        (literal(json!(null)), 8 * HOUR),
        (literal(json!("soon")), 8 * HOUR),
        (literal(json!([60])), 8 * HOUR),
        (literal(json!(true)), 8 * HOUR),
        (literal(json!(7200.0)), 7200),
        (literal(json!(" 7200 ")), 7200),
        (literal(json!(0)), 1),
        (literal(json!(-1)), 1),
        (literal(json!("-60")), 1),
        (literal(json!(1e300)), 400 * DAY),
        (literal(json!(u64::MAX)), 400 * DAY),
    ] {
        let app = hourly().routes(|router, _| router.route("/ends", get(ends_at))).start().await;
        let mut browser = Browser::signed_in(&app).await;
        app.sentinel.set_expires_in(form.clone());
        app.advance(HOUR);
        let ends = browser.fetch("/ends").await;
        let now = app.clock.now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert_eq!(ends.body, (now + life).to_string(), "{form:?}: {ends:?}");
    }
}

async fn ends_at(user: LpUser) -> String {
    let end = user.access_token_expires_at().expect("a session").duration_since(UNIX_EPOCH);
    end.expect("after 1970").as_secs().to_string()
}

/// F14, F15: what a refresh's answer leaves out stays as it was, and a scope is what Sentinel said
/// last.
#[tokio::test]
async fn absent_members_keep_their_old_values() {
    let app = App::builder()
        .routes(|router, _| {
            let scope = |user: LpUser| async move { user.scope().unwrap_or("none").to_owned() };
            router.route("/scope", get(scope))
        })
        .start()
        .await;
    let mut browser = Browser::signed_in(&app).await;
    let me = browser.fetch("/me").await.json();

    // No refresh token: the old one is presented again. No id_token: the old claims.
    app.sentinel.set_refresh_returns_token(false);
    app.sentinel.set_token_type(None);
    for _ in 0..2 {
        app.advance(2000);
        browser.fetch("/me").await;
    }
    let now = browser.fetch("/me").await;
    assert!(app.sentinel.is_live_access_token(&now.access_token()));
    assert_ne!(now.access_token(), me["access_token"]);
    for claim in ["user_id", "account_id", "is_admin", "is_lpa"] {
        assert_eq!(now.json()[claim], me[claim], "{claim}");
    }
    let presented: Vec<_> = presented(&app.sentinel);
    assert_eq!(presented.len(), 2);
    assert_eq!(presented[0], presented[1]);

    // A scope is what Sentinel said last.
    for (answer, scope) in [
        (r#"{"access_token":"a","scope":"read write"}"#, "read write"),
        (r#"{"access_token":"b","scope":"read"}"#, "read"),
        (r#"{"access_token":"c"}"#, "read"),
    ] {
        app.sentinel.inject(Endpoint::Refresh, Fault::Body(answer.into()));
        app.advance(2000);
        browser.fetch("/scope").await;
        assert_eq!(browser.fetch("/scope").await.body, scope, "after {answer}");
    }
}

fn presented(sentinel: &MockSentinel) -> Vec<String> {
    let calls = sentinel.calls();
    let refreshes = calls.iter().filter(|call| call.endpoint == Endpoint::Refresh);
    refreshes.filter_map(|call| call.field("refresh_token").map(str::to_owned)).collect()
}

/// F16: an id_token of somebody else, or a forged one, ends the session.
#[tokio::test]
async fn a_refreshed_id_token_has_to_be_this_users() {
    type Forge = fn(&MockSentinel);
    let rows: [(&str, Forge); 6] = [
        ("another sub", |sentinel| sentinel.set_id_claim("sub", "somebody else")),
        ("another iss", |sentinel| sentinel.set_id_claim("iss", "https://evil.example")),
        ("the other spelling of iss", |sentinel| sentinel.set_id_claim("iss", "sentinel")),
        ("another aud", |sentinel| sentinel.set_id_claim("aud", "another client")),
        ("no sub", |sentinel| sentinel.remove_id_claim("sub")),
        ("no exp", |sentinel| sentinel.remove_id_claim("exp")),
    ];
    for (name, forge) in rows {
        let (ends, hook) = Ends::new();
        let app = App::builder().layer(hook).start().await;
        let browser = Browser::signed_in(&app).await;
        app.sentinel.set_refresh_id_token(true);
        forge(&app.sentinel);
        assert_foreign(&app, browser, ends, name).await;
    }
    // A signature of another key under a published `kid`.
    let (ends, hook) = Ends::new();
    let app = App::builder().layer(hook).start().await;
    let browser = Browser::signed_in(&app).await;
    app.sentinel.set_refresh_id_token(true);
    app.sentinel.rotate_signing_key();
    app.sentinel.set_jwks_body(Some(swapped_keys(&app.sentinel).await));
    app.advance(601);
    assert_foreign(&app, browser, ends, "a wrong signature").await;
}

async fn assert_foreign(app: &App, mut browser: Browser, mut ends: Ends, name: &str) {
    app.advance(2000);
    browser.fetch("/token").await;
    assert_eq!(ends.next().await, EndReason::IdentityChanged, "{name}");
    browser.fetch("/token").await.assert_unauthorized();
    assert_eq!(app.sentinel.counts().refreshes, 1, "{name}");
}

/// The published keys, each under the name of another.
async fn swapped_keys(sentinel: &MockSentinel) -> Vec<u8> {
    let url = format!("{}/sentinel/well-known/jwks", sentinel.url());
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let answer = client.expect("a client without TLS").get(url).send().await.expect("an answer");
    let text = answer.text().await.expect("a body");
    let mut set: Value = serde_json::from_str(&text).expect("a key set");
    let keys = set["keys"].as_array_mut().expect("keys");
    let mut names: Vec<Value> = keys.iter().map(|key| key["kid"].clone()).collect();
    assert!(names.len() > 1, "{text}");
    names.rotate_left(1);
    for (key, name) in keys.iter_mut().zip(names) {
        key["kid"] = name;
    }
    set.to_string().into_bytes()
}

/// F16, the good case: claims of a checked id_token count from then on.
#[tokio::test]
async fn a_refreshed_id_token_brings_the_roles_up_to_date() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.set_refresh_id_token(true);
    app.sentinel.set_id_claim("is_admin", true);
    app.advance(2000);
    assert_eq!(browser.fetch("/me").await.json()["is_admin"], false);
    assert_eq!(browser.fetch("/me").await.json()["is_admin"], true);
}

/// F16: without the keys nothing can be said about an id_token, so the new tokens and the old
/// claims are kept.
#[tokio::test]
async fn without_its_keys_a_refreshed_id_token_changes_nothing() {
    let (ends, hook) = Ends::new();
    let (app, counted) = Counters::of(App::builder().layer(hook)).await;
    let mut browser = Browser::signed_in(&app).await;
    let before = browser.fetch("/me").await;
    app.sentinel.set_refresh_id_token(true);
    app.sentinel.set_id_claim("is_admin", true);
    app.sentinel.rotate_signing_key();
    app.sentinel.inject_always(Endpoint::Jwks, Fault::status(503));
    app.advance(2000);
    browser.fetch("/me").await;
    until(|| counted.refreshes("success") == 1).await;
    let after = browser.fetch("/me").await;
    assert_ne!(after.access_token(), before.access_token());
    assert!(app.sentinel.counts().jwks > 1, "the keys were not even asked for");
    assert!(app.sentinel.is_live_access_token(&after.access_token()));
    assert_eq!(after.json()["is_admin"], false);
    assert!(ends.is_quiet());
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// X22, X23: rotation or none, and whether the old access token dies at a refresh or lives on.
#[tokio::test]
async fn every_kind_of_sentinel_is_refreshed_over_and_over() {
    for (rotation, dies) in [(true, true), (true, false), (false, true), (false, false)] {
        let name = format!("rotation {rotation}, old access token dies {dies}");
        let app = hourly().start().await;
        app.sentinel.set_rotation(rotation);
        app.sentinel.set_old_access_token_dies(dies);
        let mut browser = Browser::signed_in(&app).await;
        let mut old = browser.fetch("/token").await.body;
        for round in 0..6 {
            let due = round % 2 == 0;
            app.advance(if due { 2000 } else { HOUR });
            let first = browser.fetch("/token").await;
            let second = browser.fetch("/token").await;
            assert_eq!(first.body == old, due, "{name}, round {round}: {first:?}");
            assert_ne!(second.body, old, "{name}, round {round}");
            assert!(app.sentinel.is_live_access_token(&second.body), "{name}, round {round}");
            old = second.body;
        }
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (6, 0), "{name}");
    }
}

/// F20: a token that lives shorter than the refresh ahead is refreshed at half of its life.
#[tokio::test]
async fn a_short_lived_token_is_not_refreshed_at_every_request() {
    let app = hourly().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(6));
    app.advance(HOUR);
    for (second, refreshes) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 3)] {
        for _ in 0..3 {
            let page = browser.fetch("/token").await;
            assert!(app.sentinel.is_live_access_token(&page.body), "after {second} s: {page:?}");
        }
        assert_eq!(app.sentinel.counts().refreshes, refreshes, "after {second} s");
        app.advance(1);
    }
}

/// F21: activity does not postpone a refresh, and after one the next comes in its own time.
#[tokio::test]
async fn a_busy_session_is_refreshed_on_time_and_not_more_often() {
    let app = App::start().await;
    let mut browser = Browser::signed_in(&app).await;
    let mut times = Vec::new();
    for minute in 0..140_u64 {
        browser.fetch("/token").await;
        if app.sentinel.counts().refreshes > times.len() as u64 {
            times.push(minute);
        }
        app.advance(60);
    }
    let mut before = 0;
    assert_eq!(times.len(), 4, "{times:?}");
    for time in times {
        // 30 minutes, a tenth of jitter, and a minute of the test's own.
        assert!((30..=34).contains(&(time - before)), "refreshed after {} min", time - before);
        before = time;
    }
}

/// F31: sessions of one second are not refreshed in one second.
#[tokio::test]
async fn sessions_of_one_second_are_due_at_different_times() {
    let (app, counted) = Counters::of(App::builder()).await;
    let mut browsers = Vec::new();
    for _ in 0..24 {
        browsers.push(Browser::signed_in(&app).await);
    }
    app.advance(1799);
    let mut per_step = Vec::new();
    let mut before = 0;
    for _ in 0..11 {
        for browser in &mut browsers {
            browser.fetch("/token").await;
        }
        until(|| counted.sum_of("lp_auth_refreshes_total") == app.sentinel.counts().refreshes)
            .await;
        let refreshes = app.sentinel.counts().refreshes;
        per_step.push(refreshes - before);
        before = refreshes;
        app.advance(20);
    }
    assert_eq!((per_step[0], before), (0, 24), "{per_step:?}");
    let steps = per_step.iter().filter(|refreshes| **refreshes > 0).count();
    assert!(steps >= 4, "{per_step:?}");
}

/// F33.
#[tokio::test]
async fn without_a_refresh_token_the_session_ends_with_its_access_token() {
    let app = hourly().start().await;
    app.sentinel.set_login_refresh_token(false);
    let mut browser = Browser::signed_in(&app).await;
    for after in [2000, HOUR - 2000 - 1] {
        app.advance(after);
        assert_eq!(browser.fetch("/token").await.status, 200, "{after} s later");
    }
    app.advance(1);
    browser.fetch("/token").await.assert_unauthorized();
    assert_eq!(browser.fetch("/").await.body, "hello stranger");
    browser.navigate("/token").await.assert_login();
    assert_eq!(app.sentinel.counts().refreshes, 0);
}

/// F34.
#[tokio::test]
async fn only_requests_that_need_the_user_refresh() {
    let app = hourly().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.advance(HOUR);
    let mut nobody = Browser::new(&app);
    for path in ["/me", "/", "/public"] {
        nobody.fetch(path).await;
        nobody.navigate(path).await;
    }
    browser.fetch("/public").await;
    browser.navigate("/login").await.assert_login();
    browser.navigate("/callback?code=x&state=y").await;
    browser.navigate("/logout").await;
    assert_eq!(app.sentinel.counts().refreshes, 0, "refreshed for nothing");
    assert_eq!(browser.clone().post("/logout").await.status, 303);
    assert_eq!(app.sentinel.counts().refreshes, 0, "a logout needs no tokens");
}

/// F08: on an optional route a session that cannot be said to live passes as unavailable.
#[tokio::test]
async fn an_optional_route_passes_without_the_user_while_sentinel_fails() {
    let app = hourly().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(HOUR);
    let page = browser.fetch("/").await;
    assert_eq!(page.body, "hello, whoever you are for now", "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
    app.sentinel.clear_faults();
    app.advance(12);
    assert_eq!(browser.fetch("/").await.body, format!("hello {AGENT}"));
}
