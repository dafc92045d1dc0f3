//! Clients that hang up and code that panics, while a stored session is refreshed.

mod support;

use std::{
    future::Future,
    pin::pin,
    task::Poll,
    time::{Duration, SystemTime},
};

use support::{
    App, AppBuilder, Browser, Cluster, Mishap, RiggedStore, Verb, fetch_token, fetch_with,
    token_service, until,
};
use tower::Service;
use tower_lp_auth::{
    Clock,
    test_kit::{Endpoint, Fault, ManualClock, MockSentinel},
};

const RECORD: &str = ":session:";

/// F06, O02, Y05: whenever the client hangs up, the refresh it has started goes on: the result is
/// written, the lease is given back, and the next request needs no call.
#[tokio::test]
async fn a_request_dropped_at_any_poll_loses_nothing() {
    let mut dropped_before_the_end = 0;
    for polls in 0..24 {
        let cluster = Cluster::of(2).start().await;
        let (app, store) = (&cluster.instances[0], &cluster.stores[0]);
        let browsers = cluster.signed_in().await;
        let cookies = browsers[0].jar.header().expect("a session");
        cluster.advance(250);
        // Each step takes long enough to be left in the middle.
        for verb in [Verb::Load, Verb::Load, Verb::Lease, Verb::Update, Verb::Update] {
            store.plan(verb, Mishap::Delay(Duration::from_millis(4)));
        }
        cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(4)));
        let finished = {
            let mut request = pin!(token_service(&app.auth).call(fetch_with("/token", &cookies)));
            let mut finished = false;
            for _ in 0..polls {
                // In between, whatever it waits for goes on.
                finished =
                    std::future::poll_fn(|cx| Poll::Ready(request.as_mut().poll(cx).is_ready()))
                        .await;
                if finished {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            finished
        };
        dropped_before_the_end += usize::from(!finished);
        if store.count(Verb::Lease) > 0 {
            until(|| store.count(Verb::Release) == 1).await;
            assert_eq!(cluster.presented(), (1, 0), "{polls} polls");
        }
        assert!(app.auth.shutdown(Duration::from_secs(10)).await, "{polls} polls: it leaks");
        let page = browsers[1].clone().fetch("/token").await;
        assert_eq!(page.status, 200, "{polls} polls: {page:?}");
        assert!(app.sentinel.is_live_access_token(&page.body), "{polls} polls");
        assert_eq!(cluster.presented(), (1, 0), "{polls} polls");
    }
    assert!(dropped_before_the_end >= 4, "only {dropped_before_the_end} were dropped");
}

/// F06: the same with a store or a Sentinel that is slow, and a client that hangs up in the middle of
/// each step.
#[tokio::test]
async fn a_client_that_hangs_up_during_a_slow_step_loses_nothing() {
    let slow = Mishap::Delay(Duration::from_millis(200));
    type Slow = fn(&Cluster, Mishap);
    let steps: [(&str, Verb, Slow); 5] = [
        ("the lease", Verb::Lease, |cluster, slow| cluster.stores[0].plan(Verb::Lease, slow)),
        ("reading again", Verb::Lease, |cluster, slow| {
            cluster.stores[0].plan(Verb::Load, Mishap::Pass);
            cluster.stores[0].plan(Verb::Load, slow);
        }),
        ("the mark", Verb::Update, |cluster, slow| cluster.stores[0].plan(Verb::Update, slow)),
        ("the call", Verb::Update, |cluster, _| {
            let late = Fault::Late(Duration::from_millis(300));
            cluster.sentinel().inject(Endpoint::Refresh, late);
        }),
        ("the result", Verb::Update, |cluster, slow| {
            cluster.stores[0].plan(Verb::Update, Mishap::Pass);
            cluster.stores[0].plan(Verb::Update, slow);
        }),
    ];
    for (step, seen, make_slow) in steps {
        let cluster = Cluster::of(2).start().await;
        let browsers = cluster.signed_in().await;
        cluster.advance(250);
        make_slow(&cluster, slow);
        let store = &cluster.stores[0];
        let (auth, cookies) =
            (cluster.instances[0].auth.clone(), browsers[0].jar.header().expect("a session"));
        let request = tokio::spawn(async move { fetch_token(&auth, &cookies).await });
        until(|| store.count(seen) >= 1).await;
        request.abort();
        assert!(request.await.is_err_and(|error| error.is_cancelled()), "{step}: not dropped");
        until(|| store.count(Verb::Release) == 1).await;
        for browser in &browsers {
            let page = browser.clone().fetch("/token").await;
            assert!(cluster.sentinel().is_live_access_token(&page.body), "{step}: {page:?}");
        }
        assert_eq!(cluster.presented(), (1, 0), "{step}");
        assert_eq!(cluster.stores[1].count(Verb::Lease), 0, "{step}: refreshed again");
    }
}

/// F30, Y06: a store that panics in a refresh costs an attempt: waiters are answered, other instances are
/// told, and after the failure memory it is tried again.
#[tokio::test]
async fn a_store_that_panics_leaves_nobody_waiting() {
    for (step, verb, before) in [
        ("the lease", Verb::Lease, 0),
        ("the mark", Verb::Update, 0),
        ("the result", Verb::Update, 1),
    ] {
        let cluster = Cluster::of(2).start().await;
        // A token may have been rotated when the store panics at the result.
        cluster.sentinel().set_rotation(false);
        let browsers = cluster.signed_in().await;
        cluster.advance(250);
        for _ in 0..before {
            cluster.stores[0].plan(verb, Mishap::Pass);
        }
        cluster.stores[0].plan(verb, Mishap::Panic);
        let waiters: Vec<_> = (0..5)
            .map(|_| {
                let mut browser = browsers[0].clone();
                tokio::spawn(async move { browser.fetch("/token").await })
            })
            .collect();
        for waiter in waiters {
            waiter.await.expect("no panic").assert_unavailable();
        }
        let there = browsers[1].clone().fetch("/token").await;
        if step != "the lease" {
            there.assert_unavailable();
        }
        assert!(cluster.instances[0].auth.health().ready);
        cluster.advance(11);
        for browser in &browsers {
            let page = browser.clone().fetch("/token").await;
            assert!(cluster.sentinel().is_live_access_token(&page.body), "{step}: {page:?}");
        }
    }
}

/// A clock that panics when it is told to.
#[derive(Clone, Debug)]
struct Fragile {
    clock: ManualClock,
    broken: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Clock for Fragile {
    fn now(&self) -> SystemTime {
        assert!(
            !self.broken.swap(false, std::sync::atomic::Ordering::SeqCst),
            "the clock breaks, as it was told"
        );
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

/// F30: a panic in the flight itself, at the writing of its mark: the lease tells the others that the
/// attempt has failed, the session is kept, and a later attempt succeeds.
#[tokio::test]
async fn a_panic_in_a_refresh_is_a_failed_attempt_for_all_instances() {
    let clock = ManualClock::new();
    let fragile = Fragile { clock: clock.clone(), broken: std::sync::Arc::default() };
    let sentinel = MockSentinel::builder()
        .clock(clock.clone())
        .access_token_lifetime(Duration::from_secs(250))
        .start()
        .await
        .expect("a free port on loopback");
    let store = RiggedStore::with_clock(clock.clone());
    let (own, its_clock) = (store.clone(), fragile.clone());
    let first = AppBuilder::on(sentinel, clock)
        .layer(move |layer| layer.store(own).clock(its_clock))
        .start()
        .await;
    let (own, uri) = (store.another_connection(), first.url("/callback"));
    let second = App::builder()
        .beside(&first)
        .layer(move |layer| layer.store(own).redirect_uri(uri))
        .start()
        .await;
    let mut browser = Browser::signed_in(&first).await;
    let mut elsewhere = browser.moved_to(&second);
    first.advance(250);
    // The lease has been taken and the record read when the clock is asked for the mark's time.
    let broken = fragile.broken.clone();
    store.meddle(Verb::Lease, || std::future::ready(()));
    store.meddle(Verb::Load, || std::future::ready(()));
    store.meddle(Verb::Load, move || async move {
        broken.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    browser.fetch("/token").await.assert_unavailable();
    assert!(!fragile.broken.load(std::sync::atomic::Ordering::SeqCst), "it did not panic");
    until(|| store.count(Verb::Lease) == 2).await;
    elsewhere.fetch("/token").await.assert_unavailable();
    assert_eq!(first.sentinel.counts().refreshes, 0);
    first.advance(11);
    for browser in [&mut browser, &mut elsewhere] {
        let page = browser.fetch("/token").await;
        assert!(first.sentinel.is_live_access_token(&page.body), "{page:?}");
    }
    assert_eq!(first.sentinel.counts().refreshes, 1);
}

/// A callback whose client hangs up: the login is claimed once, and its outcome waits for the reload.
#[tokio::test]
async fn a_callback_that_is_dropped_is_finished_by_its_reload() {
    let cluster = Cluster::of(1).start().await;
    let app = &cluster.instances[0];
    for verb in [Verb::Create, Verb::IndexAdd] {
        let mut browser = Browser::new(app);
        let path = browser.reach_callback(app, "/me").await;
        cluster.forget_calls();
        cluster.stores[0].plan(verb, Mishap::Delay(Duration::from_millis(200)));
        let mut dropped = browser.clone();
        let url = path.clone();
        let callback = tokio::spawn(async move { dropped.navigate(&url).await });
        until(|| cluster.stores[0].count(verb) == 1).await;
        callback.abort();
        let page = browser.navigate(&path).await;
        assert_eq!(page.session_cookies().len(), 1, "{verb:?}: {page:?}");
        assert_eq!(browser.fetch("/me").await.status, 200, "{verb:?}");
        assert_eq!(cluster.stores[0].count_under(":login:", Verb::Create), 1, "{verb:?}");
    }
    assert_eq!(cluster.sentinel().counts().exchanges, 2);
}

/// Store rule 10, G20: a logout whose client hangs up is final here at once, and done everywhere: the
/// record goes, and the token is revoked where that is switched on.
#[tokio::test]
async fn a_logout_that_is_dropped_is_done_all_the_same() {
    let cluster = Cluster::of(2).layer(|layer| layer.revoke_on_logout(true)).start().await;
    let browsers = cluster.signed_in().await;
    let store = &cluster.stores[0];
    store.plan(Verb::Load, Mishap::Delay(Duration::from_millis(200)));
    let loads = store.count(Verb::Load);
    let mut dropped = browsers[0].clone();
    let logout = tokio::spawn(async move { dropped.post("/logout").await });
    until(|| store.count(Verb::Load) > loads).await;
    logout.abort();
    browsers[0].clone().fetch("/me").await.assert_unauthorized();
    until(|| store.history_of(RECORD).last().is_some_and(Option::is_none)).await;
    browsers[1].clone().fetch("/me").await.assert_unauthorized();
    until(|| cluster.sentinel().counts().revocations == 1).await;
}
