//! Connections that break and primaries that fail over, under load: errors for a moment, nobody
//! signed out, nobody in somebody else's place.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use support::{
    App, Browser, Fleet, fetch_token,
    redis::{FaultProxy, Mode, Pair, RedisServer},
    until,
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower_lp_auth::{LpAuthLayer, RedisStore, SessionStore};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What "in under a second" may take on a busy machine.
const A_SECOND: Duration = Duration::from_secs(8);

/// A session as one knows it from outside: the cookies, and the access token that belongs to them.
#[derive(Clone, Debug)]
struct User {
    cookies: String,
    token: String,
}

async fn signed_in(app: &App, users: usize) -> Vec<User> {
    let mut all = Vec::new();
    for number in 0..users {
        let mut browser = Browser::new(app);
        let page = browser.sign_in(app, &format!("user-{number}")).await;
        let cookies = browser.jar.header().expect("a session");
        all.push(User { cookies, token: page.access_token() });
    }
    all
}

/// How requests have been answered.
#[derive(Default)]
struct Tally {
    served: AtomicU64,
    unavailable: AtomicU64,
}

/// One request of this user: served as themselves, or 503.
async fn ask(auth: &LpAuthLayer, user: &User, tally: &Tally) {
    let page = fetch_token(auth, &user.cookies).await;
    if page.status == 200 {
        assert_eq!(page.body, user.token, "somebody else's session, or another token");
        tally.served.fetch_add(1, Ordering::Relaxed);
    } else {
        page.assert_unavailable();
        tally.unavailable.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// D15, S08: two hundred users, and connections cut wherever it hurts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_cut_nobody_is_served_as_somebody_else() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = RedisStore::new(proxy.url()).unwrap();
    let own = store.clone();
    let app = App::builder().layer(|builder| builder.store(own)).start().await;
    let users = signed_in(&app, 200).await;
    let tally = Arc::new(Tally::default());
    let done = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for user in users.clone() {
        let (auth, tally, done) = (app.auth.clone(), Arc::clone(&tally), Arc::clone(&done));
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                ask(&auth, &user, &tally).await;
            }
        });
    }
    // A cut in the midst of an answer, at any byte of it; then one of everything that there is.
    for cut in 0..60_usize {
        let served = tally.served.load(Ordering::Relaxed);
        let before = store.epoch();
        match cut % 4 {
            0 => proxy.cut(),
            _ => proxy.set(Mode::CutReplyAfter(cut * 29)),
        }
        until(|| store.epoch() > before).await;
        until(|| tally.served.load(Ordering::Relaxed) > served + 20).await;
    }
    done.store(true, Ordering::Relaxed);
    load.join_all().await;
    assert!(store.epoch() >= 60, "{} connections were cut", store.epoch());
    let begin = Instant::now();
    for user in &users {
        let served = async {
            let tally = Tally::default();
            while tally.served.load(Ordering::Relaxed) == 0 {
                ask(&app.auth, user, &tally).await;
            }
        };
        timeout(PATIENCE, served).await.expect("a session that lives");
    }
    assert!(begin.elapsed() < A_SECOND, "{:?}", begin.elapsed());
}

/// D13, S04, store rule 11: the primary is lost under load, and with it a second of writes that the
/// replica has not got: a logout and a refresh.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_is_a_gap_and_loses_no_logout_and_no_refresh() {
    let mut pair = Pair::start().await;
    let stores = (0..2).map(|_| RedisStore::new(pair.url()).unwrap()).collect();
    let fleet = Fleet::with_stores(stores, |builder| builder).await;
    let sentinel = &fleet.first().sentinel;
    let mut due = signed_in(fleet.first(), 1).await.remove(0);
    fleet.advance(2_000); // half an hour, and a tenth more: due for a refresh, alone
    let users = signed_in(fleet.first(), 20).await;
    let mut leaver = Browser::new(fleet.first());
    leaver.sign_in(fleet.first(), "leaver").await;
    let left = leaver.clone();
    pair.catch_up().await;

    // From now on the replica learns nothing any more.
    pair.replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(leaver.post("/logout").await.status, 303);
    due.token = refresh(fleet.first(), &due).await;
    assert_eq!(fleet.refreshes(), 1);

    let tally = Arc::new(Tally::default());
    let done = Arc::new(AtomicBool::new(false));
    let mut load = JoinSet::new();
    for (at, user) in users.iter().cloned().enumerate() {
        let (tally, done) = (Arc::clone(&tally), Arc::clone(&done));
        let auth = fleet[at % 2].auth.clone();
        load.spawn(async move {
            while !done.load(Ordering::Relaxed) {
                ask(&auth, &user, &tally).await;
            }
        });
    }
    until(|| tally.served.load(Ordering::Relaxed) > 200).await;
    pair.fail_over().await;
    // As a server does that is told so by its overseer: until then, or for a quarter of a second,
    // whoever is connected to it reads what it has got from the new primary.
    pair.proxy.cut();
    let recovering = Instant::now();
    // The first request of the one who has left, at the instance that knows of it.
    let page = loop {
        let page = left.clone().fetch("/me").await;
        if page.status != 503 {
            break page;
        }
        page.assert_unavailable();
        assert!(recovering.elapsed() < PATIENCE, "it does not recover");
    };
    page.assert_unauthorized();
    let served = tally.served.load(Ordering::Relaxed);
    until(|| tally.served.load(Ordering::Relaxed) > served + 200).await;
    assert!(recovering.elapsed() < A_SECOND, "{:?}", recovering.elapsed());
    done.store(true, Ordering::Relaxed);
    load.join_all().await;

    for (at, app) in fleet.instances.iter().enumerate() {
        let mut there = left.moved_to(app);
        there.fetch("/me").await.assert_unauthorized();
        let tally = Tally::default();
        for user in users.iter().chain([&due]) {
            ask(&app.auth, user, &tally).await;
        }
        assert_eq!(tally.unavailable.into_inner(), 0, "instance {at}: it is over");
    }
    let counts = sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0), "nothing is refreshed twice");
}

/// Uses a session that is due until it has its new token.
async fn refresh(app: &App, user: &User) -> String {
    let begin = Instant::now();
    loop {
        let page = fetch_token(&app.auth, &user.cookies).await;
        assert_eq!(page.status, 200, "{page:?}");
        if page.body != user.token {
            return page.body;
        }
        assert!(begin.elapsed() < PATIENCE, "it is not refreshed");
    }
}
