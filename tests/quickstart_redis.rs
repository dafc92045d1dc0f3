//! The quickstart with `LP_REDIS_URL`: its sessions outlive it, and are its neighbours' too.

mod support;

use std::time::Duration;

use support::{
    AGENT, Browser, Quickstart, free_port,
    redis::{FaultProxy, Mode, RedisServer},
    sign_in,
};
use tower_lp_auth::test_kit::{Endpoint, Fault, MockSentinel};

/// A key drawn for these tests.
const KEY: &str = "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8";

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What every process of one application is started with: its address, and the rest.
struct Variables {
    port: u16,
    all: Vec<(&'static str, String)>,
}

impl Variables {
    fn new(sentinel: &MockSentinel, redis_url: &str) -> Self {
        let port = free_port();
        let all = vec![
            ("LP_ACCOUNT_ID", sentinel.account_id().to_string()),
            ("LP_CLIENT_ID", sentinel.client_id().to_owned()),
            ("LP_CLIENT_SECRET", sentinel.client_secret().to_owned()),
            ("LP_REDIRECT_URI", format!("http://127.0.0.1:{port}/callback")),
            ("LP_SESSION_KEY", KEY.to_owned()),
            ("LP_SENTINEL_URL", sentinel.url().to_owned()),
            ("LP_REDIS_URL", redis_url.to_owned()),
        ];
        Self { port, all }
    }

    /// The process that the redirect URI leads to.
    async fn start(&self, more: &[(&'static str, &str)]) -> Quickstart {
        self.start_at(self.port, more).await
    }

    async fn start_at(&self, port: u16, more: &[(&'static str, &str)]) -> Quickstart {
        let mut all = self.all.clone();
        all.push(("LISTEN_ADDR", format!("127.0.0.1:{port}")));
        all.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
        Quickstart::start(&all).await
    }
}

/// The same cookies at another process: cookies ignore ports.
fn at_port(browser: &Browser, port: u16) -> Browser {
    let mut other = Browser::at(&format!("http://127.0.0.1:{port}"));
    other.jar = browser.jar.clone();
    other
}

async fn stop(quickstart: Quickstart) -> String {
    quickstart.signal("TERM");
    let (status, stderr) = quickstart.ended().await;
    assert!(status.success(), "{stderr}");
    stderr
}

/// Y01: the session is not the process's.
#[tokio::test]
async fn a_user_stays_signed_in_when_the_process_starts_again() {
    let (server, sentinel) = (RedisServer::start().await, MockSentinel::start().await.unwrap());
    let variables = Variables::new(&sentinel, &server.url());
    let quickstart = variables.start(&[]).await;
    let mut browser = Browser::at(&quickstart.url);
    let page = sign_in(&mut browser, "/me", AGENT).await;
    assert_eq!(page.json()["user_id"], AGENT, "{page:?}");
    stop(quickstart).await;
    let _quickstart = variables.start(&[]).await;
    let again = browser.fetch("/me").await;
    assert_eq!(again.json(), page.json());
    let counts = sentinel.counts();
    assert_eq!((counts.exchanges, counts.refreshes), (1, 0));
}

/// G03, store rule 10: two processes side by side have one login and one logout.
#[tokio::test]
async fn a_logout_at_one_process_holds_at_the_other() {
    let (server, sentinel) = (RedisServer::start().await, MockSentinel::start().await.unwrap());
    let variables = Variables::new(&sentinel, &server.url());
    let first = variables.start(&[]).await;
    let port = free_port();
    let _second = variables.start_at(port, &[]).await;
    let mut browser = Browser::at(&first.url);
    sign_in(&mut browser, "/me", AGENT).await;
    let mut there = at_port(&browser, port);
    assert_eq!(there.fetch("/me").await.json()["user_id"], AGENT);
    let copied = browser.clone();
    assert_eq!(browser.post("/logout").await.status, 303);
    there.fetch("/me").await.assert_unauthorized();
    copied.clone().fetch("/me").await.assert_unauthorized();
}

/// D18, D19, S01: the process starts without Redis, says so once without the password, and serves as
/// soon as there is one.
#[tokio::test]
async fn a_store_that_is_down_does_not_stop_the_start() {
    let server = RedisServer::with_password("canary").await;
    let sentinel = MockSentinel::start().await.unwrap();
    let proxy = FaultProxy::to(server.addr()).await;
    let variables = Variables::new(&sentinel, &format!("redis://:canary@{}/", proxy.addr()));
    let quickstart = variables.start(&[]).await;
    let mut browser = Browser::at(&quickstart.url);
    sign_in(&mut browser, "/me", AGENT).await;
    stop(quickstart).await;

    proxy.set(Mode::Refuse);
    let quickstart = variables.start(&[]).await;
    for _ in 0..5 {
        browser.fetch("/me").await.assert_unavailable();
    }
    let page = browser.navigate("/me").await;
    page.assert_unavailable();
    assert!(page.body.contains("/login"), "no way forward: {page:?}");
    assert_eq!(browser.navigate("/favicon.ico").await.status.as_u16() / 100, 2);
    proxy.set(Mode::Pass);
    let served = async {
        while browser.fetch("/me").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, served).await.expect("a session that is served again");
    let stderr = stop(quickstart).await;
    assert_eq!(stderr.matches("ERROR").count(), 1, "{stderr}");
    assert!(!stderr.contains("canary"), "{stderr}");
}

/// F35: a signal during a refresh; what Sentinel answers is in the store before the process ends.
#[tokio::test]
async fn a_signal_lets_a_refresh_under_way_reach_the_store() {
    let (server, sentinel) = (RedisServer::start().await, MockSentinel::start().await.unwrap());
    let variables = Variables::new(&sentinel, &server.url());
    let quickstart = variables.start(&[("LP_REFRESH_AFTER", "1")]).await;
    let mut browser = Browser::at(&quickstart.url);
    let first = sign_in(&mut browser, "/me", AGENT).await.json()["token_fingerprint"].clone();
    sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_millis(1_500)));
    let begun = async {
        while sentinel.counts().refreshes == 0 {
            let page = browser.fetch("/me").await;
            assert_eq!(page.json()["token_fingerprint"], first, "{page:?}");
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("a session that is due");
    let stderr = stop(quickstart).await;
    assert!(!stderr.contains("not finished in time"), "{stderr}");
    let _quickstart = variables.start(&[]).await;
    let page = browser.fetch("/me").await;
    assert_eq!(page.status, 200, "{page:?}");
    assert_ne!(page.json()["token_fingerprint"], first, "{page:?}");
    let counts = sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "the result was in the store");
}
