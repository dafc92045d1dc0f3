//! Redis fails in every way it can, and what users and operators see of it.
//!
//! Throughout: the cookie stays as it is, the handler of a protected route is not called, nobody is
//! signed out who should not be, and nothing has to be restarted.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::time::Duration;

use http::Method;
use support::{
    AGENT, App, Browser, FETCH, Fleet, Logs, Page,
    redis::{FaultProxy, Mode, RedisServer},
    until,
};
use tokio::time::Instant;
use tower_lp_auth::{
    RedisStore,
    test_kit::{Endpoint, Fault},
};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What "in under a second" may take on a busy machine.
const A_SECOND: Duration = Duration::from_secs(8);

/// What a quarter of a second may take; a slow answer takes twice as long.
const A_QUARTER: Duration = Duration::from_secs(2);

/// Access tokens live so long here where that matters.
const HOUR: u64 = 3_600;

/// The application's user of the server, whose rights can be taken away.
const USER: &str = "sessions";
const PASSWORD: &str = "canary";

/// A server that can be made to fail, the way to it, and an application with a user signed in.
struct Scene {
    server: RedisServer,
    proxy: FaultProxy,
    app: App,
    browser: Browser,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// Connections are refused.
    Down,
    /// Every piece takes two seconds in either direction.
    Slow,
    /// Nothing is answered.
    Silent,
    /// The user is switched off, and its connections are closed.
    NoUser,
    /// The user may not read any more.
    NoRights,
    /// The server has become a replica.
    Replica,
    /// The server reads its data after a start.
    Loading,
}

impl Scene {
    async fn set(options: &[&str]) -> Self {
        let password = format!(">{PASSWORD}");
        let mut all = vec!["--user", USER, "on", &password, "~*", "+@all"];
        all.extend(options);
        let server = RedisServer::with_password_and("admin", &all).await;
        let proxy = FaultProxy::to(server.addr()).await;
        let store = RedisStore::new(url(&proxy)).unwrap();
        let app = App::builder().layer(|builder| builder.store(store)).start().await;
        app.sentinel.set_access_token_lifetime(Duration::from_secs(HOUR));
        let browser = Browser::signed_in(&app).await;
        Self { server, proxy, app, browser }
    }

    async fn begin(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Down => self.proxy.set(Mode::Refuse),
            Trouble::Slow => self.proxy.set(Mode::Delay(Duration::from_secs(2))),
            Trouble::Silent => self.proxy.set(Mode::BlackHole),
            Trouble::NoUser => {
                self.server.ask(&["ACL", "SETUSER", USER, "off"]).await;
                self.server.ask(&["CLIENT", "KILL", "USER", USER]).await;
            }
            Trouble::NoRights => {
                self.server.ask(&["ACL", "SETUSER", USER, "-get"]).await;
            }
            Trouble::Replica => {
                self.server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
            }
            Trouble::Loading => {
                let filler = "for i = 1, 400 do
                    redis.call('SET', 'filler' .. i, string.rep('x', 4096)) end";
                self.server.ask(&["EVAL", filler, "0"]).await;
                self.server.ask(&["SAVE"]).await;
                self.server.stop();
                self.server.add_options(&["--key-load-delay", "5000", "--rdbcompression", "no"]);
                self.server.spawn();
            }
        }
    }

    async fn end(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Down | Trouble::Slow | Trouble::Silent => self.proxy.set(Mode::Pass),
            Trouble::NoUser => {
                self.server.ask(&["ACL", "SETUSER", USER, "on"]).await;
            }
            Trouble::NoRights => {
                self.server.ask(&["ACL", "SETUSER", USER, "+get"]).await;
            }
            Trouble::Replica => {
                self.server.ask(&["REPLICAOF", "NO", "ONE"]).await;
            }
            Trouble::Loading => self.server.loaded().await,
        }
    }
}

fn url(proxy: &FaultProxy) -> String {
    format!("redis://{USER}:{PASSWORD}@{}/", proxy.addr())
}

/// Asks until the store's failure shows; until then the session is served.
async fn until_unavailable(row: &str, browser: &mut Browser) {
    let begin = Instant::now();
    loop {
        let page = browser.fetch("/me").await;
        if page.status == 503 {
            return page.assert_unavailable();
        }
        assert_eq!(page.status, 200, "{row}: {page:?}");
        assert!(begin.elapsed() < PATIENCE, "{row}: nobody notices");
    }
}

/// Asks until the session is served again, and returns how long that took.
async fn until_served(row: &str, browser: &mut Browser) -> Duration {
    let begin = Instant::now();
    loop {
        let page = browser.fetch("/me").await;
        if page.status == 200 {
            assert_eq!(page.json()["user_id"], AGENT, "{row}: {page:?}");
            return begin.elapsed();
        }
        page.assert_unavailable();
        assert!(begin.elapsed() < PATIENCE, "{row}: it does not recover: {page:?}");
    }
}

/// What every kind of request comes to while the store cannot be asked.
async fn assert_unavailable_to_all(row: &str, app: &App, browser: &mut Browser) {
    let jar = browser.jar.header();
    let calls = app.calls();
    let begin = Instant::now();
    browser.fetch("/me").await.assert_unavailable();
    assert!(begin.elapsed() < A_QUARTER, "{row}: answered after {:?}", begin.elapsed());
    browser.send(Method::POST, "/me", &FETCH, Some("{}".into())).await.assert_unavailable();
    let page = browser.navigate("/me").await;
    page.assert_unavailable();
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{row}");
    assert_eq!(app.calls(), calls, "{row}: the handler was called");

    let page = browser.fetch("/").await;
    let expected = (200, "hello, whoever you are for now", vec![]);
    assert_eq!((page.status.as_u16(), &*page.body, page.set_cookies()), expected, "{row}");
    let page = browser.fetch("/public").await;
    assert_eq!((page.status.as_u16(), page.set_cookies()), (200, vec![]), "{row}");
    assert_eq!(app.calls(), calls + 2, "{row}");
    assert_eq!(browser.jar.header(), jar, "{row}: the cookie was touched");
    assert!(!app.auth.health().store_answers, "{row}: probes see nothing");
}

/// D01, D14, D19, S02 to S04, S08, S09: each trouble comes and goes while a user is signed in.
#[tokio::test]
async fn a_store_in_trouble_is_503_for_a_while_and_signs_nobody_out() {
    for trouble in [
        Trouble::Down,
        Trouble::Slow,
        Trouble::Silent,
        Trouble::NoUser,
        Trouble::NoRights,
        Trouble::Replica,
        Trouble::Loading,
    ] {
        let row = &format!("{trouble:?}");
        let (logs, _guard) = Logs::capture();
        let mut scene = Scene::set(&["--loading-process-events-interval-bytes", "1024"]).await;
        let before = scene.browser.jar.header();
        scene.begin(trouble).await;
        until_unavailable(row, &mut scene.browser).await;
        assert_unavailable_to_all(row, &scene.app, &mut scene.browser).await;
        scene.end(trouble).await;
        let took = until_served(row, &mut scene.browser).await;
        assert!(took < A_SECOND, "{row}: {took:?}");
        assert!(scene.app.auth.health().store_answers, "{row}");
        assert_eq!(scene.browser.jar.header(), before, "{row}");
        let page = scene.browser.fetch("/").await;
        assert_eq!(page.body, format!("hello {AGENT}"), "{row}");
        let text = logs.text();
        let errors: Vec<_> = text.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{row}: {errors:?}");
        assert!(!text.contains(PASSWORD), "{row}: {text}");
    }
}

/// D18, D19, S01, S11: one instance starts without a way to the store, and gets one; the other works
/// all the time.
#[tokio::test]
async fn an_instance_that_starts_without_its_store_is_ready_as_soon_as_there_is_one() {
    let (logs, _guard) = Logs::capture();
    let server = RedisServer::with_password(PASSWORD).await;
    let proxy = FaultProxy::to(server.addr()).await;
    proxy.set(Mode::Refuse);
    let cut_off = format!("redis://:{PASSWORD}@{}/", proxy.addr());
    let stores = vec![RedisStore::new(server.url()).unwrap(), RedisStore::new(&*cut_off).unwrap()];
    let fleet = Fleet::with_stores(stores, |builder| builder).await;
    let mut browser = Browser::signed_in(fleet.first()).await;
    let mut there = browser.moved_to(&fleet[1]);

    assert_unavailable_to_all("at start", &fleet[1], &mut there).await;
    let mut nobody = Browser::new(&fleet[1]);
    nobody.fetch("/me").await.assert_unauthorized();
    for _ in 0..20 {
        there.fetch("/me").await.assert_unavailable();
        assert_eq!(browser.fetch("/me").await.status, 200);
    }
    assert!(fleet[0].auth.health().store_answers);
    assert!(fleet[1].auth.health().ready, "it is not shutting down");
    let text = logs.text();
    assert_eq!(text.matches("ERROR").count(), 1, "{text}");
    assert!(!text.contains(PASSWORD), "{text}");

    proxy.set(Mode::Pass);
    let took = until_served("at start", &mut there).await;
    assert!(took < A_SECOND, "{took:?}");
    assert!(fleet[1].auth.health().store_answers);

    // An instance out of service gets no requests, and learns all the same that it can serve again.
    proxy.set(Mode::Refuse);
    until_unavailable("later", &mut there).await;
    assert!(!fleet[1].auth.health().store_answers);
    proxy.set(Mode::Pass);
    until(|| fleet[1].auth.health().store_answers).await;
}

/// D01, S07, jar rule 4: a login without room for its session is told so, and can be finished later.
#[tokio::test]
async fn a_full_store_refuses_logins_and_serves_sessions() {
    let mut scene = Scene::set(&["--maxmemory-policy", "noeviction"]).await;
    let mut newcomer = Browser::new(&scene.app);
    let callback = newcomer.reach_callback(&scene.app, "/me").await;
    scene.server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..2 {
        let page = newcomer.navigate(&callback).await;
        page.assert_unavailable();
        assert_eq!(newcomer.jar.session(), None);
    }
    assert_eq!(scene.app.sentinel.counts().exchanges, 1, "the first user's");
    newcomer.fetch("/me").await.assert_unauthorized();
    assert_eq!(scene.browser.fetch("/me").await.status, 200, "who is signed in is served");
    scene.server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let page = newcomer.open(&callback).await;
    assert_eq!(page.json()["user_id"], AGENT, "{page:?}");
    assert_eq!(scene.app.sentinel.counts().exchanges, 2);
}

/// F24, S07, store rule 4: the result of a refresh finds no room, serves from memory, and is written
/// as soon as there is some.
#[tokio::test]
async fn a_result_without_room_serves_from_memory_until_it_is_written() {
    let server = RedisServer::with(&["--maxmemory-policy", "noeviction"]).await;
    let stores = (0..2).map(|_| RedisStore::new(server.url()).unwrap()).collect();
    let (logs, _guard) = Logs::capture();
    let fleet = Fleet::with_stores(stores, |builder| builder).await;
    let sentinel = &fleet.first().sentinel;
    sentinel.set_access_token_lifetime(Duration::from_secs(2 * HOUR));
    let mut browser = Browser::signed_in(fleet.first()).await;
    let mut there = browser.moved_to(&fleet[1]);
    let old = browser.fetch("/token").await.body;
    fleet.advance(2_000); // due, and not expired
    sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_secs(2)));
    assert_eq!(browser.fetch("/token").await.body, old);
    until(|| fleet.refreshes() == 1).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    until(|| logs.text().contains("cannot be written to the session store")).await;
    let new = browser.fetch("/token").await.body;
    assert_ne!(new, old, "served from memory");
    assert_eq!(there.fetch("/token").await.body, old, "the record is as it was");
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    until(|| logs.text().contains("kept in memory is written")).await;
    assert_eq!(there.fetch("/token").await.body, new);
    let counts = sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// D02, D14, S08: what a server without persistence has lost is signed out, once and for good; what
/// one with it has kept is served; a flush is the former.
#[tokio::test]
async fn a_restarted_server_keeps_or_ends_sessions_and_works_on() {
    let append_only: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];
    for (row, options, restarts, lives) in [
        ("restarted, in memory", &[][..], true, false),
        ("restarted, append-only", append_only, true, true),
        ("flushed", &[][..], false, false),
    ] {
        let (logs, _guard) = Logs::capture();
        let mut server = RedisServer::with(options).await;
        let store = RedisStore::new(server.url()).unwrap();
        let app = App::builder().layer(|builder| builder.store(store)).start().await;
        let mut browser = Browser::signed_in(&app).await;
        let before = browser.jar.header();
        if restarts {
            server.restart().await;
        } else {
            server.ask(&["FLUSHALL"]).await;
        }
        let begin = Instant::now();
        let page = loop {
            let page = browser.fetch("/me").await;
            if page.status != 503 {
                break page;
            }
            assert!(begin.elapsed() < A_SECOND, "{row}: {page:?}");
        };
        if lives {
            assert_eq!(page.json()["user_id"], AGENT, "{row}: {page:?}");
        } else {
            page.assert_unauthorized();
            assert_eq!(browser.jar.header(), before, "{row}: a fetch deletes nothing");
            browser.navigate("/me").await.assert_login();
            let page = browser.sign_in(&app, AGENT).await;
            assert_eq!(page.json()["user_id"], AGENT, "{row}: {page:?}");
        }
        for _ in 0..20 {
            assert_eq!(browser.fetch("/me").await.status, 200, "{row}");
        }
        let text = logs.text();
        assert!(text.matches("ERROR").count() <= 1, "{row}: {text}");
    }
}

/// S11, store rule 3: a holder that is cut off in the midst of its refresh is replaced; what it
/// brings back late is fenced off.
#[tokio::test]
async fn a_result_that_comes_back_from_a_partition_overwrites_nothing() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let stores =
        vec![RedisStore::new(server.url()).unwrap(), RedisStore::new(proxy.url()).unwrap()];
    let (logs, _guard) = Logs::capture();
    let fleet = Fleet::with_stores(stores, |builder| {
        tower_lp_auth::test_kit::lease(builder, Duration::from_secs(2))
    })
    .await;
    let sentinel = &fleet.first().sentinel;
    sentinel.set_access_token_lifetime(Duration::from_secs(2 * HOUR));
    sentinel.set_rotation(false);
    let mut here = Browser::signed_in(fleet.first()).await;
    let mut cut_off = here.moved_to(&fleet[1]);
    let old = here.fetch("/token").await.body;
    fleet.advance(2_000); // due, and not expired
    sentinel.inject(Endpoint::Refresh, Fault::Late(Duration::from_secs(2)));
    assert_eq!(cut_off.fetch("/token").await.body, old);
    until(|| fleet.refreshes() == 1).await;
    proxy.set(Mode::Refuse);
    until(|| logs.text().contains("cannot be written to the session store")).await;
    cut_off.fetch("/token").await.assert_unavailable();
    assert!(!fleet[1].auth.health().store_answers && fleet[0].auth.health().store_answers);

    let begin = Instant::now();
    let new = loop {
        let page = here.fetch("/token").await;
        assert_eq!(page.status, 200, "{page:?}");
        if page.body != old {
            break page.body;
        }
        assert!(begin.elapsed() < PATIENCE, "nobody takes over");
    };
    assert_eq!(fleet.refreshes(), 2, "one serial retry");
    proxy.set(Mode::Pass);
    until(|| logs.text().contains("tokens of an overtaken refresh discarded")).await;
    for browser in [&mut here, &mut cut_off] {
        let page = served(browser, "/token").await;
        assert_eq!(page.body, new);
    }
    assert_eq!(fleet.refreshes(), 2);
}

/// A page, as soon as the store answers again.
async fn served(browser: &mut Browser, path: &str) -> Page {
    until_served(path, browser).await;
    browser.fetch(path).await
}
