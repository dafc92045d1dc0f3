//! Rule 4: a result that cannot be written is kept, serves, and is written as soon as it can be.

use std::time::Duration;

use tokio::time::Instant;
use tower_lp_auth::test_kit::{Endpoint, Fault};

use crate::{
    HOUR, RECORD, assert_served, fetching, millis, settled,
    support::{Cluster, Logs, Mishap, Verb, until},
};

/// Store rule 4, F24: waiters get the new tokens from memory, the failure is loud, and the result is
/// written.
#[tokio::test]
async fn a_result_that_cannot_be_written_serves_from_memory_until_it_is() {
    let (logs, _guard) = Logs::capture();
    for mishap in [Mishap::Fail, Mishap::Hang, Mishap::Full, Mishap::Refuse, Mishap::LoseAnswer] {
        let cluster = Cluster::of(2).start().await;
        let browsers = cluster.signed_in().await;
        cluster.advance(250);
        let store = &cluster.stores[0];
        store.plan(Verb::Update, Mishap::Pass); // the mark
        store.plan(Verb::Update, mishap);
        let logged = logs.text().len();
        let pages = [fetching(&browsers[0]), fetching(&browsers[0])];
        for page in pages {
            assert_served(&page.await.expect("no panic"), &cluster.instances[0]);
        }
        let loud = logs.text()[logged..].contains("ERROR");
        assert!(loud, "{mishap:?}: nothing tells of it");
        until(|| store.count(Verb::Release) == 1).await;
        let own = browsers[0].clone().fetch("/token").await;
        let other = browsers[1].clone().fetch("/token").await;
        assert_served(&other, &cluster.instances[1]);
        assert_eq!(own.body, other.body, "{mishap:?}");
        assert_eq!(cluster.presented(), (1, 0), "{mishap:?}");
    }
}

/// Store rule 4: while the store cannot be read the holder answers 503 as any other does; its result
/// serves again from the first successful read, although nothing can be written yet.
#[tokio::test]
async fn a_result_in_memory_serves_only_where_the_store_can_be_read() {
    let cluster = Cluster::of(1).start().await;
    let browsers = cluster.signed_in().await;
    let (app, store) = (&cluster.instances[0], &cluster.stores[0]);
    cluster.advance(250);
    store.meddle(Verb::Update, || async {}); // the mark
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(millis(300)));
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    store.set_down(true);
    assert_served(&waiting.await.expect("no panic"), app); // it had read before
    for _ in 0..2 {
        browsers[0].clone().fetch("/token").await.assert_unavailable();
    }
    store.plan_always(Verb::Update, Mishap::Refuse);
    store.set_down(false);
    let first = browsers[0].clone().fetch("/token").await;
    assert_served(&first, app);
    assert_eq!(store.history_of(RECORD).len(), 2, "the login and the mark");
    store.mend();
    until(|| store.history_of(RECORD).len() == 3).await;
    assert_eq!(browsers[0].clone().fetch("/token").await.body, first.body);
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 4: "lease or no lease": the result of a holder that was cut off until its lease had run
/// out is written in the two seconds that the next holder waits because of the mark.
#[tokio::test]
async fn a_result_is_written_although_the_lease_has_run_out() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let store = &cluster.stores[0];
    store.plan(Verb::Update, Mishap::Pass);
    store.plan(Verb::Update, Mishap::Freeze);
    let stalled = fetching(&browsers[0]);
    until(|| store.is_frozen()).await;
    cluster.advance(13);
    let waiting = fetching(&browsers[1]);
    until(|| cluster.stores[1].lives().iter().filter(|life| life.verb == Verb::Lease).count() == 2)
        .await;
    store.thaw();
    let page = waiting.await.expect("no panic");
    assert_served(&page, &cluster.instances[1]);
    stalled.await.expect("no panic");
    assert_eq!(browsers[0].clone().fetch("/token").await.body, page.body);
    assert_eq!(cluster.presented(), (1, 0), "the second instance has presented it too");
}

/// Store rule 4: retried at least once a second, however long it fails.
#[tokio::test]
async fn a_result_is_tried_at_least_once_a_second() {
    let cluster = Cluster::of(1).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let store = &cluster.stores[0];
    store.plan(Verb::Update, Mishap::Pass);
    store.plan_always(Verb::Update, Mishap::Fail);
    assert_served(&browsers[0].clone().fetch("/token").await, &cluster.instances[0]);
    let mut times = vec![Instant::now()];
    let mut seen = store.count(Verb::Update);
    while times.len() < 9 {
        until(|| store.count(Verb::Update) > seen).await;
        seen = store.count(Verb::Update);
        times.push(Instant::now());
    }
    for pair in times.windows(2) {
        let pause = pair[1] - pair[0];
        assert!(pause < millis(1900), "{pause:?} between two tries");
    }
}

/// Store rule 4: "or until the session ends": by a logout, or by its absolute end.
#[tokio::test]
async fn a_result_is_given_up_when_its_session_ends() {
    for ends_by_logout in [true, false] {
        let cluster = Cluster::of(1).start().await;
        let browsers = cluster.signed_in().await;
        cluster.advance(250);
        let store = &cluster.stores[0];
        store.plan(Verb::Update, Mishap::Pass);
        store.plan_always(Verb::Update, Mishap::Fail);
        assert_served(&browsers[0].clone().fetch("/token").await, &cluster.instances[0]);
        if ends_by_logout {
            assert_eq!(browsers[0].clone().post("/logout").await.status, 303);
        } else {
            cluster.advance(24 * HOUR);
        }
        browsers[0].clone().fetch("/token").await.assert_unauthorized();
        settled(&cluster.instances[0]).await;
        store.mend();
        let written = store.history_of(RECORD).into_iter().flatten().count();
        assert_eq!(written, 2, "the login and the mark; ended by a logout: {ends_by_logout}");
    }
}

/// Store rule 4, F35, Y02: a shutdown waits until a result is written.
#[tokio::test]
async fn a_shutdown_waits_until_a_result_is_written() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let store = &cluster.stores[0];
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Late(millis(800)));
    store.plan(Verb::Update, Mishap::Pass);
    for _ in 0..3 {
        store.plan(Verb::Update, Mishap::Fail);
    }
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    assert!(cluster.instances[0].auth.shutdown(Duration::from_secs(10)).await);
    assert_eq!(store.history_of(RECORD).len(), 3, "it has stopped before the result was written");
    let page = browsers[1].clone().fetch("/token").await;
    assert_served(&page, &cluster.instances[1]);
    assert_eq!(waiting.await.expect("no panic").body, page.body);
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 4, D01: what the store says of a session is no less than what it says of its absence: a
/// holder that could not write and was overtaken by a logout elsewhere serves nothing.
#[tokio::test]
async fn a_result_in_memory_does_not_outlive_a_logout_elsewhere() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let store = &cluster.stores[0];
    store.plan(Verb::Update, Mishap::Pass);
    store.plan_always(Verb::Update, Mishap::Fail);
    assert_served(&browsers[0].clone().fetch("/token").await, &cluster.instances[0]);
    assert_eq!(browsers[1].clone().post("/logout").await.status, 303);
    browsers[0].clone().fetch("/token").await.assert_unauthorized();
    store.mend();
    settled(&cluster.instances[0]).await;
    assert_eq!(store.only(RECORD).await.1, None, "it has come back");
}
