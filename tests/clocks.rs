//! Clocks that jump: someone sets the machine's time, a virtual machine wakes up, a runtime stalls.

mod support;

use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use support::{AGENT, App, AppBuilder, Browser, until};
use tower_lp_auth::test_kit::{Endpoint, Fault};

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const AN_HOUR: Duration = Duration::from_secs(HOUR);

/// As many browsers, each with a session of its own.
async fn signed_in(app: &App, count: usize) -> Vec<Browser> {
    let mut browsers = Vec::new();
    for _ in 0..count {
        browsers.push(Browser::signed_in(app).await);
    }
    browsers
}

/// One fetch of each at once; all are served.
async fn fetch_all(browsers: &mut [Browser]) {
    for page in join_all(browsers.iter_mut().map(|browser| browser.fetch("/token"))).await {
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
    }
}

/// Sessions end an hour after the login, or without a request for an hour.
fn short() -> AppBuilder {
    App::builder().layer(|layer| layer.absolute_lifetime(AN_HOUR).idle_lifetime(AN_HOUR))
}

/// Y10: set forward by an hour, sessions are refreshed when their schedule says, spread by jitter, each
/// once.
#[tokio::test]
async fn a_jump_forward_is_no_storm_of_refreshes() {
    const SESSIONS: u64 = 12;
    let after = Duration::from_secs(70 * MINUTE);
    let app = App::builder().layer(move |layer| layer.refresh_after(after)).start().await;
    let mut browsers = signed_in(&app, 12).await;
    app.clock.jump_wall_forward(AN_HOUR);
    let mut by_minute = Vec::new();
    for minute in 60..=78 {
        let before = app.sentinel.counts().refreshes;
        fetch_all(&mut browsers).await;
        by_minute.push((minute, app.sentinel.counts().refreshes - before));
        app.advance(MINUTE);
    }
    let early = by_minute.iter().filter(|(minute, _)| *minute < 70).map(|(_, count)| count);
    assert_eq!(early.sum::<u64>(), 0, "{by_minute:?}");
    assert!(by_minute.iter().all(|(_, count)| *count < SESSIONS), "all at once: {by_minute:?}");
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (SESSIONS, 0), "{by_minute:?}");
}

/// Y10: what the jump has made due is refreshed once per session, whatever comes in at once.
#[tokio::test]
async fn a_jump_beyond_the_schedule_refreshes_each_session_once() {
    let app = App::start().await;
    let mut browsers = signed_in(&app, 8).await;
    app.clock.jump_wall_forward(AN_HOUR);
    let requests = (0..3).flat_map(|_| browsers.clone());
    join_all(requests.map(|mut browser| async move {
        let page = browser.fetch("/token").await;
        assert_eq!(page.status, StatusCode::OK, "{page:?}");
    }))
    .await;
    for _ in 0..3 {
        fetch_all(&mut browsers).await;
    }
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (8, 0));
    // Set right again, they are as fresh as can be.
    app.clock.jump_wall_backward(AN_HOUR);
    fetch_all(&mut browsers).await;
    app.advance(25 * MINUTE);
    fetch_all(&mut browsers).await;
    assert_eq!(app.sentinel.counts().refreshes, 8);
}

/// Y10: set forward by an hour, what has run out by then ends, and nothing else.
#[tokio::test]
async fn a_jump_forward_ends_what_has_run_out() {
    let idle = Duration::from_secs(90 * MINUTE);
    let app = App::builder().layer(move |layer| layer.idle_lifetime(idle)).start().await;
    let mut idle = Browser::signed_in(&app).await;
    app.advance(45 * MINUTE);
    let mut active = Browser::signed_in(&app).await;
    app.clock.jump_wall_forward(AN_HOUR);
    idle.fetch("/token").await.assert_unauthorized();
    assert_eq!(active.fetch("/token").await.status, StatusCode::OK);
}

/// Y10, G04, C02, C30, sealed rules 6 and 7: set back by an hour, no session is valid again that was
/// ended here or seen to be over.
#[tokio::test]
async fn a_jump_backward_brings_no_session_to_life() {
    for (row, app) in [
        ("logged out", App::start().await),
        ("refused by Sentinel", App::start().await),
        ("idle", App::builder().layer(|layer| layer.idle_lifetime(AN_HOUR)).start().await),
        ("at its absolute end", short().start().await),
    ] {
        let browser = Browser::signed_in(&app).await;
        let page = browser.clone().fetch("/token").await;
        assert_eq!(page.status, StatusCode::OK, "{row}: {page:?}");
        match row {
            "logged out" => {
                browser.clone().post("/logout").await;
            }
            "refused by Sentinel" => {
                app.sentinel.inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
                app.advance(2 * HOUR);
                browser.clone().fetch("/token").await;
            }
            _ => app.advance(HOUR + MINUTE),
        }
        let over = browser.clone().fetch("/token").await;
        assert_eq!(over.status, StatusCode::UNAUTHORIZED, "{row}: {over:?}");
        let refreshes = app.sentinel.counts().refreshes;
        app.clock.jump_wall_backward(AN_HOUR);
        for path in ["/token", "/me"] {
            let page = browser.clone().fetch(path).await;
            assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{row}: {page:?}");
        }
        assert_eq!(browser.clone().fetch("/").await.body, "hello stranger", "{row}");
        let login = browser.clone().navigate("/token").await;
        login.assert_login();
        assert_eq!(login.session_cookies().len(), 1, "{row}: worthless for good: {login:?}");
        assert_eq!(app.sentinel.counts().refreshes, refreshes, "{row}");
    }
}

/// Y10, sealed rule 7: a clock that is wrong by hours for a while does not make the process forget
/// what was logged out, or seen to be over, in that time.
#[tokio::test]
async fn a_clock_that_is_set_right_again_brings_no_session_to_life() {
    for (row, logged_out) in [("logged out", true), ("seen to be over", false)] {
        // One shard, so that every login sweeps it; one opened session, so that nothing else holds it.
        let builder = short().layer(|layer| {
            let layer = layer.absolute_lifetime(AN_HOUR).idle_lifetime(AN_HOUR);
            layer.ledger_entries(100).opened_sessions(1)
        });
        let app = builder.start().await;
        let browser = Browser::signed_in(&app).await;
        if logged_out {
            browser.clone().post("/logout").await;
        }
        app.clock.jump_wall_forward(3 * AN_HOUR);
        browser.clone().fetch("/token").await.assert_unauthorized();
        for _ in 0..3 {
            app.advance(MINUTE);
            Browser::signed_in(&app).await.fetch("/token").await;
        }
        app.clock.jump_wall_backward(3 * AN_HOUR);
        let page = browser.clone().fetch("/token").await;
        assert_eq!(page.status, StatusCode::UNAUTHORIZED, "{row}: {page:?}");
        assert_eq!(app.auth.health().evicted_entries, 0, "{row}");
    }
}

/// Y10, B13: set back by an hour, no login is valid again whose state is spent or that was seen to be
/// over; its code is not presented.
#[tokio::test]
async fn a_jump_backward_brings_no_login_to_life() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let spent = browser.reach_callback(&app, "/me").await;
    let mut with_spent = browser.clone();
    assert_eq!(browser.navigate(&spent).await.location().as_deref(), Some("/me"));
    app.advance(62 * MINUTE);
    let mut late = Browser::new(&app);
    let over = late.reach_callback(&app, "/me").await;
    let mut with_over = late.clone();
    app.advance(11 * MINUTE);
    late.navigate(&over).await.assert_refused();
    assert_eq!(app.sentinel.counts().exchanges, 1);
    for (row, back, browser, callback) in [
        ("seen to be over", 10 * MINUTE, &mut with_over, &over),
        ("spent", 58 * MINUTE, &mut with_spent, &spent),
    ] {
        app.clock.jump_wall_backward(Duration::from_secs(back));
        let page = browser.navigate(callback).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{row}: {page:?}");
        assert_eq!(app.sentinel.counts().exchanges, 1, "{row}: a code is presented");
    }
}

/// Y10: set back by an hour, nothing is refused for ever: live sessions serve, are refreshed and end by
/// the new time, and whoever has to can sign in.
#[tokio::test]
async fn a_jump_backward_refuses_nothing_for_ever() {
    let app = App::start().await;
    let mut signed_in = Browser::signed_in(&app).await;
    let mut waiting = Browser::new(&app);
    let callback = waiting.reach_callback(&app, "/me").await;
    let token = signed_in.fetch("/token").await.body;
    app.clock.jump_wall_backward(AN_HOUR);
    assert_eq!(signed_in.fetch("/token").await.body, token);
    let page = waiting.navigate(&callback).await;
    page.assert_refused();
    let page = waiting.open(&page.way_forward()).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(waiting.fetch("/me").await.json()["user_id"], AGENT);
    // Half an hour and a tenth after the login, by the time that it was dated with.
    app.advance(HOUR + 34 * MINUTE);
    signed_in.fetch("/token").await;
    let page = signed_in.fetch("/token").await;
    assert_ne!(page.body, token, "never refreshed: {page:?}");
    app.advance(9 * HOUR);
    signed_in.fetch("/token").await.assert_unauthorized();
}

/// Y10, F26: what was measured is not moved by the wall clock: failure memory and `Retry-After`.
#[tokio::test]
async fn pauses_go_by_the_monotonic_clock() {
    for (row, fault, pause) in
        [("failure memory", Fault::status(503), 12), ("429", Fault::throttled(40), 41)]
    {
        for forward in [true, false] {
            let app = App::start().await;
            let mut browser = Browser::signed_in(&app).await;
            app.advance(2 * HOUR);
            app.sentinel.inject(Endpoint::Refresh, fault.clone());
            browser.fetch("/token").await;
            assert_eq!(app.sentinel.counts().refreshes, 1);
            if forward {
                app.clock.jump_wall_forward(AN_HOUR);
            } else {
                app.clock.jump_wall_backward(AN_HOUR);
            }
            app.advance(5);
            assert_eq!(browser.fetch("/token").await.status, StatusCode::OK);
            assert_eq!(app.sentinel.counts().refreshes, 1, "{row}, forward {forward}: too early");
            app.advance(pause - 5);
            assert_eq!(browser.fetch("/token").await.status, StatusCode::OK);
            assert_eq!(app.sentinel.counts().refreshes, 2, "{row}, forward {forward}: too late");
        }
    }
}

/// Y10: so do the ages of key sets and of the Domain API's answers.
#[tokio::test]
async fn caches_go_by_the_monotonic_clock() {
    let app = App::start().await;
    Browser::signed_in(&app).await;
    let asked = || {
        let counts = app.sentinel.counts();
        (counts.domain, counts.jwks)
    };
    assert_eq!(asked(), (1, 1));
    for jump in [1, -1, -1] {
        if jump > 0 {
            app.clock.jump_wall_forward(AN_HOUR);
        } else {
            app.clock.jump_wall_backward(AN_HOUR);
        }
        Browser::signed_in(&app).await;
        assert_eq!(asked(), (1, 1), "asked because of a jump");
    }
    app.advance(601);
    Browser::signed_in(&app).await;
    until(|| asked() == (2, 2)).await;
}

/// Y19: while the runtime stands still nothing is judged; after it nothing is sent twice.
#[tokio::test]
async fn a_stalled_runtime_refreshes_nothing_twice() {
    for (row, timeout) in [("within the deadline", 20_000), ("beyond the deadline", 300)] {
        let timeout = Duration::from_millis(timeout);
        let app = App::builder().layer(move |layer| layer.request_timeout(timeout)).start().await;
        let mut browsers: Vec<_> = vec![Browser::signed_in(&app).await; 3];
        app.sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_millis(600)));
        app.advance(2000);
        let stalled: Vec<_> = browsers
            .iter()
            .cloned()
            .map(|mut browser| tokio::spawn(async move { browser.fetch("/token").await }))
            .collect();
        until(|| app.sentinel.counts().refreshes == 1).await;
        // This blocks the runtime's one thread, and all that runs on it.
        std::thread::sleep(Duration::from_millis(1500));
        for page in join_all(stalled).await {
            assert_eq!(page.expect("no panic").status, StatusCode::OK, "{row}");
        }
        fetch_all(&mut browsers).await;
        fetch_all(&mut browsers).await;
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{row}");
    }
}
