//! Rules 9 and 12: a login in the store, one code for the whole cluster, a store without room.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use tower_lp_auth::{
    MemoryStore,
    test_kit::{Endpoint, Fault},
};

use crate::{
    RECORD, millis,
    support::{AGENT, App, AppBuilder, Browser, Cluster, Mishap, Page, Verb, until},
};

/// Where logins are claimed.
const CLAIM: &str = ":login:";

/// A browser at each instance with the same cookies, back from Sentinel; and the callback's path.
async fn back_from_sentinel(cluster: &Cluster) -> (Vec<Browser>, String) {
    let first = &cluster.instances[0];
    let mut browser = Browser::new(first);
    let url = browser.reach_callback(first, "/me").await;
    let path = url.strip_prefix(&first.url).expect("the first instance's").to_owned();
    (cluster.instances.iter().map(|app| browser.moved_to(app)).collect(), path)
}

/// 303 to the landing page, no cookie touched.
#[track_caller]
fn assert_elsewhere(page: &Page) {
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(page.location().as_deref(), Some("/"), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// Store rule 9: the claim, then the code; the record, then the index, then the cookie.
#[tokio::test]
async fn a_login_is_a_claim_a_record_an_index_entry_and_only_then_a_cookie() {
    let cluster = Cluster::of(1).start().await;
    let (mut browsers, path) = back_from_sentinel(&cluster).await;
    let store = &cluster.stores[0];
    cluster.forget_calls();
    cluster.sentinel().inject(Endpoint::Token, Fault::Delay(millis(300)));
    let mut browser = browsers.remove(0);
    let waiting = tokio::spawn(async move { browser.navigate(&path).await });
    until(|| cluster.sentinel().counts().exchanges == 1).await;
    let calls = store.take_calls_with_keys();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].verb == Verb::Create && calls[0].key.contains(CLAIM), "{calls:?}");
    let page = waiting.await.expect("no panic");
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    let calls = store.take_calls_with_keys();
    assert_eq!(calls.len(), 2, "{calls:?}");
    assert!(calls[0].verb == Verb::Create && calls[0].key.contains(RECORD), "{calls:?}");
    assert!(calls[1].verb == Verb::IndexAdd && calls[1].key.contains(":user:"), "{calls:?}");
}

/// Store rule 9: "cookie only after both", D01: whichever the store does not take, there is no session,
/// and nothing of it stays.
#[tokio::test]
async fn a_login_that_is_not_stored_whole_gives_no_cookie() {
    let rows: Vec<_> = [Verb::Create, Verb::IndexAdd]
        .into_iter()
        .flat_map(|verb| {
            [Mishap::Fail, Mishap::Hang, Mishap::Full, Mishap::Refuse, Mishap::LoseAnswer]
                .map(|mishap| (verb, mishap))
        })
        .map(|(verb, mishap)| async move {
            let cluster = Cluster::of(1).start().await;
            let (mut browsers, path) = back_from_sentinel(&cluster).await;
            let store = &cluster.stores[0];
            let part = if verb == Verb::Create { RECORD } else { ":user:" };
            store.plan_under(part, verb, mishap);
            let row = format!("{verb:?}, {mishap:?}");
            let page = browsers[0].navigate(&path).await;
            assert_eq!(page.status, 503, "{row}: {page:?}");
            assert!(page.header("retry-after").is_some(), "{row}: {page:?}");
            assert!(page.session_cookies().is_empty(), "{row}: {page:?}");
            assert!(page.body.contains(r#"href="/login"#), "{row}: {page:?}");
            let stored = store.keys().into_iter().filter(|key| key.contains(RECORD));
            for key in stored {
                let record = tower_lp_auth::SessionStore::load(store.beneath(), &key).await;
                assert_eq!(record.expect("memory answers"), None, "{row}: it stays");
            }
            // The next login goes through.
            assert_eq!(browsers[0].open("/me").await.status, 200, "{row}");
        })
        .collect();
    join_all(rows).await;
}

/// Store rule 9, B12, D12: a callback at four instances at once: one presents the code, the others answer
/// at once and touch no cookie.
#[tokio::test]
async fn a_code_is_presented_once_over_four_instances() {
    let cluster = Cluster::of(4).start().await;
    let (browsers, path) = back_from_sentinel(&cluster).await;
    cluster.sentinel().inject(Endpoint::Token, Fault::Late(Duration::from_secs(3)));
    let started = Instant::now();
    let callbacks = browsers.iter().map(|browser| {
        let (mut browser, path) = (browser.clone(), path.clone());
        async move {
            let page = browser.navigate(&path).await;
            (page, started.elapsed(), browser)
        }
    });
    let (mut sessions, mut elsewhere) = (Vec::new(), 0);
    for (page, waited, browser) in join_all(callbacks).await {
        if page.session_cookies().is_empty() {
            assert_elsewhere(&page);
            assert!(waited < millis(2000), "it has waited for the winner: {waited:?}");
            elsewhere += 1;
        } else {
            assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
            sessions.push(browser);
        }
    }
    assert_eq!((sessions.len(), elsewhere), (1, 3));
    assert_eq!(cluster.sentinel().counts().exchanges, 1);
    for app in &cluster.instances {
        assert_eq!(
            sessions[0].moved_to(app).fetch("/me").await.status,
            200,
            "every instance knows it"
        );
    }
}

/// Store rule 9: the claim lives 10 min, and outlasts the login: the same callback at another instance
/// presents nothing, with the session and without.
#[tokio::test]
async fn a_claim_lives_ten_minutes() {
    let cluster = Cluster::of(3).start().await;
    let (mut browsers, path) = back_from_sentinel(&cluster).await;
    let copies = browsers.clone();
    assert_eq!(browsers[0].navigate(&path).await.session_cookies().len(), 1);
    let lives = cluster.stores[0].lives();
    let ttls: Vec<_> =
        lives.iter().filter(|life| life.key.contains(CLAIM)).map(|life| life.ttl).collect();
    assert_eq!(ttls, [Duration::from_secs(600)]);
    cluster.advance(590);
    assert_elsewhere(&copies[1].clone().navigate(&path).await);
    assert_elsewhere(&browsers[0].moved_to(&cluster.instances[2]).navigate(&path).await);
    assert_eq!(cluster.sentinel().counts().exchanges, 1);
}

/// Store rule 9: the claim of a code that was certainly not presented, or is unspent, is given back:
/// the page's link works at another instance.
#[tokio::test]
async fn an_unspent_code_can_be_presented_by_another_instance() {
    let cluster = Cluster::of(2).start().await;
    let (mut browsers, path) = back_from_sentinel(&cluster).await;
    cluster.sentinel().inject(Endpoint::Token, Fault::throttled(7));
    let page = browsers[0].navigate(&path).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.set_cookies().is_empty(), "the login waits: {page:?}");
    let again = page.way_forward();
    cluster.advance(8);
    let page = browsers[1].navigate(&again).await;
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
    assert_eq!(cluster.sentinel().counts().exchanges, 2);
}

/// Store rule 9: a code that could not be sent, for want of a host.
#[tokio::test]
async fn a_code_that_was_not_sent_can_be_presented_by_another_instance() {
    let cluster = Cluster::of(2).start().await;
    let (mut browsers, path) = back_from_sentinel(&cluster).await;
    // The first instance remembers Sentinel's host; the second has to ask.
    cluster.sentinel().inject_always(Endpoint::Domain, Fault::status(503));
    let page = browsers[1].navigate(&path).await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.set_cookies().is_empty(), "the login waits: {page:?}");
    assert_eq!(cluster.sentinel().counts().exchanges, 0);
    let again = page.way_forward();
    let page = browsers[0].navigate(&again).await;
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
}

/// Store rule 9: beyond the limit of 32 exchanges nothing is claimed.
#[tokio::test]
async fn a_callback_beyond_the_limit_claims_nothing() {
    let cluster = Cluster::of(2).start().await;
    for _ in 0..32 {
        let (mut browsers, path) = back_from_sentinel(&cluster).await;
        cluster.sentinel().inject(Endpoint::Token, Fault::Hang);
        tokio::spawn(async move { browsers[0].navigate(&path).await });
    }
    until(|| cluster.sentinel().counts().exchanges == 32).await;
    let (mut browsers, path) = back_from_sentinel(&cluster).await;
    let page = browsers[0].navigate(&path).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("1")), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
    assert_eq!(cluster.stores[0].count_under(CLAIM, Verb::Create), 32);
    let page = browsers[1].navigate(&page.way_forward()).await;
    assert_eq!(page.session_cookies().len(), 1, "{page:?}");
}

/// Store rule 9, D01: a claim that cannot be asked for is no refusal: the login waits, and is finished
/// at any instance when the store is back, although the claim may stand.
#[tokio::test]
async fn a_login_waits_for_a_store_that_is_down() {
    for mishap in [Mishap::Fail, Mishap::Hang, Mishap::LoseAnswer, Mishap::Full] {
        let cluster = Cluster::of(2).start().await;
        let (mut browsers, path) = back_from_sentinel(&cluster).await;
        cluster.stores[0].plan_under(CLAIM, Verb::Create, mishap);
        let page = browsers[0].navigate(&path).await;
        page.assert_unavailable();
        assert_eq!(cluster.sentinel().counts().exchanges, 0, "{mishap:?}");
        // What may have been claimed is given back.
        until(|| cluster.stores[0].count_under(CLAIM, Verb::DeleteIf) > 0).await;
        let page = browsers[1].navigate(&page.way_forward()).await;
        assert_eq!(page.session_cookies().len(), 1, "{mishap:?}: {page:?}");
    }
}

/// Store rule 12: a MemoryStore without room takes no login, and lets no live session go; there is
/// room again when something is over.
#[tokio::test]
async fn a_full_store_takes_no_login_and_lets_no_session_go() {
    let seed = App::start().await; // for its clock, which the store shares
    let store = MemoryStore::with_clock(1, seed.clock.clone());
    let builder = AppBuilder::on(seed.sentinel.clone(), seed.clock.clone());
    let app = builder.layer(move |builder| builder.store(store)).start().await;
    let mut first = Browser::signed_in(&app).await;
    for _ in 0..3 {
        let mut other = Browser::new(&app);
        let path = other.reach_callback(&app, "/me").await;
        let page = other.navigate(&path).await;
        assert_eq!(page.status, 503, "{page:?}");
        assert!(page.session_cookies().is_empty(), "{page:?}");
        assert_eq!(first.fetch("/me").await.json()["user_id"], AGENT, "it was let go");
    }
    assert_eq!(first.post("/logout").await.status, 303);
    let mut last = Browser::new(&app);
    assert_eq!(last.open("/me").await.status, 200, "room again");
}
