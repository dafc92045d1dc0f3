//! Rule 10: a logout is final here at once, and everywhere as soon as the record is deleted.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    HOUR, RECORD, fetching, millis, settled,
    support::{Browser, Cluster, Mishap, Verb, until},
};

/// Store rule 10, G03, G04, D10, G17, Y20: a logout ends the session at every instance at once, and no
/// other session of its user; the old cookie is worthless everywhere.
#[tokio::test]
async fn a_logout_is_immediate_at_every_instance() {
    let cluster = Cluster::of(3).start().await;
    let other = Browser::signed_in(&cluster.instances[0]).await;
    let mut browsers = cluster.signed_in().await;
    for browser in &browsers {
        assert_eq!(browser.clone().fetch("/me").await.status, 200);
    }
    let copies = browsers.clone();
    let page = browsers[1].post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    assert!(page.session_cookies()[0].contains("Max-Age=0"), "{page:?}");
    assert_eq!(browsers[1].jar.session(), None);
    for copy in &copies {
        let mut copy = copy.clone();
        copy.fetch("/me").await.assert_unauthorized();
        let login = copy.navigate("/me").await;
        login.assert_login();
        assert_eq!(login.session_cookies().len(), 1, "dead for good: {login:?}");
        // G12: again, in another tab.
        assert_eq!(copy.post("/logout").await.status, 303);
    }
    for app in &cluster.instances {
        assert_eq!(other.moved_to(app).fetch("/me").await.status, 200, "the other device");
    }
}

/// Store rule 10, each of its sentences.
#[tokio::test]
async fn a_logout_that_cannot_delete_is_503_and_retried_until_it_can() {
    let cluster = Cluster::of(2).start().await;
    let mut browsers = cluster.signed_in().await;
    let store = &cluster.stores[0];
    store.set_down(true);
    // "If it cannot be deleted the answer is 503 with a retry page, the cookie stays".
    let page = browsers[0].post("/logout").await;
    page.assert_unavailable();
    page.assert_closed_page(503);
    assert!(page.body.contains("class=\"action\""), "no way to retry: {page:?}");
    // "Meanwhile this process answers requests with that cookie as not logged in, without deleting
    // the cookie", whether the store can be read or not.
    for reads in [false, true] {
        if reads {
            store.plan_always(Verb::DeleteIf, Mishap::Fail);
            store.set_down(false);
        }
        browsers[0].fetch("/token").await.assert_unauthorized();
        assert_eq!(browsers[0].fetch("/").await.body, "hello stranger", "reads: {reads}");
        let login = browsers[0].navigate("/token").await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "reads: {reads}: {login:?}");
        let login = browsers[0].navigate("/login").await;
        login.assert_login();
        assert!(login.session_cookies().is_empty(), "reads: {reads}: {login:?}");
        // "and a further logout with 503".
        browsers[0].post("/logout").await.assert_unavailable();
        assert!(browsers[0].jar.session().is_some());
        // Other instances do not know yet.
        assert_eq!(browsers[1].fetch("/token").await.status, 200, "reads: {reads}");
    }
    // "the delete is retried until done".
    let started = Instant::now();
    let tried = store.count(Verb::DeleteIf);
    until(|| store.count(Verb::DeleteIf) >= tried + 2).await;
    assert!(started.elapsed() < millis(5000), "{:?} for two tries", started.elapsed());
    store.mend();
    until(|| store.history_of(RECORD).last().is_some_and(Option::is_none)).await;
    settled(&cluster.instances[0]).await;
    browsers[1].fetch("/token").await.assert_unauthorized();
    let page = browsers[0].post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert!(browsers[0].jar.session().is_none(), "{page:?}");
}

/// Store rule 10: "retried until done or until the record's end".
#[tokio::test]
async fn a_delete_is_given_up_at_the_records_end() {
    let cluster = Cluster::of(1).start().await;
    let mut browsers = cluster.signed_in().await;
    let store = &cluster.stores[0];
    store.set_down(true);
    browsers[0].post("/logout").await.assert_unavailable();
    cluster.advance(24 * HOUR);
    settled(&cluster.instances[0]).await;
    // The store is looked at as long as it fails, under a key of nobody's.
    let tried = || store.count_under(RECORD, Verb::Load);
    let so_far = tried();
    assert!(so_far > 0);
    tokio::time::sleep(Duration::from_millis(2500)).await; // more than two of its pauses
    assert_eq!(tried(), so_far, "it goes on");
}

/// Store rule 10: "ended in this process at once": a request that waits for a refresh here is not
/// served, and the refresh brings nothing back, although the store cannot delete.
#[tokio::test]
async fn a_logout_that_cannot_delete_ends_a_refresh_under_way() {
    let cluster = Cluster::of(2).start().await;
    let mut browsers = cluster.signed_in().await;
    cluster.advance(250);
    let late = tower_lp_auth::test_kit::Fault::Delay(millis(600));
    cluster.sentinel().inject(tower_lp_auth::test_kit::Endpoint::Refresh, late);
    let waiting = fetching(&browsers[0]);
    until(|| cluster.presented().0 == 1).await;
    cluster.stores[0].plan_always(Verb::DeleteIf, Mishap::Fail);
    browsers[0].post("/logout").await.assert_unavailable();
    waiting.await.expect("no panic").assert_unauthorized();
    browsers[0].fetch("/token").await.assert_unauthorized();
    cluster.stores[0].mend();
    until(|| cluster.stores[0].history_of(RECORD).last().is_some_and(Option::is_none)).await;
    settled(&cluster.instances[0]).await;
    browsers[1].fetch("/token").await.assert_unauthorized();
    assert_eq!(cluster.stores[0].only(RECORD).await.1, None);
}

/// Store rule 10: what a handler ends follows the same rule.
#[tokio::test]
async fn a_handler_that_ends_the_session_learns_that_the_store_could_not() {
    let cluster = Cluster::of(2).start().await;
    let mut browsers = cluster.signed_in().await;
    cluster.stores[0].plan_always(Verb::DeleteIf, Mishap::Fail);
    let page = browsers[0].fetch("/end").await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.session_cookies().is_empty(), "{page:?}");
    browsers[0].fetch("/token").await.assert_unauthorized();
    assert_eq!(browsers[1].fetch("/token").await.status, 200);
    cluster.stores[0].mend();
    until(|| cluster.stores[0].history_of(RECORD).last().is_some_and(Option::is_none)).await;
    browsers[1].fetch("/token").await.assert_unauthorized();
}
