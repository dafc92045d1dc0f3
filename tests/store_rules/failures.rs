//! Rule 5: what failed at one instance is not tried by another.

use tokio::time::Instant;
use tower_lp_auth::test_kit::{Endpoint, Fault};

use crate::{
    assert_served, millis, retry_after,
    support::{Cluster, until},
};

/// Store rule 5: after a failed or unanswered call no other instance tries or waits, and each names
/// what is left of the failure memory; after that the next one tries.
#[tokio::test]
async fn a_failed_call_bars_the_other_instances_for_the_failure_memory() {
    let mut rows = Vec::new();
    for (name, fault, pause) in [
        ("503", Fault::status(503), 10..=11),
        ("no token", Fault::Body("{}".into()), 10..=11),
        ("a reset", Fault::Reset, 10..=11),
        ("our own misconfiguration", Fault::oauth_error("invalid_client"), 10..=11),
        ("429 that asks for 30 s", Fault::throttled(30), 30..=30),
        ("429 that asks for an hour", Fault::throttled(3600), 60..=60),
    ] {
        rows.push(async move {
            let cluster = Cluster::of(3).start().await;
            let browsers = cluster.signed_in().await;
            cluster.sentinel().inject(Endpoint::Refresh, fault);
            cluster.advance(250);
            let here = retry_after(&browsers[0].clone().fetch("/token").await);
            assert!(pause.contains(&here), "{name}: {here} s");
            let started = Instant::now();
            let there = retry_after(&browsers[1].clone().fetch("/token").await);
            assert!(started.elapsed() < millis(1500), "{name}: waited");
            assert!(here.abs_diff(there) <= 1, "{name}: {here} s here, {there} s there");
            cluster.advance(4);
            let left = retry_after(&browsers[2].clone().fetch("/token").await);
            assert!(there.abs_diff(left + 4) <= 1, "{name}: {left} s of {there} s after 4");
            cluster.advance(pause.start() - 5);
            for browser in &browsers {
                browser.clone().fetch("/token").await.assert_unavailable();
            }
            assert_eq!(cluster.presented().0, 1, "{name}: asked within the failure memory");
            cluster.advance(pause.end() - pause.start() + 1);
            let page = browsers[1].clone().fetch("/token").await;
            assert_served(&page, &cluster.instances[1]);
            assert_eq!(cluster.presented(), (2, 0), "{name}");
            // The one that failed does not go on remembering what is no longer so.
            let page = browsers[0].clone().fetch("/token").await;
            assert_served(&page, &cluster.instances[0]);
        });
    }
    futures_util::future::join_all(rows).await;
}

/// Store rule 5: a due session is served meanwhile, at every instance, and nobody calls.
#[tokio::test]
async fn a_failed_call_leaves_a_due_session_served_everywhere() {
    let cluster = Cluster::of(2).start().await;
    let browsers = cluster.signed_in().await;
    let token = browsers[0].clone().fetch("/token").await.body;
    cluster.sentinel().inject_always(Endpoint::Refresh, Fault::status(500));
    cluster.advance(120);
    browsers[0].clone().fetch("/token").await;
    until(|| cluster.counters[0].refreshes("failed") == 1).await;
    for _ in 0..3 {
        cluster.advance(3);
        for browser in &browsers {
            assert_eq!(browser.clone().fetch("/token").await.body, token);
        }
    }
    assert_eq!(cluster.presented().0, 1);
    // In its last minute too, where a refresh comes first.
    cluster.sentinel().inject_always(Endpoint::Refresh, Fault::status(500));
    cluster.advance(200 - 129);
    for (browser, calls) in browsers.iter().zip([2, 2]) {
        assert_eq!(browser.clone().fetch("/token").await.body, token);
        assert_eq!(cluster.presented().0, calls);
    }
}

/// Store rule 5 and the row "unknown": attempts are serial over all instances, their pauses double, and
/// the marks in the record say how far that is.
#[tokio::test]
async fn pauses_after_unknown_outcomes_double_from_instance_to_instance() {
    let cluster = Cluster::of(3).start().await;
    let browsers = cluster.signed_in().await;
    cluster.sentinel().inject_always(Endpoint::Refresh, Fault::Reset);
    cluster.advance(250);
    for (at, pause) in [10, 20, 40].into_iter().enumerate() {
        let tried = cluster.presented().0;
        let here = retry_after(&browsers[at].clone().fetch("/token").await);
        assert_eq!(cluster.presented().0, tried + 1, "before the pause of {pause} s");
        assert!((pause..=pause + pause / 10).contains(&here), "{here} s instead of {pause}");
        let other = retry_after(&browsers[(at + 1) % 3].clone().fetch("/token").await);
        assert!(here.abs_diff(other) <= 1, "{here} s here, {other} s there");
        assert_eq!(cluster.presented().0, tried + 1, "within the pause of {pause} s");
        cluster.advance(pause + pause / 10 + 1);
    }
    cluster.sentinel().clear_faults();
    assert_served(&browsers[0].clone().fetch("/token").await, &cluster.instances[0]);
    assert_eq!(cluster.presented(), (4, 0));
}
