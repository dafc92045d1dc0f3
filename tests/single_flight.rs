//! One refresh of one session, whatever its requests do.

mod support;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use futures_util::future::{join, join_all};
use http::Request;
use support::{AGENT, App, AppBuilder, Browser, FETCH, Page, fetch_token, fetch_with, until};
use tokio::time::Instant;
use tower::Service;
use tower_lp_auth::{
    Clock,
    test_kit::{Endpoint, Fault, ManualClock, MockSentinel},
};

const HOUR: u64 = 3600;

/// Access tokens live an hour, so that their end comes long before the session's.
fn hourly() -> AppBuilder {
    App::builder().sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
}

/// Tokens are due after 100 s and a tenth, before activity is re-sealed: a cookie that comes then is
/// a refresh's.
fn soon_due() -> AppBuilder {
    App::builder().layer(|layer| layer.refresh_after(Duration::from_secs(100)))
}

/// A session's `Cookie` header, and its access token.
async fn sign_in(app: &App) -> (String, String) {
    let browser = Browser::signed_in(app).await;
    let cookies = browser.jar.header().expect("a session");
    let token = fetch_token(&app.auth, &cookies).await.body;
    (cookies, token)
}

/// A `Cookie` header after a response.
fn renewed(page: &Page) -> Option<String> {
    let lines = page.session_cookies();
    assert!(lines.len() <= 1, "{page:?}");
    lines.first().and_then(|line| line.split(';').next()).map(str::to_owned)
}

/// F01, P01.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_requests_on_an_expired_session_refresh_once() {
    const REQUESTS: usize = 10_000;
    let app = hourly().start().await;
    let (cookies, old) = sign_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(300)));
    app.advance(HOUR);
    let pages = swarm(&app, &cookies, REQUESTS).await;
    let line = renewed(&pages[0]);
    assert!(line.is_some(), "{:?}", pages[0]);
    for page in &pages {
        assert_eq!(page.status, 200, "{page:?}");
        assert_ne!(page.body, old, "served with the expired token");
        assert_eq!((&page.body, renewed(page)), (&pages[0].body, line.clone()));
    }
    assert!(app.sentinel.is_live_access_token(&pages[0].body));
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// F01, the due path: nobody waits for the refresh but the head that has started it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_requests_on_a_due_session_refresh_once_and_do_not_wait() {
    let app = soon_due().start().await;
    let (cookies, old) = sign_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_secs(1)));
    app.advance(120);
    let pages = swarm(&app, &cookies, 1000).await;
    assert!(pages.iter().all(|page| page.status == 200 && page.body == old));
    until(|| app.sentinel.counts().refreshes == 1).await;
    let page = next_answer(&app, &cookies, &old).await;
    assert!(renewed(&page).is_some(), "{page:?}");
    assert!(page.body != old && app.sentinel.is_live_access_token(&page.body));
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// As many requests at once, each a task of its own.
async fn swarm(app: &App, cookies: &str, requests: usize) -> Vec<Page> {
    let tasks: Vec<_> = (0..requests)
        .map(|_| {
            let (auth, cookies) = (app.auth.clone(), cookies.to_owned());
            tokio::spawn(async move { fetch_token(&auth, &cookies).await })
        })
        .collect();
    join_all(tasks).await.into_iter().map(|page| page.expect("no panic")).collect()
}

/// F01 over real sockets: one refresh, and every response has the same cookie.
#[tokio::test]
async fn a_hundred_connections_share_one_refresh() {
    let app = hourly().start().await;
    let browser = Browser::signed_in(&app).await;
    app.advance(HOUR);
    let pages = join_all((0..100).map(|_| {
        let mut browser = browser.clone();
        async move { browser.fetch("/token").await }
    }))
    .await;
    for page in &pages {
        assert_eq!((page.status.as_u16(), &page.body), (200, &pages[0].body), "{page:?}");
        assert_eq!(renewed(page), renewed(&pages[0]));
    }
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// F27: a waiter has a deadline of 6 s. In the last minute of its token it is served then, later it
/// gets 503.
#[tokio::test]
async fn waiters_give_up_after_six_seconds() {
    let app = hourly().layer(|layer| layer.request_timeout(Duration::from_secs(60))).start().await;
    let (expired, _) = sign_in(&app).await;
    app.advance(31);
    let (expiring, token) = sign_in(&app).await;
    app.advance(HOUR - 31);
    app.sentinel.inject_always(Endpoint::Refresh, Fault::Hang);
    let started = Instant::now();
    let (refused, served) =
        join(fetch_token(&app.auth, &expired), fetch_token(&app.auth, &expiring)).await;
    let waited = started.elapsed();
    assert!(waited > Duration::from_millis(5900), "only {waited:?}");
    assert!(waited < Duration::from_secs(9), "{waited:?}");
    refused.assert_unavailable();
    assert_eq!((served.status.as_u16(), served.body), (200, token));
    // The flights are still under way: nobody presents the token a second time.
    assert_eq!(app.sentinel.counts().refreshes, 2);
}

/// F29.
#[tokio::test]
async fn a_slow_refresh_of_one_session_leaves_others_alone() {
    let app = hourly().start().await;
    let (slow, _) = sign_in(&app).await;
    let (due, due_token) = sign_in(&app).await;
    app.advance(HOUR - 1);
    let (fresh, _) = sign_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_secs(3)));
    let auth = app.auth.clone();
    let stuck = tokio::spawn(async move { fetch_token(&auth, &slow).await });
    until(|| app.sentinel.counts().refreshes == 1).await;
    let started = Instant::now();
    for _ in 0..200 {
        assert_eq!(fetch_token(&app.auth, &fresh).await.status, 200);
    }
    let refreshed = fetch_token(&app.auth, &due).await;
    assert_eq!(refreshed.status, 200, "{refreshed:?}");
    assert_ne!(refreshed.body, due_token, "B's refresh has waited for A's");
    let elapsed = started.elapsed();
    assert!(!stuck.is_finished(), "A came back before B was asked; B took {elapsed:?}");
    let page = stuck.await.expect("no panic");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(app.sentinel.counts().refreshes, 2);
}

/// F32: neither one user's two sessions nor two users whose tokens begin alike share a result.
#[tokio::test]
async fn every_session_gets_its_own_tokens() {
    let app = hourly().start().await;
    let mut browsers = vec![Browser::signed_in(&app).await, Browser::signed_in(&app).await];
    for user in ["4001", "4002"] {
        let mut browser = Browser::new(&app);
        browser.sign_in(&app, user).await;
        browsers.push(browser);
    }
    // All four hold access tokens that differ in their last letter only.
    let prefix = "0123456789abcdef".repeat(4);
    for letter in ["a", "b", "c", "d"] {
        let answer = format!(r#"{{"access_token":"{prefix}{letter}","expires_in":3600}}"#);
        app.sentinel.inject(Endpoint::Refresh, Fault::Body(answer.into_bytes()));
    }
    app.advance(HOUR);
    for browser in &mut browsers {
        assert_eq!(browser.fetch("/token").await.status, 200);
    }
    app.advance(HOUR);
    let pages = join_all(browsers.iter_mut().map(|browser| browser.fetch("/me"))).await;
    let users: Vec<_> = pages.iter().map(|page| page.json()["user_id"].clone()).collect();
    assert_eq!(users, [AGENT, AGENT, "4001", "4002"]);
    let mut tokens: Vec<_> = pages.iter().map(Page::access_token).collect();
    assert!(tokens.iter().all(|token| app.sentinel.is_live_access_token(token)));
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "two sessions share a token");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (8, 0));
}

/// Polls a future up to a number of times; then it is dropped with this value.
struct AtMost<F> {
    polls: usize,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for AtMost<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // What comes after the last poll is the drop.
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// F06, O02: the response future is dropped after each of its polls, and before the first. A refresh
/// that has begun ends well, and the next request needs no call.
#[tokio::test]
async fn a_client_that_hangs_up_loses_no_refresh() {
    for (after, name) in [(2000, "due"), (HOUR - 30, "in the last minute"), (HOUR, "expired")] {
        for at_refresh in [Fault::Delay(Duration::ZERO), Fault::Late(Duration::from_millis(300))] {
            let mut polls = 0;
            loop {
                let app = hourly().start().await;
                let (cookies, old) = sign_in(&app).await;
                app.sentinel.inject(Endpoint::Refresh, at_refresh.clone());
                app.advance(after);
                let mut service = support::token_service(&app.auth);
                let response = service.call(fetch_with("/token", &cookies));
                let answered = AtMost { polls, future: Box::pin(response) }.await.is_some();
                let row = format!("{name}, {at_refresh:?}, dropped after {polls} polls");
                // A call of the service starts the refresh of a due session, the first poll that of
                // an expired one.
                let begun = u64::from(after == 2000 || polls > 0);
                until(|| app.sentinel.counts().refreshes == begun).await;
                let next = next_answer(&app, &cookies, &old).await;
                assert_eq!(next.status, 200, "{row}: {next:?}");
                assert!(app.sentinel.is_live_access_token(&next.body), "{row}");
                let counts = app.sentinel.counts();
                assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{row}");
                if answered {
                    break;
                }
                polls += 1;
                assert!(polls < 50, "{row}: never answered");
            }
            assert!(polls > 0, "{name}: nothing was cancelled");
        }
    }
}

/// The first answer with another token; while a flight beside the handler is under way the old one
/// is served.
async fn next_answer(app: &App, cookies: &str, old: &str) -> Page {
    let started = Instant::now();
    loop {
        let page = fetch_token(&app.auth, cookies).await;
        if page.body != old || started.elapsed() > Duration::from_secs(5) {
            return page;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sealed rule 4: the head that started a slow flight waits 250 ms and leaves without the cookie,
/// others leave at once, and the session's next response brings it.
#[tokio::test]
async fn a_head_waits_a_quarter_of_a_second_for_its_cookie() {
    let app = soon_due().start().await;
    let (cookies, old) = sign_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_secs(4)));
    app.advance(120);
    let started = Instant::now();
    let auth = app.auth.clone();
    let brought = cookies.clone();
    let first = tokio::spawn(async move { fetch_token(&auth, &brought).await });
    until(|| app.sentinel.counts().refreshes == 1).await;
    let others = Instant::now();
    for _ in 0..10 {
        let page = fetch_token(&app.auth, &cookies).await;
        assert_eq!((renewed(&page), &page.body), (None, &old), "{page:?}");
    }
    let others = others.elapsed();
    assert!(others < Duration::from_secs(2), "others have waited {others:?}");
    let first = first.await.expect("no panic");
    let waited = started.elapsed();
    assert_eq!((renewed(&first), &first.body), (None, &old), "{first:?}");
    assert!(waited >= Duration::from_millis(250), "left after {waited:?}");
    assert!(waited < Duration::from_secs(3), "left after {waited:?}");
    let next = next_answer(&app, &cookies, &old).await;
    assert!(renewed(&next).is_some(), "{next:?}");
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// Sealed rule 4: the 250 ms begin when the handler's head is ready, so a slow handler costs nothing
/// on top.
#[tokio::test]
async fn a_slow_handler_brings_the_cookie_of_a_refresh_that_has_ended_meanwhile() {
    let app = soon_due().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(400)));
    app.advance(120);
    let page = browser.fetch("/sleep").await;
    assert_eq!(page.body, "slept");
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
}

/// A clock that can be told to panic at one of its next readings.
#[derive(Clone, Debug)]
struct Brittle {
    clock: ManualClock,
    /// Readings until the panic; zero is none.
    left: Arc<AtomicU64>,
}

impl Brittle {
    fn reading(&self) {
        let left =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        assert_ne!(left, Ok(1), "the clock breaks, as it was told to");
    }
}

impl Clock for Brittle {
    fn now(&self) -> SystemTime {
        self.reading();
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.reading();
        self.clock.monotonic()
    }
}

/// F30: a panic at any reading of the clock, in the request or in the flight. Whoever waits is
/// answered, and once the failure memory is over the session is refreshed. Sentinel does not rotate
/// here: a panic between its answer and the keeping of it is an answer lost.
#[tokio::test]
async fn a_panic_in_a_refresh_leaves_nobody_waiting() {
    let mut reading = 0;
    let mut in_flight = 0;
    loop {
        reading += 1;
        let left = Arc::new(AtomicU64::new(0));
        let app = {
            let left = Arc::clone(&left);
            let clock = ManualClock::new();
            let sentinel = MockSentinel::builder()
                .clock(clock.clone())
                .access_token_lifetime(Duration::from_secs(HOUR))
                .start()
                .await
                .expect("a free port");
            sentinel.set_rotation(false);
            AppBuilder::on(sentinel, clock.clone())
                .layer(move |layer| layer.clock(Brittle { clock, left }))
                .start()
                .await
        };
        let (cookies, _) = sign_in(&app).await;
        app.advance(HOUR);
        left.store(reading, Ordering::SeqCst);
        let pages = tokio::time::timeout(
            Duration::from_secs(5),
            join_all((0..3).map(|_| {
                let (auth, cookies) = (app.auth.clone(), cookies.clone());
                // The panic ends this task alone, as it ends a connection.
                tokio::spawn(async move { fetch_token(&auth, &cookies).await })
            })),
        )
        .await
        .unwrap_or_else(|_| panic!("waiters hang after a panic at reading {reading}"));
        let broke = left.swap(0, Ordering::SeqCst) == 0;
        let torn = pages.iter().filter(|page| page.is_err()).count();
        assert!(torn <= 1, "a panic at reading {reading} has torn down {torn} requests");
        for page in pages.into_iter().flatten() {
            assert!([200, 503].contains(&page.status.as_u16()), "reading {reading}: {page:?}");
        }
        app.advance(12);
        let next = tokio::time::timeout(Duration::from_secs(5), fetch_token(&app.auth, &cookies));
        let next = next.await.unwrap_or_else(|_| panic!("hangs after reading {reading}"));
        assert_eq!(next.status, 200, "reading {reading}: {next:?}");
        assert!(app.sentinel.is_live_access_token(&next.body), "reading {reading}");
        if !broke {
            break;
        }
        in_flight += u64::from(torn == 0);
    }
    assert!(in_flight > 0, "no panic has hit a flight");
}

/// The futures of requests are `Send`, so that any executor may move them.
#[test]
fn a_request_to_the_layer_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let auth = tower_lp_auth::LpAuthLayer::builder()
        .account("12345678")
        .client_id("client")
        .client_secret("secret")
        .redirect_uri("http://127.0.0.1:1/callback")
        .session_key(tower_lp_auth::SessionKey::random())
        .build()
        .expect("a configuration that works");
    let mut service = support::token_service(&auth);
    let mut request = Request::get("/token");
    for (name, value) in FETCH {
        request = request.header(name, value);
    }
    is_send(&service.call(request.body(()).expect("a valid request")));
}
