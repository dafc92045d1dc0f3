//! Sessions in a store: what a user and an operator see of it.

mod support;

use std::time::Duration;

use support::{AGENT, App, Browser, Fleet, Mishap, RiggedStore, Verb, until};
use tower_lp_auth::{MemoryStore, test_kit::Endpoint};

async fn app() -> (App, RiggedStore) {
    let store = RiggedStore::new();
    let own = store.clone();
    (App::builder().layer(move |builder| builder.store(own)).start().await, store)
}

/// The whole way with each kind of store: login, requests, a refresh, a logout.
#[tokio::test]
async fn a_user_signs_in_is_refreshed_and_signs_out() {
    let memory =
        App::builder().layer(|builder| builder.store(MemoryStore::default())).start().await;
    let (rigged, _) = app().await;
    for (what, app) in [("in the process", memory), ("outside", rigged)] {
        let mut browser = Browser::signed_in(&app).await;
        let page = browser.fetch("/me").await;
        assert_eq!(page.json()["user_id"], AGENT, "{what}: {page:?}");
        let before = page.access_token();
        app.advance(8 * 3600 - 30); // the last minute of the access token
        let page = browser.fetch("/me").await;
        assert_eq!(page.status, 200, "{what}: {page:?}");
        assert_ne!(page.access_token(), before, "{what}");
        assert!(page.session_cookies().is_empty(), "{what}: the cookie does not change");
        let old = browser.clone();
        let page = browser.post("/logout").await;
        assert_eq!(page.status, 303, "{what}: {page:?}");
        old.clone().fetch("/me").await.assert_unauthorized();
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (1, 0), "{what}");
    }
}

/// Store rules 2 and 10: a store that answers at once is waited for by nobody, and serves nothing
/// that another instance has replaced or ended; nor is it any way around the guards.
#[tokio::test]
async fn what_is_served_at_once_is_no_older_than_the_store() {
    let fleet = Fleet::start(2, MemoryStore::default(), |builder| builder).await;
    let mut here = Browser::signed_in(fleet.first()).await;
    let mut there = here.moved_to(&fleet[1]);
    let before = there.fetch("/me").await.access_token();
    for _ in 0..3 {
        assert_eq!(here.fetch("/me").await.access_token(), before);
        assert_eq!(there.fetch("/me").await.access_token(), before);
    }
    let cross = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")];
    let page = there.send(http::Method::POST, "/me", &cross, Some(String::new())).await;
    assert_eq!(page.status, 403, "{page:?}");
    fleet.advance(8 * 3600 - 30); // the last minute of the access token
    let after = here.fetch("/me").await.access_token();
    assert_ne!(after, before);
    for _ in 0..3 {
        assert_eq!(there.fetch("/me").await.access_token(), after);
    }
    let mut left = here.clone();
    assert_eq!(here.post("/logout").await.status, 303);
    there.fetch("/me").await.assert_unauthorized();
    left.fetch("/me").await.assert_unauthorized();
    assert_eq!(fleet.first().sentinel.counts().refreshes, 1);
}

/// D17: one read for a request, nothing else while nothing changes.
#[tokio::test]
async fn a_request_reads_once_and_writes_only_what_changes() {
    let (app, store) = app().await;
    let mut browser = Browser::signed_in(&app).await;
    store.take_calls();
    for _ in 0..3 {
        assert_eq!(browser.fetch("/me").await.status, 200);
    }
    assert_eq!(store.take_calls(), [Verb::Load; 3]);
    app.advance(301); // activity is noted
    assert_eq!(browser.fetch("/me").await.status, 200);
    until(|| store.count(Verb::IndexAdd) == 1).await;
    assert_eq!(store.take_calls(), [Verb::Load, Verb::Update, Verb::IndexAdd]);
    assert_eq!(browser.fetch("/public").await.status, 200);
    assert_eq!(store.take_calls(), []);
}

/// F02, store rules 2 and 8: whichever instance is asked, the token is presented once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_refresh_a_session_once() {
    let fleet = Fleet::start(4, RiggedStore::new(), |builder| builder).await;
    let browser = Browser::signed_in(fleet.first()).await;
    fleet.first().sentinel.inject(
        Endpoint::Refresh,
        tower_lp_auth::test_kit::Fault::Late(Duration::from_millis(300)),
    );
    fleet.advance(8 * 3600 - 30);
    let mut tasks = Vec::new();
    for at in 0..40 {
        let mut browser = browser.moved_to(&fleet[at % 4]);
        tasks.push(tokio::spawn(async move { browser.fetch("/token").await }));
    }
    let mut tokens = Vec::new();
    for task in tasks {
        let page = task.await.unwrap();
        assert_eq!(page.status, 200, "{page:?}");
        tokens.push(page.body);
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "one new token for all");
    let counts = fleet.first().sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// Store rule 10, D01: where the store cannot delete, nothing claims that it has.
#[tokio::test]
async fn a_logout_that_cannot_be_stored_says_so_and_is_done_later() {
    let (app, store) = app().await;
    let mut browser = Browser::signed_in(&app).await;
    store.set_down(true);
    let page = browser.post("/logout").await;
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
    store.set_down(false);
    browser.fetch("/me").await.assert_unauthorized();
    until(|| store.count(Verb::DeleteIf) > 0).await;
    let page = browser.post("/logout").await;
    assert_eq!(page.status, 303, "{page:?}");
    assert_eq!(store.only(":session:").await.1, None);
}

/// D01: a store that cannot say is no absence.
#[tokio::test]
async fn a_store_that_cannot_say_signs_nobody_out() {
    let (app, store) = app().await;
    let mut browser = Browser::signed_in(&app).await;
    for mishap in [Mishap::Fail, Mishap::Hang, Mishap::Refuse, Mishap::LoseAnswer] {
        store.plan(Verb::Load, mishap);
        let calls = app.calls();
        browser.fetch("/me").await.assert_unavailable();
        assert_eq!(app.calls(), calls, "{mishap:?}: the handler was called");
        assert_eq!(browser.fetch("/me").await.status, 200, "after {mishap:?}");
    }
}

/// Store rule 10: a browser that hangs up in the middle of its logout has logged out all the same.
#[tokio::test]
async fn a_logout_goes_on_when_the_browser_hangs_up() {
    let (app, store) = app().await;
    let browser = Browser::signed_in(&app).await;
    for verb in [Verb::Load, Verb::DeleteIf] {
        store.plan(verb, Mishap::Delay(Duration::from_millis(200)));
    }
    let request = browser.request(http::Method::POST, "/logout", &support::FORM, None);
    let logout = tokio::spawn(request.send());
    until(|| store.count(Verb::Load) > 1).await;
    logout.abort();
    until(|| store.count(Verb::IndexRemove) > 0).await;
    assert_eq!(store.only(":session:").await.1, None);
}
