//! `LpUser::ended`: whoever lives as long as a session learns of its end, and nobody else.
//!
//! Without sockets, so that the runtime's time can stand still: what is said here of times is exact.

mod support;

use std::{convert::Infallible, future::Future, time::Duration};

use futures_util::FutureExt;
use http::{Request, Response, header::SET_COOKIE};
use support::{FETCH, FORM, Jar};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};
use tower_lp_auth::{
    Builder, Ended, LpAuthLayer, LpUser, SessionKey,
    test_kit::{self, ManualClock},
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

/// Longer than it takes to notice an end.
const NOTICE: Duration = Duration::from_secs(5);

/// Within this a signal has come, and a look at the clock has not.
const AT_ONCE: Duration = Duration::from_millis(5);

/// The layer called without a socket, and its clock.
struct Rig {
    auth: LpAuthLayer,
    clock: ManualClock,
    key: SessionKey,
}

/// One browser that is signed in.
#[derive(Clone)]
struct Tab {
    auth: LpAuthLayer,
    jar: Jar,
}

impl Rig {
    /// Idle sessions end after an hour; all end eight after their login, as a test user's do.
    fn new(change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::with(ManualClock::starting_now(), SessionKey::random(), change)
    }

    fn with(clock: ManualClock, key: SessionKey, change: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = LpAuthLayer::builder()
            .account("12345678")
            .client_id("a-client")
            .client_secret("a-secret")
            .redirect_uri("https://app.example/callback")
            .session_key(key.clone())
            .clock(clock.clone())
            .idle_lifetime(HOUR);
        let auth = change(builder).build().expect("a configuration that works");
        Self { auth, clock, key }
    }

    /// Another process of the same application.
    fn beside(&self) -> Self {
        Self::with(self.clock.clone(), self.key.clone(), |builder| builder)
    }

    /// A session of its own.
    fn sign_in(&self) -> Tab {
        let cookie = test_kit::session_cookie(&self.auth, &test_kit::user("3552833710").build());
        let mut jar = Jar::default();
        let (name, value) =
            cookie.to_str().expect("visible ASCII").split_once('=').expect("name and value");
        jar.insert(name, value);
        Tab { auth: self.auth.clone(), jar }
    }
}

impl Tab {
    async fn send(
        &mut self,
        request: http::request::Builder,
        headers: &[(&str, &str)],
    ) -> Response<()> {
        let mut request = request.header("cookie", self.jar.header().expect("a session"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a valid request");
        let inner = service_fn(|request: Request<()>| async move {
            let mut response = Response::new(String::new());
            if let Some(user) = request.extensions().get::<LpUser>() {
                response.extensions_mut().insert(user.clone());
            }
            Ok::<_, Infallible>(response)
        });
        let response = self.auth.layer(inner).oneshot(request).await.expect("infallible");
        for line in response.headers().get_all(SET_COOKIE) {
            self.jar.set(line.to_str().expect("visible ASCII"));
        }
        response.map(|_| ())
    }

    /// The user that a handler gets.
    async fn user(&mut self) -> LpUser {
        let response = self.send(Request::get("/page"), &FETCH).await;
        response.extensions().get::<LpUser>().expect("a user").clone()
    }

    async fn log_out(&mut self) {
        let response = self.send(Request::post("/logout"), &FORM).await;
        assert_eq!(response.status(), 303);
    }
}

/// How long it takes, by the runtime's time, until a future is ready.
async fn takes(future: impl Future) -> Duration {
    let started = Instant::now();
    assert!(timeout(NOTICE, future).await.is_ok(), "it does not come");
    started.elapsed()
}

/// Whether an end is not noticed although there was time to.
async fn goes_on(ended: &mut Ended) -> bool {
    timeout(NOTICE, ended).await.is_err()
}

/// G18, Y20: a signal, not a look at the clock, tells of a logout.
#[tokio::test(start_paused = true)]
async fn a_logout_in_another_tab_is_known_at_once() {
    let rig = Rig::new(|builder| builder);
    let mut tab = rig.sign_in();
    let mut ended = tab.user().await.ended();
    assert!(goes_on(&mut ended).await);
    tab.clone().log_out().await;
    assert!(takes(&mut ended).await < AT_ONCE);
    assert!(takes(&mut ended).await < AT_ONCE, "once ready it stays ready");
}

/// G18: the same for a handler that ends the session, and for whoever asks afterwards.
#[tokio::test(start_paused = true)]
async fn after_the_end_it_resolves_at_once() {
    let rig = Rig::new(|builder| builder);
    let user = rig.sign_in().user().await;
    let before = user.ended();
    user.end_session().await.expect("a sealed session ends");
    assert!(user.ended().now_or_never().is_some());
    assert!(before.now_or_never().is_some());
}

/// G17: another browser's logout, of the same user, is not this session's.
#[tokio::test(start_paused = true)]
async fn the_end_of_another_session_is_none_of_this_ones() {
    let rig = Rig::new(|builder| builder);
    let (mut here, mut elsewhere) = (rig.sign_in(), rig.sign_in());
    let mut ended = here.user().await.ended();
    elsewhere.user().await;
    elsewhere.log_out().await;
    assert!(goes_on(&mut ended).await);
}

/// I07, C30: the idle end counts from the last request of any tab, and the look is every second.
#[tokio::test(start_paused = true)]
async fn the_idle_end_is_the_newest_ones() {
    let rig = Rig::new(|builder| builder);
    let mut tab = rig.sign_in();
    let mut ended = tab.user().await.ended();
    rig.clock.advance(50 * MINUTE);
    tab.clone().user().await;
    rig.clock.advance(59 * MINUTE);
    assert!(goes_on(&mut ended).await, "another tab was used 59 minutes ago");
    rig.clock.advance(MINUTE);
    assert!(takes(&mut ended).await <= Duration::from_secs(1));
}

/// I07, C30: activity does not put off the absolute end.
#[tokio::test(start_paused = true)]
async fn the_absolute_end_comes_whatever_happens() {
    let rig = Rig::new(|builder| builder);
    let mut tab = rig.sign_in();
    let mut ended = tab.user().await.ended();
    for _ in 0..15 {
        rig.clock.advance(30 * MINUTE);
        tab.user().await;
    }
    rig.clock.advance(29 * MINUTE);
    assert!(goes_on(&mut ended).await);
    rig.clock.advance(MINUTE + Duration::from_secs(1)); // the login was moments after this clock
    assert!(takes(&mut ended).await <= Duration::from_secs(1));
}

/// I07: where the clock and the timers run together, an end is met within a second.
#[tokio::test(start_paused = true)]
async fn a_clock_that_runs_is_met_within_a_second() {
    let rig = Rig::new(|builder| builder);
    let mut ended = rig.sign_in().user().await.ended();
    rig.clock.advance(HOUR - Duration::from_millis(300));
    // This clock and the runtime's move together, as they do outside of tests.
    let clock = rig.clock.clone();
    let moving = tokio::spawn(async move {
        for _ in 0..300 {
            sleep(Duration::from_millis(10)).await;
            clock.advance(Duration::from_millis(10));
        }
    });
    let late = takes(&mut ended).await.saturating_sub(Duration::from_millis(300));
    assert!(late <= Duration::from_millis(1030), "{late:?} late");
    moving.abort();
}

/// Sealed rule 1: activity at another instance counts as soon as its cookie comes in here.
#[tokio::test(start_paused = true)]
async fn a_higher_pair_from_elsewhere_moves_the_idle_end() {
    let rig = Rig::new(|builder| builder);
    let mut tab = rig.sign_in();
    let mut ended = tab.user().await.ended();
    rig.clock.advance(50 * MINUTE);
    let mut there = Tab { auth: rig.beside().auth, ..tab.clone() };
    there.user().await;
    assert_ne!(there.jar.session(), tab.jar.session(), "activity has been sealed");
    tab.jar = there.jar;
    tab.user().await;
    rig.clock.advance(59 * MINUTE);
    assert!(goes_on(&mut ended).await);
    rig.clock.advance(MINUTE);
    assert!(takes(&mut ended).await <= Duration::from_secs(1));
}

/// G18: where the ledger is full, the entry that somebody waits on does not give way; one that gave
/// way before is taken up again.
#[tokio::test(start_paused = true)]
async fn a_full_ledger_hides_no_logout() {
    for waits_before in [true, false] {
        let rig = Rig::new(|builder| builder.ledger_entries(4));
        let mut tab = rig.sign_in();
        let mut ended = tab.user().await.ended();
        if waits_before {
            assert!((&mut ended).now_or_never().is_none());
        }
        for _ in 0..20 {
            rig.sign_in().user().await;
        }
        if !waits_before {
            assert!((&mut ended).now_or_never().is_none());
        }
        tab.log_out().await;
        assert!(takes(ended).await < AT_ONCE, "waits before the others come: {waits_before}");
    }
}

/// O02: waiting that is given up leaves nothing behind, and nothing is left when all is over.
#[tokio::test]
async fn what_is_dropped_before_the_end_is_freed() {
    let rig = Rig::new(|builder| builder);
    let user = rig.sign_in().user().await;
    let wait_a_little = || {
        let futures: Vec<_> = (0..100).map(|_| user.ended()).collect();
        for mut future in futures {
            assert!((&mut future).now_or_never().is_none());
        }
    };
    wait_a_little(); // the session's own channel is made once
    let alive = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let counted = allocation_counter::measure(wait_a_little);
    assert!(counted.count_total >= 100, "nothing was counted: {counted:?}");
    assert_eq!((counted.count_current, counted.bytes_current), (0, 0), "{counted:?}");
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), alive);
}

/// A user of a unit test has no session that could end.
#[tokio::test(start_paused = true)]
async fn for_a_user_without_a_layer_it_never_resolves() {
    let ended = test_kit::user("3552833710").build().ended();
    assert!(timeout(30 * 24 * HOUR, ended).await.is_err());
}
