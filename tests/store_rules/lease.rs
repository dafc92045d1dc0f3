//! Rules 1 to 3: versions, the order of a refresh, and writes that meet others.

use std::{collections::HashSet, time::Duration};

use tokio::time::Instant;
use tower_lp_auth::{
    SessionStore,
    store::{Lease, Leased, StoredRecord, Version},
    test_kit::{self, Endpoint, Fault},
};

use crate::{
    HOUR, RECORD, assert_served, fetching, millis,
    support::{Browser, Cluster, Mishap, Verb, until},
};

/// Store rule 1: a login, a use, a refresh and its mark have versions of their own, and after the
/// first every write names the version that it replaces.
#[tokio::test]
async fn every_write_is_of_a_new_version_in_place_of_one_that_was_read() {
    let cluster = Cluster::of(1).start().await;
    let store = &cluster.stores[0];
    let mut browser = cluster.signed_in().await.remove(0);
    cluster.advance(120);
    browser.fetch("/token").await;
    until(|| store.count(Verb::Release) == 1).await;
    cluster.advance(99);
    assert_eq!(browser.fetch("/token").await.status, 200);
    let written = store.history_of(RECORD);
    assert_eq!(written.len(), 3, "login, mark, result");
    cluster.advance(HOUR);
    browser.fetch("/token").await; // expired, and activity is noted
    until(|| store.count(Verb::Release) == 2).await;
    let written = store.history_of(RECORD);
    assert!(written.len() >= 5, "{} writes", written.len());
    let versions: HashSet<_> =
        written.iter().flatten().map(|record| *record.version().as_bytes()).collect();
    assert_eq!(versions.len(), written.len(), "a version has come back");
    assert!(!versions.contains(&[0; 16]));
    let writes = store.take_calls_with_keys().into_iter().filter(|call| {
        call.key.contains(RECORD) && !matches!(call.verb, Verb::Load | Verb::Update)
    });
    let writes: Vec<_> = writes.map(|call| call.verb).collect();
    assert_eq!(writes, [Verb::Create], "nothing but updates follows the login");
}

/// Store rule 1: the version is under the seal, so that an old content cannot pose as a new one.
#[tokio::test]
async fn a_content_opens_under_its_own_version_alone() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    let (key, record) = cluster.stores[0].only(RECORD).await;
    let record = record.expect("a session");
    let beneath = cluster.stores[0].beneath();
    let swapped = StoredRecord::new(Version::from_bytes([7; 16]), record.content().clone());
    let hour = Duration::from_secs(HOUR);
    beneath.update(&key, record.version(), swapped, hour).await.expect("memory answers");
    browsers[1].clone().fetch("/me").await.assert_unauthorized();
    assert_eq!(beneath.load(&key).await.expect("memory answers"), None, "it is removed");
}

/// Store rule 2: the order of a refresh, and what stands in the store when the token is sent.
#[tokio::test]
async fn a_refresh_takes_the_lease_reads_marks_sends_writes_and_gives_the_lease_back() {
    let cluster = Cluster::of(1).start().await;
    let (store, browsers) = (&cluster.stores[0], cluster.signed_in().await);
    let before = browsers[0].clone().fetch("/token").await.body;
    cluster.advance(120);
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(millis(300)));
    cluster.forget_calls();
    let page = browsers[0].clone().fetch("/token").await;
    assert_eq!(page.body, before, "a due session is served at once");
    until(|| cluster.presented().0 == 1).await;
    let request = [Verb::Load];
    let flight = [Verb::Lease, Verb::Load, Verb::Update];
    assert_eq!(store.take_calls(), [&request[..], &flight].concat(), "before the token is sent");
    until(|| store.count(Verb::Release) == 1).await;
    assert_eq!(store.take_calls(), [Verb::Update, Verb::Release], "after the answer");
    let after = browsers[0].clone().fetch("/token").await;
    assert_served(&after, &cluster.instances[0]);
    assert_ne!(after.body, before);
}

/// Store rule 2: the lease is idempotent per owner: a holder that has missed the answer takes it again.
#[tokio::test]
async fn a_lease_whose_answer_was_lost_is_the_holders_all_the_same() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    for mishap in [Mishap::LoseAnswer, Mishap::Hang, Mishap::Fail] {
        cluster.stores[0].plan(Verb::Lease, mishap);
        let (before, _) = cluster.presented();
        let page = browsers[0].clone().fetch("/token").await;
        assert_served(&page, &cluster.instances[0]);
        assert_eq!(cluster.presented(), (before + 1, 0), "{mishap:?}");
        cluster.advance(250);
    }
}

/// Store rule 2: "else an instance that loaded the record before presents a spent token".
#[tokio::test]
async fn an_instance_that_has_read_the_record_before_reads_it_again_under_the_lease() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    // The second has read the record, and gets the lease when the first is through.
    let first = browsers[0].clone();
    cluster.stores[1].meddle(Verb::Lease, move || async move {
        let page = first.clone().fetch("/token").await;
        assert_eq!(page.status, 200, "{page:?}");
    });
    let page = browsers[1].clone().fetch("/token").await;
    assert_served(&page, &cluster.instances[1]);
    assert_eq!(cluster.presented(), (1, 0));
    assert_eq!(page.body, browsers[0].clone().fetch("/token").await.body);
}

/// Store rule 2: the lease lasts 12 s and is renewed every 4 s as long as the call takes.
#[tokio::test]
async fn a_lease_lasts_twelve_seconds_and_is_renewed_every_four() {
    let cluster =
        Cluster::of(1).layer(|layer| layer.request_timeout(Duration::from_secs(20))).start().await;
    let (store, browsers) = (&cluster.stores[0], cluster.signed_in().await);
    cluster.advance(120);
    cluster.forget_calls();
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(Duration::from_secs(10)));
    browsers[0].clone().fetch("/token").await;
    let started = Instant::now();
    for (renewals, at) in [(1, 4), (2, 8)] {
        until(|| store.count(Verb::Lease) == 1 + renewals).await;
        let waited = started.elapsed();
        assert!(waited > millis(at * 1000 - 500), "renewed after {waited:?}");
        assert!(waited < millis(at * 1000 + 2000), "renewed after {waited:?}");
    }
    until(|| store.count(Verb::Release) == 1).await;
    let leases = store.lives().into_iter().filter(|life| life.verb == Verb::Lease);
    let ttls: Vec<_> = leases.map(|life| life.ttl.as_secs()).collect();
    assert_eq!(ttls, [12, 12, 12]);
}

/// Store rule 2, F03, Y04: a call that takes longer than the lease is one call: the lease is renewed.
#[tokio::test]
async fn a_call_that_outlasts_the_lease_is_not_repeated() {
    let cluster = Cluster::of(2)
        .real_leases()
        .layer(|layer| test_kit::lease(layer, Duration::from_secs(2)))
        .layer(|layer| layer.request_timeout(Duration::from_secs(15)))
        .start()
        .await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Late(Duration::from_secs(5)));
    cluster.advance(250);
    let first = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    let second = fetching(&browsers[1]);
    for page in [first.await, second.await] {
        assert_served(&page.expect("no panic"), &cluster.instances[0]);
    }
    assert_eq!(cluster.presented(), (1, 0));
    assert!(cluster.stores[0].count(Verb::Lease) >= 5, "renewed");
}

/// Store rule 2, Y19: a holder that was held up until its lease had run out and went to another does
/// not send.
#[tokio::test]
async fn a_holder_checks_before_it_sends_that_the_lease_is_still_its_own() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    let lease_key = cluster.stores[0].only(RECORD).await.0.replace(RECORD, ":lease:");
    let (clock, store) = (cluster.instances[0].clock.clone(), cluster.stores[0].clone());
    cluster.stores[0].meddle(Verb::Update, move || async move {
        clock.advance(Duration::from_secs(12));
        let other = Lease { owner: [9; 16], note: 0 };
        let taken = store.beneath().lease(&lease_key, other, Duration::from_secs(12)).await;
        assert_eq!(taken.expect("memory answers"), Leased::Held);
    });
    let page = browsers[0].clone().fetch("/token").await;
    page.assert_unavailable();
    assert_eq!(cluster.presented().0, 0, "sent without the lease");
    // Its mark stands: whoever comes next cannot know that nothing was sent.
    assert_eq!(cluster.stores[0].history_of(RECORD).len(), 2);
    cluster.advance(12);
    let started = Instant::now();
    let page = browsers[1].clone().fetch("/token").await;
    assert_served(&page, &cluster.instances[1]);
    assert!(started.elapsed() > millis(1900));
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 2: "a killed holder is replaced by the first request on a due session after the lease
/// has run out": until then a due session is served, and nobody else presents the token.
#[tokio::test]
async fn nobody_replaces_a_holder_before_its_lease_has_run_out() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(120);
    cluster.stores[0].plan(Verb::Update, Mishap::Freeze); // killed before the mark
    browsers[0].clone().fetch("/token").await;
    until(|| cluster.stores[0].is_frozen()).await;
    cluster.advance(11);
    let before = browsers[1].clone().fetch("/token").await;
    assert_eq!(before.status, 200, "{before:?}");
    until(|| cluster.stores[1].count(Verb::Lease) >= 2).await;
    assert_eq!(cluster.presented().0, 0, "the lease is still held");
    cluster.advance(1);
    until(|| cluster.stores[1].count(Verb::Release) == 1).await;
    assert_eq!(cluster.presented(), (1, 0));
    let after = browsers[1].clone().fetch("/token").await;
    assert_served(&after, &cluster.instances[1]);
    assert_ne!(after.body, before.body);
}

/// Store rule 3, D07, F23: what another instance has written during the call (that the session is
/// used) survives together with the new tokens.
#[tokio::test]
async fn activity_and_new_tokens_survive_together() {
    let cluster = Cluster::of(2)
        .real_leases()
        .access_token_lifetime(2 * HOUR)
        .layer(|layer| layer.refresh_after(Duration::from_secs(250)))
        .start()
        .await;
    let browsers = cluster.signed_in().await;
    let before = browsers[0].clone().fetch("/token").await.body;
    cluster.advance(280);
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(millis(1500)));
    let end_before: u64 = browsers[0].clone().fetch("/ends").await.body.parse().expect("seconds");
    until(|| cluster.presented().0 == 1).await;
    cluster.advance(30); // 310 s after the login: activity is to be noted, and is not the refresh's
    browsers[1].clone().fetch("/token").await;
    until(|| cluster.stores[1].count(Verb::IndexAdd) == 1).await;
    assert_eq!(cluster.stores[0].count(Verb::Release), 0, "the refresh is still under way");
    until(|| cluster.stores[0].count(Verb::Release) == 1).await;
    for browser in &browsers {
        let page = browser.clone().fetch("/token").await;
        assert_ne!(page.body, before);
        assert_served(&page, &cluster.instances[0]);
        let end: u64 = browser.clone().fetch("/ends").await.body.parse().expect("seconds");
        assert_eq!(end, end_before + 310, "the use was forgotten");
    }
    assert_eq!(cluster.presented(), (1, 0));
}

/// Store rule 3: the same the other way round: the use of a session survives although a refresh, which
/// then fails, has written its mark first.
#[tokio::test]
async fn activity_that_meets_a_mark_is_noted_all_the_same() {
    let cluster = Cluster::of(1).access_token_lifetime(20 * HOUR).start().await;
    let (store, browsers) = (&cluster.stores[0], cluster.signed_in().await);
    let end_before: u64 = browsers[0].clone().fetch("/ends").await.body.parse().expect("seconds");
    cluster.sentinel().inject_always(Endpoint::Refresh, Fault::status(503));
    store.plan(Verb::Update, Mishap::Delay(millis(300))); // activity's: the mark's overtakes it
    cluster.advance(HOUR);
    assert_eq!(browsers[0].clone().fetch("/token").await.status, 200);
    until(|| cluster.counters[0].refreshes("failed") == 1).await;
    until(|| store.count(Verb::IndexAdd) == 2).await;
    let end: u64 = browsers[0].clone().fetch("/ends").await.body.parse().expect("seconds");
    assert_eq!(end, end_before + HOUR, "the use was forgotten");
}

/// Store rule 3, Y04: the late result of a stalled holder gives way to a newer record.
#[tokio::test]
async fn a_late_result_is_discarded_where_the_record_is_newer() {
    let cluster = Cluster::of(2).start().await;
    cluster.sentinel().set_rotation(false); // so that the second gets tokens too
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    cluster.stores[0].plan(Verb::Update, Mishap::Pass);
    cluster.stores[0].plan(Verb::Update, Mishap::Freeze);
    let stalled = fetching(&browsers[0]);
    until(|| cluster.stores[0].is_frozen()).await;
    cluster.advance(13);
    let newer = browsers[1].clone().fetch("/token").await;
    assert_served(&newer, &cluster.instances[1]);
    cluster.stores[0].thaw();
    until(|| cluster.counters[0].refreshes("discarded") == 1).await;
    stalled.await.expect("no panic");
    for browser in &browsers {
        assert_eq!(browser.clone().fetch("/token").await.body, newer.body);
    }
    assert_eq!(cluster.presented().0, 2);
}

/// Store rule 3, F22, D06: the late result of a refresh does not bring back what a logout elsewhere has
/// deleted.
#[tokio::test]
async fn a_result_is_discarded_where_the_record_is_gone() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Delay(millis(500)));
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    let logout = browsers[1].clone().post("/logout").await;
    assert_eq!(logout.status, 303, "{logout:?}");
    waiting.await.expect("no panic").assert_unauthorized();
    for browser in &browsers {
        browser.clone().fetch("/token").await.assert_unauthorized();
    }
    assert_eq!(cluster.counters[0].refreshes("discarded"), 1);
    assert_eq!(cluster.stores[0].only(RECORD).await.1, None);
    assert_eq!(cluster.sentinel().counts().revocations, 0, "revocation is not switched on");
}

/// Store rule 3, F22, G20: where revocation is switched on, those tokens are revoked.
#[tokio::test]
async fn the_tokens_of_a_refresh_that_lost_against_a_logout_elsewhere_are_revoked() {
    let cluster = Cluster::of(2).layer(|layer| layer.revoke_on_logout(true)).start().await;
    let browsers = cluster.signed_in().await;
    cluster.advance(250);
    cluster.sentinel().inject(Endpoint::Refresh, Fault::Late(millis(500)));
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    assert_eq!(browsers[1].clone().post("/logout").await.status, 303);
    waiting.await.expect("no panic").assert_unauthorized();
    until(|| cluster.sentinel().counts().revocations == 2).await;
    let calls = cluster.sentinel().calls();
    let revoked = calls.iter().filter(|call| call.endpoint == Endpoint::Revoke);
    let revoked: HashSet<_> = revoked.filter_map(|call| call.field("token")).collect();
    assert_eq!(revoked.len(), 2, "the old token by the logout, the new one by the refresh");
}

/// Store rule 2, F04: a holder that was killed before it had sent, before and after its mark.
#[tokio::test]
async fn a_holder_killed_before_it_sends_is_replaced_and_one_call_reaches_sentinel() {
    for (mishap, least) in [(Mishap::Freeze, 0), (Mishap::FreezeAfter, 1900)] {
        let cluster = Cluster::of(2).start().await;
        let browsers: Vec<Browser> = cluster.signed_in().await;
        cluster.advance(250);
        cluster.stores[0].plan(Verb::Update, mishap);
        let killed = fetching(&browsers[0]);
        until(|| cluster.stores[0].is_frozen()).await;
        cluster.advance(12);
        let started = Instant::now();
        let page = browsers[1].clone().fetch("/token").await;
        assert_served(&page, &cluster.instances[1]);
        assert!(started.elapsed() > millis(least), "{mishap:?}: a mark is waited for");
        assert_eq!(cluster.presented(), (1, 0), "{mishap:?}");
        killed.abort();
    }
}
