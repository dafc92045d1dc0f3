//! What callers are told who do not get through.

use futures_util::stream;
use http::{Method, StatusCode};
use tonic::{Code, Status};

use super::{
    echo::{Echoes, Scene, client_of, proto::Repetition, words},
    support::{App, Browser, Page},
    wire::{self, Outcome},
};

/// A refusal as a client sees it: no cookie, no place to go, nothing that was sent.
#[track_caller]
fn assert_refused(status: &Status, code: Code) {
    assert_eq!(status.code(), code, "{status:?}");
    assert!(!status.message().is_empty(), "{status:?}");
    let fields = status.metadata().clone().into_headers();
    for name in ["set-cookie", "location", "www-authenticate"] {
        assert!(!fields.contains_key(name), "{status:?}");
    }
    assert_eq!(fields["cache-control"], "no-store", "{status:?}");
}

/// I01, I04: whichever way it is called, a tonic client is told 16, and the service is not reached.
#[tokio::test]
async fn whoever_is_not_signed_in_is_unauthenticated_in_every_way_of_calling() {
    let scene = Scene::start().await;
    let mut client = scene.stranger().await;
    let repetition = Repetition { text: "x".into(), times: 1 };
    let endless = stream::repeat_with(|| words("x"));
    for refused in [
        client.say(words("x")).await.expect_err("a refusal"),
        client.collect(endless.clone()).await.expect_err("a refusal"),
        client.repeat(repetition).await.expect_err("a refusal"),
        client.chat(endless).await.expect_err("a refusal"),
    ] {
        assert_refused(&refused, Code::Unauthenticated);
    }
    assert_eq!(scene.echoes.calls(), 0);
}

/// I01: with every media type of gRPC, and whatever else a browser would say of a page.
#[tokio::test]
async fn every_media_type_is_answered_in_kind() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for (media_type, expected) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc+json", "application/grpc"),
        ("application/grpc;charset=utf-8", "application/grpc"),
        ("Application/gRPC", "application/grpc"),
        ("application/grpc-web", "application/grpc-web+proto"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
        ("application/grpc-web-text", "application/grpc-web-text+proto"),
        ("application/grpc-web-text+proto", "application/grpc-web-text+proto"),
    ] {
        for method in [Method::POST, Method::GET, Method::PUT] {
            let headers = [
                ("content-type", media_type),
                ("accept", "text/html"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ];
            let page = browser.send(method.clone(), "/echo.v1.Echo/Say", &headers, None).await;
            assert_grpc(&page, "16", expected);
        }
    }
    assert_eq!(app.calls(), 0);
}

/// GRPC16 and its kin: HTTP 200, all in the head, nothing to follow.
#[track_caller]
fn assert_grpc(page: &Page, status: &str, media_type: &str) {
    assert_eq!(page.status, StatusCode::OK, "{page:?}");
    assert_eq!(page.header("grpc-status"), Some(status), "{page:?}");
    assert_eq!(page.header("content-type"), Some(media_type), "{page:?}");
    assert!(page.header("grpc-message").is_some_and(|it| !it.is_empty()), "{page:?}");
    assert!(page.body.is_empty() && page.location().is_none(), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
}

/// I04: nothing of what a caller has sent comes back, and no secret goes out.
#[tokio::test]
async fn a_refusal_tells_nothing_of_what_was_sent() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    let headers = [
        ("content-type", "application/grpc-web"),
        ("cookie", "canary-cookie=1"),
        ("authorization", "Bearer canary-token"),
        ("x-canary", "canary-field"),
    ];
    let page = browser.send(Method::POST, "/canary.v1.Path/Say?canary-query", &headers, None).await;
    assert_grpc(&page, "16", "application/grpc-web+proto");
    for (name, value) in &page.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.to_lowercase().contains("canary"), "{name}: {value}");
        assert!(!value.contains(app.sentinel.client_secret()), "{name}: {value}");
    }
}

/// O11, I01: on the wire a refusal is one HEADERS frame with END_STREAM; an answer is not.
#[tokio::test]
async fn a_refusal_ends_the_stream_with_its_head() {
    let scene = Scene::start().await;
    let say = "/echo.v1.Echo/Say";
    assert_eq!(wire::call(&scene.server.url, say, &[]).await, Outcome::TrailersOnly);
    assert_eq!(wire::call(&scene.app.url, say, &[]).await, Outcome::TrailersOnly);
    assert_eq!(scene.echoes.calls(), 0);
    let (browser, _) = scene.agent().await;
    let cookies = browser.jar.header().expect("a session");
    let fields = [("cookie", &*cookies)];
    assert_eq!(wire::call(&scene.server.url, say, &fields).await, Outcome::Answer);
    assert_eq!(scene.echoes.calls(), 1);
    // `require_*` further in: the layer's own answer again.
    let agent_is_no_admin = Echoes::new();
    let app = guarded(&agent_is_no_admin).await;
    let browser = Browser::signed_in(&app).await;
    let cookies = browser.jar.header().expect("a session");
    let outcome = wire::call(&app.url, say, &[("cookie", &*cookies)]).await;
    assert_eq!((outcome, agent_is_no_admin.calls()), (Outcome::TrailersOnly, 0));
}

/// The service behind `require_admin`.
async fn guarded(echoes: &Echoes) -> App {
    let service = echoes.clone();
    let app = App::builder()
        .routes(move |router, auth| router.merge(service.router().layer(auth.require_admin())));
    app.start().await
}

/// I03: who is signed in but not allowed is told 7.
#[tokio::test]
async fn whoever_lacks_the_role_has_no_permission() {
    let echoes = Echoes::new();
    let app = guarded(&echoes).await;
    let mut browser = Browser::signed_in(&app).await;
    let mut client = client_of(&app.url, &browser).await;
    let refused = client.say(words("x")).await.expect_err("a refusal");
    assert_refused(&refused, Code::PermissionDenied);
    let users = app.sentinel.users();
    let admin = users.iter().find(|user| user.is_admin()).expect("an administrator");
    browser.jar.clear();
    browser.sign_in(&app, admin.id()).await;
    let mut client = client_of(&app.url, &browser).await;
    let heard = client.say(words("x")).await.expect("an answer").into_inner();
    assert_eq!((&*heard.user_id, echoes.calls()), (admin.id(), 1));
}

/// G02: a page of another site makes no call with the user's cookie.
#[tokio::test]
async fn another_sites_page_makes_no_call() {
    let scene = Scene::start().await;
    let (mut browser, _) = scene.agent().await;
    for media_type in ["application/grpc-web-text", "application/grpc"] {
        let headers = [("content-type", media_type), ("sec-fetch-site", "cross-site")];
        let page = browser.send(Method::POST, "/echo.v1.Echo/Say", &headers, None).await;
        assert_eq!(page.header("grpc-status"), Some("7"), "{page:?}");
    }
}
