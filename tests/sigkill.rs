//! An instance is killed in the midst of a refresh: another one takes over, once, and later.

mod support;

use std::time::Duration;

use support::{
    Browser, Instance, LEASE, Surroundings,
    redis::{FaultProxy, Mode, RedisServer},
    until,
};
use tokio::time::Instant;
use tower_lp_auth::test_kit::{Endpoint, Fault, MockSentinel};

/// How long whoever finds a mark leaves the record to the one who made it.
const PAUSE: Duration = Duration::from_secs(2);

/// More than a takeover takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Seconds after which the instance that takes over finds tokens due.
const REFRESH_AFTER: u64 = 3;

/// Two instances with one Redis. What the first says to Sentinel and Redis goes through proxies; the
/// second takes over.
struct Scene {
    sentinel: MockSentinel,
    to_sentinel: FaultProxy,
    to_redis: FaultProxy,
    victim: Instance,
    survivor: Instance,
    /// At the survivor.
    browser: Browser,
    /// Somebody else, there too.
    other: Browser,
    token: String,
    _server: RedisServer,
}

/// What has become of the session when the takeover is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lives,
    Ends,
}

impl Scene {
    async fn set(test: &str) -> Self {
        let server = RedisServer::start().await;
        let sentinel = MockSentinel::start().await.expect("a free port on loopback");
        let upstream = sentinel.url().trim_start_matches("http://").parse();
        let to_sentinel = FaultProxy::to(upstream.expect("an address")).await;
        let to_redis = FaultProxy::to(server.addr()).await;
        // The takeover comes after three seconds and more: the survivor's next refresh is far off then.
        let survivor = Instance::start(Surroundings {
            test,
            sentinel: &sentinel,
            sentinel_url: &sentinel.url(),
            redis_url: &server.url(),
            beside: None,
            refresh_after: REFRESH_AFTER,
        })
        .await;
        let victim = Instance::start(Surroundings {
            test,
            sentinel: &sentinel,
            sentinel_url: &to_sentinel.url().replace("redis://", "http://"),
            redis_url: &to_redis.url(),
            beside: Some(&survivor),
            refresh_after: 1,
        })
        .await;
        sentinel.auto_login(Some(support::AGENT));
        let mut browser = Browser::at(&survivor.url);
        let page = browser.open("/me").await;
        let token = page.access_token();
        let mut other = Browser::at(&survivor.url);
        assert_eq!(other.open("/me").await.status, 200);
        Self {
            sentinel,
            to_sentinel,
            to_redis,
            victim,
            survivor,
            browser,
            other,
            token,
            _server: server,
        }
    }

    fn refreshes(&self) -> u64 {
        self.sentinel.counts().refreshes
    }

    /// Uses the session at the first instance until its refresh has got as far as this.
    async fn use_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut browser = self.victim.browser(&self.browser);
        let begin = Instant::now();
        while !is_so(self) {
            let page = browser.fetch("/token").await;
            assert_eq!((page.status.as_u16(), &*page.body), (200, &*self.token), "{page:?}");
            assert!(begin.elapsed() < PATIENCE, "never: {what}: {}", self.victim.log());
        }
    }

    /// Kills the first instance, uses the session at the second until its fate is known, and proves
    /// that Sentinel was called so often and no more.
    async fn kill_and_take_over(self, row: &str, calls: u64, fate: Fate) {
        let Self { sentinel, to_sentinel, to_redis, survivor, mut browser, mut other, .. } = self;
        let before = sentinel.counts().refreshes;
        let killed_at = Instant::now();
        self.victim.kill().await;
        to_sentinel.cut();
        to_redis.cut();
        let (mut page, mut outcome) = (None, None);
        // No later than the takeover: the latest request that still found the old state was asked then.
        let mut settled_after = killed_at;
        while outcome.is_none() {
            let asked = Instant::now();
            let next = browser.fetch("/token").await;
            outcome = match (next.status.as_u16(), next.body == self.token) {
                (200, true) => None,
                (200, false) => Some(Fate::Lives),
                (401, _) => Some(Fate::Ends),
                _ => panic!("{row}: {next:?}"),
            };
            page = Some(next);
            if outcome.is_none() {
                settled_after = asked;
            }
            let so_far = sentinel.counts().refreshes;
            assert!(killed_at.elapsed() < PATIENCE, "{row}: {so_far} calls: {}", survivor.log());
        }
        assert_eq!(outcome, Some(fate), "{row}: {page:?}: {}", survivor.log());
        let took = killed_at.elapsed();
        assert!(took >= PAUSE, "{row}: taken over after {took:?}, the mark was not respected");
        assert!(took < LEASE + PAUSE + PATIENCE / 2, "{row}: taken over after {took:?}");
        let calls_then = sentinel.counts().refreshes;
        for _ in 0..20 {
            let again = browser.fetch("/token").await;
            let expected = if fate == Fate::Lives { 200 } else { 401 };
            assert_eq!(again.status, expected, "{row}: {again:?}");
        }
        let counts = sentinel.counts();
        assert_eq!(calls_then, calls, "{row}: {before} before the end of the first instance");
        // The new tokens are due themselves after a while, and not before.
        let due = settled_after.elapsed().as_secs() / REFRESH_AFTER;
        assert!(counts.refreshes <= calls + due, "{row}: {} calls, a storm", counts.refreshes);
        let reuses = u64::from(fate == Fate::Ends);
        assert_eq!(counts.reuses, reuses, "{row}");
        if fate == Fate::Ends {
            until(|| survivor.log().contains("ended: RotationLost")).await;
            browser.navigate("/me").await.assert_login();
        }
        assert!(!survivor.log().contains("panicked"), "{row}: {}", survivor.log());
        assert_eq!(other.fetch("/me").await.status, 200, "{row}: somebody else lives on");
    }
}

/// F04, Y03, store rule 6: the mark is written, and nothing has reached Sentinel.
#[tokio::test]
async fn killed_before_it_has_sent_the_token_an_instance_is_replaced_with_one_call_in_all() {
    Instance::serve_if_told().await;
    let scene = Scene::set(
        "killed_before_it_has_sent_the_token_an_instance_is_replaced_with_one_call_in_all",
    )
    .await;
    scene.to_sentinel.set(Mode::BlackHole);
    scene.use_until("a connection to Sentinel", |scene| scene.to_sentinel.accepted() > 0).await;
    assert_eq!(scene.refreshes(), 0);
    scene.kill_and_take_over("before sending", 1, Fate::Lives).await;
}

/// F05, Y03, store rule 6: one serial retry, whatever has become of the first call.
#[tokio::test]
async fn killed_before_the_answer_an_instance_is_replaced_with_one_retry() {
    Instance::serve_if_told().await;
    for (row, fault, rotation, fate) in [
        ("rotated, and the answer is lost", Fault::Late(PATIENCE), true, Fate::Ends),
        ("the old token is taken again", Fault::Late(PATIENCE), false, Fate::Lives),
        ("Sentinel had not begun", Fault::Delay(PATIENCE), true, Fate::Lives),
    ] {
        let scene =
            Scene::set("killed_before_the_answer_an_instance_is_replaced_with_one_retry").await;
        scene.sentinel.set_rotation(rotation);
        scene.sentinel.inject(Endpoint::Refresh, fault);
        scene.use_until("a call", |scene| scene.refreshes() > 0).await;
        scene.kill_and_take_over(row, 2, fate).await;
    }
}

/// F05, F24, Y03, store rules 4 and 6: the result is in memory alone when the process dies.
#[tokio::test]
async fn killed_before_it_has_written_the_result_an_instance_is_replaced_with_one_retry() {
    Instance::serve_if_told().await;
    for (row, rotation, fate) in [
        ("rotated, and the result is lost", true, Fate::Ends),
        ("the old token is taken again", false, Fate::Lives),
    ] {
        let scene = Scene::set(
            "killed_before_it_has_written_the_result_an_instance_is_replaced_with_one_retry",
        )
        .await;
        scene.sentinel.set_rotation(rotation);
        scene.sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_secs(1)));
        scene.use_until("a call", |scene| scene.refreshes() > 0).await;
        scene.to_redis.set(Mode::BlackHole);
        until(|| scene.victim.log().contains("cannot be written to the session store")).await;
        scene.kill_and_take_over(row, 2, fate).await;
    }
}
