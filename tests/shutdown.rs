//! A process that stops lets what is under way finish.

mod support;

use std::time::Duration;

use futures_util::future::join;
use support::{App, AppBuilder, Browser, Ends, Page, fetch_token, until};
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
