//! Rules 6 to 8: who takes over, what a refused token means then, and how others wait.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tower_lp_auth::{
    EndReason,
    test_kit::{Endpoint, Fault},
};

use crate::{
    RECORD, assert_served, fetching, millis,
    support::{Browser, Cluster, Mishap, Verb, fetch_token, until},
};

/// A holder that Sentinel has given new tokens, and that cannot write them: it was killed or is
/// stalled. Its lease has run out.
async fn stalled_holder() -> (Cluster, Vec<Browser>) {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    cluster.stores[0].plan(Verb::Update, Mishap::Pass);
    cluster.stores[0].plan(Verb::Update, Mishap::Freeze);
    fetching(&browsers[0]);
    until(|| cluster.stores[0].is_frozen()).await;
    cluster.advance(12);
    (cluster, browsers)
}

/// Store rule 6, F05, Y03: whoever takes over waits 2 s because of the mark, and presents the token
/// once more; refused, the session ends as a lost rotation, and nobody tries again.
#[tokio::test]
async fn a_holder_killed_after_sentinel_rotated_costs_one_try_and_at_worst_the_session() {
    for rotation in [true, false] {
        let (cluster, browsers) = stalled_holder().await;
        let started = Instant::now();
        if !rotation {
            // Within a grace period of Sentinel's the token is good once more.
            cluster.sentinel().inject(Endpoint::Refresh, Fault::Body(tokens()));
        }
        let page = browsers[1].clone().fetch("/token").await;
        assert!(started.elapsed() > millis(1900), "the mark was not waited for");
        if rotation {
            page.assert_unauthorized();
            assert_eq!(cluster.counters[1].get(&ended(EndReason::RotationLost)), 1);
            assert_eq!(cluster.presented(), (2, 1));
            assert_eq!(cluster.stores[1].only(RECORD).await.1, None);
        } else {
            assert_eq!((page.status.as_u16(), &*page.body), (200, "the-second"), "{page:?}");
            assert_eq!(cluster.presented().0, 2);
        }
        for _ in 0..3 {
            cluster.advance(20);
            browsers[1].clone().fetch("/token").await;
        }
        assert_eq!(cluster.presented().0, 2, "a storm of retries");
    }
}

fn tokens() -> Vec<u8> {
    br#"{"access_token":"the-second","token_type":"Bearer","expires_in":28800}"#.to_vec()
}

fn ended(reason: EndReason) -> String {
    format!("lp_auth_sessions_ended_total{{reason={reason}}}")
}

/// Store rule 7, F07: the record is read before a session ends. A stalled holder that has written its
/// good result meanwhile is believed, before and after that reading: the end is delete-if-version.
#[tokio::test]
async fn a_refused_token_ends_nothing_that_another_instance_has_renewed_meanwhile() {
    for is_read_before in [false, true] {
        let (cluster, browsers) = stalled_holder().await;
        let [stalled, store] = &cluster.stores[..] else { panic!("two instances") };
        let refused = Fault::oauth_error("invalid_grant");
        if is_read_before {
            store.plan(Verb::DeleteIf, Mishap::Freeze);
            cluster.sentinel().inject(Endpoint::Refresh, refused);
        } else {
            let late = Fault::after(millis(2500), refused);
            cluster.sentinel().inject(Endpoint::Refresh, late);
        }
        let waiting = fetching(&browsers[1]);
        until(|| if is_read_before { store.is_frozen() } else { cluster.presented().0 == 2 }).await;
        stalled.thaw();
        until(|| store.history_of(RECORD).len() == 4).await; // login, two marks, the result
        store.thaw();
        let page = waiting.await.expect("no panic");
        assert_served(&page, &cluster.instances[1]);
        let own = browsers[0].clone().fetch("/token").await;
        assert_eq!(own.body, page.body, "read before: {is_read_before}");
        assert_eq!(store.count(Verb::Delete), 0, "deleted whatever it is");
        let tried = store.count(Verb::DeleteIf);
        assert_eq!(tried > 0, is_read_before, "{tried} deletions tried");
        assert!(store.only(RECORD).await.1.is_some());
    }
}

/// Store rule 7, F07: an unchanged record ends, by delete-if-version, at every instance; others live.
#[tokio::test]
async fn a_refused_token_ends_its_session_everywhere_and_no_other() {
    let cluster = Cluster::of(2).start().await;
    let mut other = Browser::signed_in(&cluster.instances[0]).await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().inject(Endpoint::Refresh, Fault::oauth_error("invalid_grant"));
    cluster.advance(250);
    cluster.forget_calls();
    browsers[0].clone().fetch("/token").await.assert_unauthorized();
    let store = &cluster.stores[0];
    assert_eq!((store.count(Verb::DeleteIf), store.count(Verb::Delete)), (1, 0));
    assert_eq!(cluster.counters[0].get(&ended(EndReason::RefreshRefused)), 1);
    for browser in &browsers {
        let mut browser = browser.clone();
        browser.fetch("/token").await.assert_unauthorized();
        let login = browser.navigate("/token").await;
        login.assert_login();
        assert_eq!(login.session_cookies().len(), 1, "the dead cookie goes: {login:?}");
    }
    assert_eq!(cluster.presented().0, 1, "presented again");
    assert_served(&other.fetch("/token").await, &cluster.instances[0]);
}

/// Store rule 7: where the store cannot be read after the refusal, the session ends when it can.
#[tokio::test]
async fn a_refusal_is_not_forgotten_while_the_store_is_down() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    let refused = Fault::after(millis(300), Fault::oauth_error("invalid_grant"));
    cluster.sentinel().inject(Endpoint::Refresh, refused);
    cluster.advance(250);
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    cluster.stores[0].set_down(true);
    until(|| cluster.stores[0].count(Verb::Load) >= 4).await;
    cluster.stores[0].set_down(false);
    waiting.await.expect("no panic").assert_unauthorized();
    for browser in &browsers {
        browser.clone().fetch("/token").await.assert_unauthorized();
    }
    assert_eq!(cluster.presented().0, 1);
}

/// Store rule 8: a thousand waiters are one poller per session and instance, every 10 to 20 ms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiters_ask_the_store_as_one() {
    const WAITERS: usize = 1000;
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(Duration::from_secs(3)));
    cluster.advance(250);
    let first = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    let started = Instant::now();
    let cookies = browsers[1].jar.header().expect("a session");
    let waiters: Vec<_> = (0..WAITERS)
        .map(|_| {
            let (auth, cookies) = (cluster.instances[1].auth.clone(), cookies.clone());
            tokio::spawn(async move { fetch_token(&auth, &cookies).await })
        })
        .collect();
    let token = first.await.expect("no panic").body;
    for page in join_all(waiters).await {
        let page = page.expect("no panic");
        assert_eq!((page.status.as_u16(), &page.body), (200, &token), "{page:?}");
    }
    let most = usize::try_from(started.elapsed().as_millis() / 10).expect("few") + 2;
    let store = &cluster.stores[1];
    let (leases, loads) = (store.count(Verb::Lease), store.count(Verb::Load));
    assert!(leases <= most, "{leases} questions for the lease, at most {most} expected");
    assert!(loads <= WAITERS + most, "{loads} readings");
    assert!(leases > 20, "polled {leases} times only");
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 8, F27: waiters on another instance give up after 6 s; nobody presents the token again.
#[tokio::test]
async fn waiters_on_another_instance_give_up_after_six_seconds() {
    let cluster =
        Cluster::of(2).layer(|layer| layer.request_timeout(Duration::from_secs(30))).start().await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().inject_always(Endpoint::Refresh, Fault::Hang);
    cluster.advance(250);
    let first = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    let started = Instant::now();
    browsers[1].clone().fetch("/token").await.assert_unavailable();
    let waited = started.elapsed();
    assert!(waited > millis(5500), "only {waited:?}");
    assert!(waited < millis(9000), "{waited:?}");
    first.await.expect("no panic").assert_unavailable();
    assert_eq!(cluster.presented().0, 1);
}
