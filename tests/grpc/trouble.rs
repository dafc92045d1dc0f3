//! LivePerson or the store does not answer, and clients are in a hurry.

use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;
use tonic::{Code, Request};
use tower_lp_auth::test_kit::{Endpoint, Fault};

use super::{
    HOUR,
    echo::{Echoes, Scene, words},
    support::{AGENT, App, AppBuilder, Browser, RiggedStore, until},
};

/// Access tokens live for an hour.
fn hourly() -> AppBuilder {
    App::builder().sentinel(|it| it.access_token_lifetime(Duration::from_secs(HOUR)))
}

/// GRPC14: whether somebody is signed in cannot be said; when to ask again is said twice.
#[track_caller]
fn assert_unavailable(status: &tonic::Status) {
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let fields = status.metadata().clone().into_headers();
    let number =
        |name: &str| fields[name].to_str().expect("text").parse::<u64>().expect("a number");
    let seconds = number("retry-after");
    assert!((1..=60).contains(&seconds), "{status:?}");
    assert_eq!(number("grpc-retry-pushback-ms"), seconds * 1000, "{status:?}");
    assert!(!fields.contains_key("set-cookie"), "{status:?}");
}

/// I02: Sentinel is down and the access token has ended: 14, nobody is signed out, and it is over
/// with the outage.
#[tokio::test]
async fn while_sentinel_is_down_calls_are_unavailable_and_the_session_stays() {
    let scene = Scene::of(hourly(), Echoes::new()).await;
    let (_, mut client) = scene.agent().await;
    scene.app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    scene.app.advance(HOUR);
    assert_unavailable(&client.say(words("x")).await.expect_err("a refusal"));
    assert_eq!(scene.echoes.calls(), 0);
    scene.app.sentinel.clear_faults();
    scene.app.advance(60);
    let heard = client.say(words("x")).await.expect("an answer").into_inner();
    assert_eq!(heard.user_id, AGENT);
}

/// D01: the same of a store.
#[tokio::test]
async fn while_the_store_is_down_calls_are_unavailable_and_the_session_stays() {
    let store = RiggedStore::new();
    let own = store.clone();
    let scene = Scene::of(App::builder().layer(move |it| it.store(own)), Echoes::new()).await;
    let (_, mut client) = scene.agent().await;
    assert_eq!(client.say(words("x")).await.expect("an answer").into_inner().user_id, AGENT);
    store.set_down(true);
    assert_unavailable(&client.say(words("x")).await.expect_err("a refusal"));
    assert_eq!(scene.echoes.calls(), 1);
    // Nothing but a cookie of somebody's own making is asked of the store.
    let refused = scene.stranger().await.say(words("x")).await.expect_err("a refusal");
    assert_eq!(refused.code(), Code::Unauthenticated);
    store.set_down(false);
    assert_eq!(client.say(words("x")).await.expect("an answer").into_inner().user_id, AGENT);
}

/// I02: the same on HTTP, as grpc-web's clients see it.
#[tokio::test]
async fn a_web_client_is_told_the_same_in_the_head() {
    let app = hourly().start().await;
    let mut browser = Browser::signed_in(&app).await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    app.advance(HOUR);
    let headers =
        [("content-type", "application/grpc-web+proto"), ("sec-fetch-site", "same-origin")];
    let page = browser.send(Method::POST, "/echo.v1.Echo/Say", &headers, None).await;
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.header("grpc-status"), Some("14"), "{page:?}");
    assert!(page.header("grpc-retry-pushback-ms").is_some(), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// How long Sentinel takes; a client gives up much earlier.
const SLOW: Duration = Duration::from_secs(4);

/// F28: a client whose deadline is shorter than a refresh is told so in time; the refresh goes on,
/// once, and the next call has its tokens.
#[tokio::test]
async fn a_deadline_is_kept_and_the_refresh_goes_on() {
    let scene = Scene::of(hourly(), Echoes::new()).await;
    let (_, mut client) = scene.agent().await;
    scene.app.sentinel.inject(Endpoint::Refresh, Fault::Delay(SLOW));
    scene.app.advance(HOUR);
    let begun = Instant::now();
    let mut hurried = Request::new(words("x"));
    hurried.set_timeout(Duration::from_millis(200));
    let status = client.say(hurried).await.expect_err("a time-out");
    let late = [Code::DeadlineExceeded, Code::Cancelled, Code::Unavailable];
    assert!(late.contains(&status.code()), "{status:?}");
    assert!(begun.elapsed() < SLOW / 2, "after {:?}", begun.elapsed());
    assert_eq!(scene.echoes.calls(), 0);
    until(|| scene.app.sentinel.counts().refreshes == 1).await;
    let heard = client.say(words("x")).await.expect("an answer").into_inner();
    assert_eq!((&*heard.user_id, scene.app.sentinel.counts().refreshes), (AGENT, 1));
}
