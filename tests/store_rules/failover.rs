//! Rule 11: after a fail-over of the store, what it may have lost is written again first.

use tokio::time::Instant;

use crate::{
    RECORD, fetching, millis,
    support::{Browser, Cluster, Mishap, Verb, until},
};

/// Store rule 11, S06: a logout that a fail-over has undone is repeated by the instance that did it
/// before it serves its next request, whoever's that is.
#[tokio::test]
async fn a_lost_logout_is_repeated_before_the_next_request_is_served() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    let mut other = Browser::new(&cluster.instances[0]);
    let copy = browsers[1].clone();
    assert_eq!(browsers[0].clone().post("/logout").await.status, 303);
    cluster.stores[0].lose_latest_write(RECORD).await;
    assert!(cluster.stores[0].only(RECORD).await.1.is_some(), "it is back");
    other.sign_in(&cluster.instances[0], "4711").await;
    assert_eq!(other.fetch("/me").await.status, 200);
    copy.clone().fetch("/token").await.assert_unauthorized();
    browsers[0].clone().fetch("/token").await.assert_unauthorized();
}

/// Store rule 11: the result of a refresh that a fail-over has undone is written again, before it is
/// served; its token is not presented a second time.
#[tokio::test]
async fn a_lost_result_is_written_again_before_the_next_request_is_served() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let token = browsers[0].clone().fetch("/token").await.body;
    until(|| cluster.stores[0].count(Verb::Release) == 1).await;
    let newest = cluster.stores[0].only(RECORD).await.1.expect("a session");
    cluster.stores[0].lose_latest_write(RECORD).await;
    assert_eq!(browsers[0].clone().fetch("/token").await.body, token);
    let mended = cluster.stores[0].only(RECORD).await.1.expect("a session");
    assert_eq!(mended.version(), newest.version());
    assert_eq!(browsers[1].clone().fetch("/token").await.body, token);
    assert_eq!(cluster.presented(), (1, 0));
    // Once.
    cluster.forget_calls();
    browsers[0].clone().fetch("/token").await;
    assert_eq!(cluster.stores[0].take_calls(), [Verb::Load]);
}

/// Store rule 11: nothing of a session is served before its own latest write is there again; what
/// cannot be repeated of one keeps nobody else out.
#[tokio::test]
async fn a_session_waits_until_its_own_writes_are_there_again() {
    let cluster = Cluster::of(1).start().await;
    let browser = cluster.signed_in().await.remove(0);
    cluster.advance(250);
    let token = browser.clone().fetch("/token").await.body;
    let store = &cluster.stores[0];
    until(|| store.count(Verb::Release) == 1).await;
    store.plan_always(Verb::Update, Mishap::Fail);
    store.lose_latest_write(RECORD).await;
    for _ in 0..2 {
        browser.clone().fetch("/token").await.assert_unavailable();
    }
    let mut other = Browser::signed_in(&cluster.instances[0]).await;
    assert_eq!(other.fetch("/me").await.status, 200);
    store.mend();
    until_served(&browser, &token).await;
    assert_eq!(cluster.presented().0, 1);
}

async fn until_served(browser: &Browser, token: &str) {
    let started = Instant::now();
    loop {
        let page = browser.clone().fetch("/token").await;
        if page.status == 200 {
            assert_eq!(page.body, token);
            return;
        }
        assert!(started.elapsed() < millis(5000), "{page:?}");
    }
}

/// Store rule 11: without a request too: an instance that nobody asks repeats its latest logout, so
/// that nobody else serves the session.
#[tokio::test]
async fn an_idle_instance_repeats_what_was_lost() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    assert_eq!(browsers[0].clone().post("/logout").await.status, 303);
    cluster.stores[0].lose_latest_write(RECORD).await;
    let started = Instant::now();
    while cluster.stores[0].only(RECORD).await.1.is_some() {
        assert!(started.elapsed() < millis(5000), "it is still there");
        tokio::time::sleep(millis(10)).await;
    }
    browsers[1].clone().fetch("/token").await.assert_unauthorized();
}

/// Store rule 11: only the last 60 s are repeated: what is older has reached every replica.
#[tokio::test]
async fn what_is_older_than_a_minute_is_not_written_again() {
    for (age, deletes) in [(59, 1), (61, 0)] {
        let cluster = Cluster::of(1).start().await;
        let mut other = Browser::signed_in(&cluster.instances[0]).await;
        let gone = Browser::signed_in(&cluster.instances[0]).await;
        assert_eq!(gone.clone().post("/logout").await.status, 303);
        cluster.advance(age);
        cluster.forget_calls();
        cluster.stores[0].reconnect();
        assert_eq!(other.fetch("/token").await.status, 200);
        assert_eq!(cluster.stores[0].count(Verb::Delete), deletes, "after {age} s");
    }
}

/// Store rule 11: an instance that has seen a newer generation than the record shows waits 2 s and
/// reads again before it takes the lease; the one that has the result writes it meanwhile.
#[tokio::test]
async fn an_instance_that_has_seen_more_than_the_record_shows_doubts_it() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let token = browsers[0].clone().fetch("/token").await.body;
    assert_eq!(browsers[1].clone().fetch("/token").await.body, token, "it has seen it");
    until(|| cluster.stores[0].count(Verb::Release) == 1).await;
    cluster.stores[0].lose_latest_write(RECORD).await;
    cluster.forget_calls();
    let started = Instant::now();
    let waiting = fetching(&browsers[1]);
    until(|| cluster.stores[1].count(Verb::Load) >= 2).await;
    assert_eq!(browsers[0].clone().fetch("/token").await.body, token);
    let page = waiting.await.expect("no panic");
    assert_eq!(page.body, token, "{page:?}");
    assert!(started.elapsed() > millis(1900));
    assert_eq!(cluster.stores[1].count(Verb::Lease), 0, "it had no reason to");
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 11: "what remains": where the instance with the result is gone too, the old token is
/// presented once, after the doubt and the mark.
#[tokio::test]
async fn where_nobody_has_the_lost_result_the_token_is_presented_once_more() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let token = browsers[0].clone().fetch("/token").await.body;
    assert_eq!(browsers[1].clone().fetch("/token").await.body, token);
    until(|| cluster.stores[0].count(Verb::Release) == 1).await;
    cluster.stores[0].plan_always(Verb::Load, Mishap::Fail); // it is cut off
    cluster.stores[0].lose_latest_write(RECORD).await;
    let started = Instant::now();
    browsers[1].clone().fetch("/token").await.assert_unauthorized();
    assert!(started.elapsed() > millis(3900), "the doubt and the mark: {:?}", started.elapsed());
    assert_eq!(cluster.presented(), (2, 1));
    let lost = "lp_auth_sessions_ended_total{reason=rotation_lost}";
    assert_eq!(cluster.counters[1].get(lost), 1);
}
