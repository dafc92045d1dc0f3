//! What an attempt to refresh can come to, with a store: the same table as without one.

mod support;

use std::time::Duration;

use support::{App, AppBuilder, Browser, Cluster, Counters, Ends, Mishap, RiggedStore, Verb};
use support::{retry_after, setbacks, until};
use tower_lp_auth::test_kit::{ExpiresIn, ManualClock, MockSentinel};

const HOUR: u64 = 3600;

/// Access tokens live an hour; the store's time is the application's.
async fn hourly() -> (AppBuilder, RiggedStore) {
    let clock = ManualClock::new();
    let sentinel = MockSentinel::builder()
        .clock(clock.clone())
        .access_token_lifetime(Duration::from_secs(HOUR))
        .start()
        .await
        .expect("a free port on loopback");
    let store = RiggedStore::with_clock(clock.clone());
    let own = store.clone();
    let builder = AppBuilder::on(sentinel, clock)
        .layer(move |layer| layer.store(own).request_timeout(Duration::from_secs(2)));
    (builder, store)
}

/// F08 to F12, F26 and the table of outcomes, in store mode: until its true end the access token
/// serves, then comes 503 with `Retry-After`, the session is kept, and nobody asks Sentinel before the
/// failure memory is over.
#[tokio::test]
async fn a_setback_is_no_end_with_a_store_either() {
    let mut rows = Vec::new();
    for row in setbacks() {
        let (mut ends, hook) = Ends::new();
        let (builder, store) = hourly().await;
        let (app, counted) = Counters::of(builder.layer(hook)).await;
        // Sentinel takes the same token again, so that a lost answer is a setback too.
        app.sentinel.set_rotation(false);
        let browser = Browser::signed_in(&app).await;
        rows.push(async move {
            row.survived_by(&app, browser, &counted).await;
            assert!(ends.is_quiet(), "{}: ended by {}", row.name, ends.next().await);
            assert_eq!(store.count(Verb::Delete) + store.count(Verb::DeleteIf), 0, "{}", row.name);
        });
    }
    futures_util::future::join_all(rows).await;
}

/// D01 and the row "lease or mark cannot be written": nothing is sent, the access token serves to its
/// true end, then 503, the next attempt after the failure memory.
#[tokio::test]
async fn a_lease_or_mark_that_cannot_be_written_sends_nothing_and_ends_nothing() {
    let mut rows = Vec::new();
    for verb in [Verb::Lease, Verb::Update] {
        for mishap in [Mishap::Fail, Mishap::Hang, Mishap::Full, Mishap::Refuse, Mishap::LoseAnswer]
        {
            let (mut ends, hook) = Ends::new();
            let (builder, store) = hourly().await;
            let app = builder.layer(hook).start().await;
            let browser = Browser::signed_in(&app).await;
            rows.push(async move {
                let row = format!("{verb:?}, {mishap:?}");
                store.plan_always(verb, mishap);
                unsent(&app, browser, &store, verb, &row).await;
                assert!(ends.is_quiet(), "{row}: ended by {}", ends.next().await);
            });
        }
    }
    futures_util::future::join_all(rows).await;
}

async fn unsent(app: &App, mut browser: Browser, store: &RiggedStore, verb: Verb, row: &str) {
    let token = browser.fetch("/token").await.body;
    app.advance(HOUR - 30);
    for _ in 0..2 {
        assert_eq!(browser.fetch("/token").await.body, token, "{row}: in the last minute");
    }
    let tried = store.count_under(if verb == Verb::Lease { ":lease:" } else { ":session:" }, verb);
    assert!(tried > 0, "{row}: not even tried");
    app.advance(29);
    assert_eq!(browser.fetch("/token").await.body, token, "{row}: in the last second");
    app.advance(1);
    let seconds = retry_after(&browser.fetch("/token").await);
    assert!((1..=11).contains(&seconds), "{row}: {seconds} s");
    let page = browser.navigate("/token").await;
    page.assert_unavailable();
    assert!(page.body.contains(r#"href="/login"#), "{row}: {page:?}");
    assert_eq!(app.sentinel.counts().refreshes, 0, "{row}: sent");
    store.mend();
    app.advance(seconds);
    let page = browser.fetch("/token").await;
    assert_eq!(page.status, 200, "{row}: {page:?}");
    assert!(app.sentinel.is_live_access_token(&page.body), "{row}");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{row}");
}

/// F33: without a refresh token the access token's end is the session's, also in the store.
#[tokio::test]
async fn without_a_refresh_token_a_stored_session_ends_with_its_access_token() {
    let (builder, store) = hourly().await;
    let app = builder.start().await;
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
    assert_eq!((app.sentinel.counts().refreshes, store.count(Verb::Lease)), (0, 0));
}

/// F34: what needs no user refreshes nothing and takes no lease.
#[tokio::test]
async fn only_requests_that_need_the_user_refresh_a_stored_session() {
    let (builder, store) = hourly().await;
    let app = builder.start().await;
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
    assert_eq!(browser.clone().post("/logout").await.status, 303);
    assert_eq!((app.sentinel.counts().refreshes, store.count(Verb::Lease)), (0, 0));
}

/// F20: a new token that is nearly over when it comes still serves all who waited, at each instance.
#[tokio::test]
async fn short_tokens_do_not_mean_a_refresh_per_request_with_a_store() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().set_expires_in(ExpiresIn::Literal(6.into()));
    cluster.advance(250);
    for (second, refreshes) in [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 3)] {
        for browser in &browsers {
            let page = browser.clone().fetch("/token").await;
            assert_eq!(page.status, 200, "after {second} s: {page:?}");
        }
        assert_eq!(cluster.presented(), (refreshes, 0), "after {second} s");
        cluster.advance(1);
    }
}

/// F11: what Sentinel sends in vain is no more than a failed attempt, however much it is.
#[tokio::test]
async fn nonsense_from_sentinel_writes_nothing_into_the_record_but_the_mark() {
    let (builder, store) = hourly().await;
    let app = builder.start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject(
        tower_lp_auth::test_kit::Endpoint::Refresh,
        tower_lp_auth::test_kit::Fault::Body(vec![b'{'; 1 << 20]),
    );
    let token = browser.fetch("/token").await.body;
    app.advance(HOUR - 30);
    assert_eq!(browser.fetch("/token").await.body, token);
    until(|| store.count(Verb::Lease) == 2).await; // taken, and kept as a failure
    let longest = store.everything_written().iter().map(|record| record.content().len()).max();
    assert!(longest.is_some_and(|longest| longest < 2048), "{longest:?} bytes");
}
