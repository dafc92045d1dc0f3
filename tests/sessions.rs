//! All sessions of a user: listed and ended from elsewhere.

mod support;

use std::time::Duration;

use http::Method;
use support::{AGENT, App, Browser, FETCH, Fleet, Mishap, NAVIGATE, RiggedStore, Verb};
use tower_lp_auth::{AccountId, SessionsError};

async fn fleet() -> (Fleet, RiggedStore, AccountId) {
    let store = RiggedStore::new();
    let fleet = Fleet::start(2, store.clone(), |builder| builder.record_user_agent(true)).await;
    let account = fleet.first().sentinel.account_id().parse().expect("MockSentinel's account");
    (fleet, store, account)
}

/// D10, D11, G17: two devices, two instances; one ends alone, all end together.
#[tokio::test]
async fn a_users_sessions_are_listed_and_end_one_by_one_or_all_at_once() {
    let (fleet, _, account) = fleet().await;
    let sessions = fleet[1].auth.sessions();
    let mut laptop = Browser::signed_in(&fleet[0]).await;
    fleet.advance(1);
    let mut phone = Browser::signed_in(&fleet[0]).await.moved_to(&fleet[1]);
    let listed = sessions.of(&account, AGENT).await.unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    let apart = listed[0].created().duration_since(listed[1].created()).unwrap();
    assert_eq!(apart, Duration::from_secs(1), "the latest comes first");
    assert!(sessions.end(&account, AGENT, listed[1].id()).await.unwrap());
    laptop.fetch("/me").await.assert_unauthorized();
    laptop.moved_to(&fleet[1]).fetch("/me").await.assert_unauthorized();
    assert_eq!(phone.fetch("/me").await.status, 200);
    // In the same second as the sign-out of all.
    let mut tablet = Browser::signed_in(&fleet[0]).await;
    assert_eq!(sessions.end_all(&account, AGENT).await.unwrap(), 2);
    phone.fetch("/me").await.assert_unauthorized();
    tablet.fetch("/me").await.assert_unauthorized();
    assert!(sessions.of(&account, AGENT).await.unwrap().is_empty());
}

/// Somebody else's id ends nothing, nor does an invented one.
#[tokio::test]
async fn nobody_ends_another_users_session() {
    let (fleet, _, account) = fleet().await;
    let sessions = fleet[0].auth.sessions();
    let mut browser = Browser::signed_in(&fleet[0]).await;
    let listed = sessions.of(&account, AGENT).await.unwrap();
    for (user, id) in [("0000000001", listed[0].id()), (AGENT, "invented"), (AGENT, "")] {
        assert!(!sessions.end(&account, user, id).await.unwrap(), "{user} {id}");
    }
    let other: AccountId = "87654321".parse().unwrap();
    assert!(!sessions.end(&other, AGENT, listed[0].id()).await.unwrap());
    assert_eq!(browser.fetch("/me").await.status, 200);
}

/// What the list says of a session, and that it follows the session's use.
#[tokio::test]
async fn a_list_says_when_and_with_what_a_session_began_and_was_used() {
    let (fleet, store, account) = fleet().await;
    let sessions = fleet[0].auth.sessions();
    let mut browser = Browser::new(&fleet[0]);
    let callback = browser.reach_callback(&fleet[0], "/me").await;
    let name = format!("Mozilla/5.0 {}", "x".repeat(400));
    let headers = [&NAVIGATE[..], &[("user-agent", &*name)]].concat();
    let page = browser.send(Method::GET, &callback, &headers, None).await;
    assert_eq!(page.status, 303, "{page:?}");
    let listed = sessions.of(&account, AGENT).await.unwrap();
    assert_eq!(listed[0].user_agent(), Some(&name[..256]));
    assert_eq!(listed[0].created(), listed[0].last_seen());
    fleet.advance(3600);
    store.take_calls();
    assert_eq!(browser.send(Method::GET, "/me", &FETCH, None).await.status, 200);
    support::until(|| store.count(Verb::IndexAdd) == 1).await;
    let later = sessions.of(&account, AGENT).await.unwrap();
    assert_eq!(later[0].user_agent(), listed[0].user_agent());
    let used = later[0].last_seen().duration_since(later[0].created()).unwrap();
    assert_eq!(used.as_secs(), 3600);
}

/// A handler signs its user out everywhere else.
#[tokio::test]
async fn a_user_keeps_the_session_that_the_others_are_ended_from() {
    let store = RiggedStore::new();
    let own = store.clone();
    let app = App::builder()
        .layer(move |builder| builder.store(own))
        .routes(|router, auth| {
            let sessions = auth.sessions();
            let end_others = move |user: tower_lp_auth::LpUser| {
                let sessions = sessions.clone();
                async move { sessions.end_others(&user).await.unwrap().to_string() }
            };
            router.route("/end-others", axum::routing::get(end_others))
        })
        .start()
        .await;
    let mut here = Browser::signed_in(&app).await;
    let mut elsewhere = Browser::signed_in(&app).await;
    let mut colleague = Browser::new(&app);
    colleague.sign_in(&app, "3552833711").await;
    assert_eq!(here.fetch("/end-others").await.body, "1");
    assert_eq!(here.fetch("/me").await.status, 200);
    elsewhere.fetch("/me").await.assert_unauthorized();
    assert_eq!(colleague.fetch("/me").await.status, 200);
}

/// D01: a list that cannot be had is an error, never an empty list; nor does an end claim success.
#[tokio::test]
async fn a_store_that_cannot_say_is_no_empty_list() {
    let (fleet, store, account) = fleet().await;
    let sessions = fleet[0].auth.sessions();
    let mut browser = Browser::signed_in(&fleet[0]).await;
    let id = sessions.of(&account, AGENT).await.unwrap()[0].id().to_owned();
    for verb in [Verb::Index, Verb::Load] {
        store.plan(verb, Mishap::Fail);
        let error = sessions.of(&account, AGENT).await.unwrap_err();
        assert!(matches!(error, SessionsError::Store(_)), "{verb:?}: {error:?}");
    }
    store.plan(Verb::Delete, Mishap::Fail);
    assert!(sessions.end(&account, AGENT, &id).await.is_err());
    assert_eq!(browser.fetch("/me").await.status, 200);
    let app = App::start().await;
    let error = app.auth.sessions().of(&account, AGENT).await.unwrap_err();
    assert!(error.to_string().contains("`store`"), "{error}");
}
