//! A process that stops lets what is under way finish.

mod support;

use std::time::Duration;

use futures_util::future::join;
use support::{App, AppBuilder, Browser, Counters, Ends, Logs, Page, fetch_token, until};
use tokio::{task::JoinHandle, time::Instant};
use tower_lp_auth::{
    EndReason,
    test_kit::{Endpoint, Fault},
};

const HOUR: u64 = 3600;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(10);

/// Tokens live an hour and are due after 100 s and a tenth, before activity is re-sealed: a cookie
/// that comes then is a refresh's.
fn soon_due() -> AppBuilder {
    App::builder()
        .sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
        .layer(|layer| layer.refresh_after(Duration::from_secs(100)))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The shutdown in a task of its own, once it has begun.
async fn stop(app: &App, deadline: Duration) -> JoinHandle<bool> {
    let auth = app.auth.clone();
    let stopping = tokio::spawn(async move { auth.shutdown(deadline).await });
    until(|| !app.auth.health().ready).await;
    stopping
}

/// A fetch in a task of its own.
fn fetching(browser: &Browser, path: &'static str) -> JoinHandle<Page> {
    let mut browser = browser.clone();
    tokio::spawn(async move { browser.fetch(path).await })
}

/// Sealed rule 8: with nothing under way a shutdown is over at once, and probes see it.
#[tokio::test]
async fn an_idle_layer_stops_at_once() {
    let app = App::start().await;
    Browser::signed_in(&app).await;
    assert!(app.auth.health().ready);
    let started = Instant::now();
    assert!(app.auth.shutdown(LONG).await);
    assert!(started.elapsed() < millis(500));
    assert!(!app.auth.health().ready);
}

/// Sealed rule 8: no due refresh starts; requests are served meanwhile. What has expired is still
/// refreshed: nobody can be served otherwise.
#[tokio::test]
async fn no_due_refresh_starts_during_a_shutdown() {
    let app = soon_due().start().await;
    let mut due = Browser::signed_in(&app).await;
    let token = due.fetch("/token").await.body;
    app.advance(120);
    let slow = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(millis(600)));
    app.advance(120);
    let slow = fetching(&slow, "/token");
    until(|| app.sentinel.counts().refreshes == 1).await;
    let stopping = stop(&app, LONG).await;
    for path in ["/token", "/token"] {
        let page = due.fetch(path).await;
        assert_eq!((page.status.as_u16(), &page.body), (200, &token), "{page:?}");
    }
    assert_eq!(app.sentinel.counts().refreshes, 1, "a due refresh has started");
    app.advance(HOUR);
    let page = due.fetch("/token").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_ne!(page.body, token);
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    assert_eq!(app.sentinel.counts().refreshes, 2);
    assert!(stopping.await.expect("no panic"));
    assert_eq!(slow.await.expect("no panic").status, 200);
}

/// F35, O12, Y02, sealed rule 8: heads wait for the flight of their session, far beyond 250 ms, so
/// that its cookie is delivered; those that come during the shutdown wait too.
#[tokio::test]
async fn heads_wait_for_flights_so_that_no_rotated_token_is_lost() {
    let app = soon_due().start().await;
    let browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Late(millis(1200)));
    app.advance(120);
    let first = fetching(&browser, "/token");
    until(|| app.sentinel.counts().refreshes == 1).await;
    let stopping = stop(&app, LONG).await;
    let second = fetching(&browser, "/me");
    let (first, second) = join(first, second).await;
    let (first, second) = (first.expect("no panic"), second.expect("no panic"));
    assert!(stopping.await.expect("no panic"), "the flight has not been waited for");
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(first.session_cookies().len(), 1, "{first:?}");
    assert_eq!(first.session_cookies(), second.session_cookies());

    // Whoever starts up next reads it.
    let mut browser = browser.clone();
    browser.jar.set(&first.session_cookies()[0]);
    let callback = format!("{}/callback", app.url);
    let next = soon_due().layer(|layer| layer.redirect_uri(callback)).beside(&app).start().await;
    let cookies = browser.jar.header().expect("a session");
    let page = fetch_token(&next.auth, &cookies).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body));
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// Sealed rule 8: at the deadline heads leave, a waiter whose token has ended gets 503, one whose
/// token lives is served, and the shutdown says that not all has ended.
#[tokio::test]
async fn at_the_deadline_nobody_waits_any_more() {
    let app =
        soon_due().layer(|layer| layer.request_timeout(Duration::from_secs(60))).start().await;
    let expired = Browser::signed_in(&app).await;
    app.advance(31);
    let mut expiring = Browser::signed_in(&app).await;
    let expiring_token = expiring.fetch("/token").await.body;
    app.advance(HOUR - 31 - 200);
    let mut due = Browser::signed_in(&app).await;
    let due_token = due.fetch("/token").await.body;
    app.advance(200);
    app.sentinel.inject_always(Endpoint::Refresh, Fault::Hang);
    let waiting = [&expired, &expiring, &due].map(|browser| fetching(browser, "/token"));
    until(|| app.sentinel.counts().refreshes == 3).await;
    let started = Instant::now();
    let stopping = stop(&app, millis(700)).await;
    let [refused, served, head] = waiting.map(|page| async { page.await.expect("no panic") });
    let ((refused, served), head) = join(join(refused, served), head).await;
    let waited = started.elapsed();
    refused.assert_unavailable();
    assert_eq!((served.status.as_u16(), served.body), (200, expiring_token));
    assert_eq!((head.status.as_u16(), &head.body), (200, &due_token));
    assert!(head.session_cookies().is_empty(), "{head:?}");
    assert!(waited >= millis(650), "nobody has waited: {waited:?}");
    assert!(waited < millis(2500), "waited {waited:?}");
    assert!(!stopping.await.expect("no panic"), "three flights are still under way");
    // Beyond the deadline nobody waits at all.
    let late = Instant::now();
    fetching(&expired, "/token").await.expect("no panic").assert_unavailable();
    assert!(late.elapsed() < millis(1000), "waited {:?}", late.elapsed());
}

/// Sealed rule 8: beyond the deadline no refresh starts: its result would die with the process.
#[tokio::test]
async fn no_refresh_starts_beyond_the_deadline() {
    let app = soon_due().start().await;
    let expired = Browser::signed_in(&app).await;
    app.advance(HOUR);
    assert!(app.auth.shutdown(Duration::ZERO).await);
    fetching(&expired, "/token").await.expect("no panic").assert_unavailable();
    assert!(app.auth.shutdown(LONG).await);
    assert_eq!(app.sentinel.counts().refreshes, 0, "a rotated token is lost");
}

/// Jar rule 4, Y01: a code exchange under way is finished, and the browser is signed in.
#[tokio::test]
async fn a_login_under_way_is_finished() {
    let app = App::start().await;
    app.sentinel.auto_login(Some(support::AGENT));
    app.sentinel.inject(Endpoint::Token, Fault::Late(millis(600)));
    let mut browser = Browser::new(&app);
    let arriving = tokio::spawn(async move {
        let page = browser.open("/me").await;
        (browser, page)
    });
    until(|| app.sentinel.counts().exchanges == 1).await;
    assert!(!arriving.is_finished());
    let stopping = stop(&app, LONG).await;
    assert!(stopping.await.expect("no panic"));
    let (mut browser, page) = arriving.await.expect("no panic");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(browser.fetch("/me").await.status, 200);
    assert_eq!(app.sentinel.counts().exchanges, 1);
}

/// O12: an exchange whose browser has hung up is waited for as well.
#[tokio::test]
async fn an_abandoned_exchange_is_waited_for() {
    let app = App::start().await;
    app.sentinel.auto_login(Some(support::AGENT));
    app.sentinel.inject(Endpoint::Token, Fault::Late(millis(500)));
    let mut browser = Browser::new(&app);
    let arriving = tokio::spawn(async move { browser.open("/me").await });
    until(|| app.sentinel.counts().exchanges == 1).await;
    arriving.abort();
    let started = Instant::now();
    assert!(app.auth.shutdown(LONG).await);
    assert!(started.elapsed() >= millis(300), "not waited for: {:?}", started.elapsed());
}

/// O12: revocations and the hook of a session's end are finished too.
#[tokio::test]
async fn revocations_and_hooks_are_finished() {
    let (mut ends, hook) = Ends::new();
    let app = App::builder().layer(move |layer| hook(layer).revoke_on_logout(true)).start().await;
    let mut browser = Browser::signed_in(&app).await;
    let token = browser.fetch("/token").await.body;
    app.sentinel.inject(Endpoint::Revoke, Fault::Delay(millis(500)));
    let mut leaving = browser.clone();
    let logout = tokio::spawn(async move { leaving.post("/logout").await });
    until(|| app.sentinel.counts().revocations == 1).await;
    logout.abort();
    assert!(app.sentinel.is_live_access_token(&token));
    assert!(app.auth.shutdown(LONG).await);
    assert!(!app.sentinel.is_live_access_token(&token), "not waited for");
    assert_eq!(ends.next().await, EndReason::Logout);
}

/// An application that revokes at a logout, and its counters.
async fn revoking() -> (App, Counters) {
    Counters::of(App::builder().layer(|layer| layer.revoke_on_logout(true))).await
}

fn given_up(counted: &Counters) -> u64 {
    counted.get("lp_auth_revocations_total{outcome=gave_up}")
}

/// So many users log out, and their revocations fail.
async fn log_out(app: &App, users: usize) {
    for waiting in 1..=users {
        let mut browser = Browser::signed_in(app).await;
        assert_eq!(browser.post("/logout").await.status, 303);
        until(|| app.auth.health().waiting_revocations == waiting).await;
    }
}

/// G06, O12: a revocation that waits for its next try does not wait any longer.
#[tokio::test]
async fn a_shutdown_delivers_what_waits_at_once() {
    let (app, counted) = revoking().await;
    app.sentinel.inject(Endpoint::Revoke, Fault::status(503));
    app.sentinel.inject(Endpoint::Revoke, Fault::Reset);
    log_out(&app, 2).await;
    assert!(app.auth.shutdown(LONG).await, "the clock stands still, and no pause is over");
    assert_eq!(counted.get("lp_auth_revocations_total{outcome=success}"), 2);
    assert_eq!(counted.sum_of("lp_auth_revocations_total"), 2);
    assert_eq!(app.sentinel.counts().revocations, 4);
    assert_eq!(app.auth.health().waiting_revocations, 0);
}

/// G06, O12: tried at once, and again; what is left at the deadline is given up, and one warning
/// says how many.
#[tokio::test]
async fn what_cannot_be_delivered_by_the_deadline_is_given_up() {
    let (logs, _guard) = Logs::capture();
    let (app, counted) = revoking().await;
    app.sentinel.inject_always(Endpoint::Revoke, Fault::status(503));
    log_out(&app, 3).await;
    let stopping = stop(&app, Duration::from_secs(6)).await;
    until(|| app.sentinel.counts().revocations == 6).await;
    until(|| counted.get("lp_auth_revocation_retries_total") == 6).await;
    app.advance(2);
    until(|| app.sentinel.counts().revocations == 9).await;
    assert_eq!((given_up(&counted), stopping.is_finished()), (0, false));
    assert!(!stopping.await.expect("no panic"), "nothing has been delivered");
    assert_eq!(given_up(&counted), 3);
    assert_eq!(counted.sum_of("lp_auth_revocations_total"), 3);
    assert_eq!(counted.get("lp_auth_revocations_waiting"), 0);
    let text = logs.text();
    let told: Vec<_> = text.lines().filter(|line| line.contains("gave_up")).collect();
    let [line] = &told[..] else { panic!("{text}") };
    assert!(line.contains("WARN") && line.contains("revocations=3"), "{line}");
}

/// G06, O12: a call that hangs is cut at the deadline; what begins later is asked for once.
#[tokio::test]
async fn no_revocation_outlives_the_deadline() {
    let (app, counted) = revoking().await;
    app.sentinel.inject(Endpoint::Revoke, Fault::Hang);
    let mut leaving = Browser::signed_in(&app).await;
    let mut late = Browser::signed_in(&app).await;
    let logout = tokio::spawn(async move { leaving.post("/logout").await });
    until(|| app.sentinel.counts().revocations == 1).await;
    let started = Instant::now();
    assert!(!app.auth.shutdown(millis(300)).await);
    assert!(started.elapsed() < millis(2300), "took {:?}", started.elapsed());
    assert_eq!(given_up(&counted), 1);
    assert_eq!(logout.await.expect("no panic").status, 303);
    app.sentinel.inject(Endpoint::Revoke, Fault::status(503));
    assert_eq!(late.post("/logout").await.status, 303);
    until(|| given_up(&counted) == 2).await;
    assert_eq!(app.auth.health().waiting_revocations, 0);
    assert_eq!(app.sentinel.counts().revocations, 2);
    assert!(!app.auth.shutdown(LONG).await, "two tokens are not revoked");
}

/// G06: a shutdown does not cut short a pause that Sentinel has asked for.
#[tokio::test]
async fn a_shutdown_keeps_a_pause_that_sentinel_has_asked_for() {
    let (app, counted) = revoking().await;
    app.sentinel.inject(Endpoint::Revoke, Fault::throttled(20));
    log_out(&app, 1).await;
    assert!(!app.auth.shutdown(millis(1500)).await);
    assert_eq!((given_up(&counted), app.sentinel.counts().revocations), (1, 1));
}

/// O12: revocations end at the deadline of a shutdown that has been cancelled.
#[tokio::test]
async fn a_cancelled_shutdown_gives_revocations_up_at_its_deadline() {
    let (app, counted) = revoking().await;
    app.sentinel.inject_always(Endpoint::Revoke, Fault::status(503));
    log_out(&app, 1).await;
    let stopping = stop(&app, millis(500)).await;
    stopping.abort();
    until(|| given_up(&counted) == 1).await;
    assert_eq!(counted.sum_of("lp_auth_revocations_total"), 1);
}

/// O12: a shutdown that is cancelled leaves its deadline in place and its work under way.
#[tokio::test]
async fn a_cancelled_shutdown_goes_on() {
    let app = soon_due().start().await;
    let browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Late(millis(600)));
    app.advance(120);
    let head = fetching(&browser, "/token");
    until(|| app.sentinel.counts().refreshes == 1).await;
    let stopping = stop(&app, LONG).await;
    stopping.abort();
    let head = head.await.expect("no panic");
    assert_eq!(head.session_cookies().len(), 1, "{head:?}");
    assert!(!app.auth.health().ready);
    assert!(app.auth.shutdown(LONG).await);
}
