//! `LpSessionTokenLayer` around a real HTTP client: its requests are signed in, and it keeps the newest
//! token.

mod support;

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use axum::{Router, extract::Request as AxumRequest, response::IntoResponse};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::TokioExecutor,
};
use support::{AGENT, App, Browser, TokenClient};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_lp_auth::{
    LpSessionToken, LpSessionTokenFuture, LpSessionTokenLayer, MemoryStore, SessionToken,
    test_kit::{Endpoint, Fault},
};

const HOUR: u64 = 3600;
const HEADER: &str = "lp-session-token";

type HttpClient = Client<HttpConnector, Empty<Bytes>>;
type SignedIn = LpSessionToken<HttpClient>;

const _: () = {
    const fn sends<T: Send>() {}
    const fn shares<T: Send + Sync>() {}
    shares::<LpSessionTokenLayer>();
    shares::<SignedIn>();
    sends::<LpSessionTokenFuture<<HttpClient as Service<Request<Empty<Bytes>>>>::Future>>();
};

fn http_client(http2: bool) -> HttpClient {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

/// A signed-in browser, a layer with a token of the same session, and a client in it.
async fn signed_in(app: &App) -> (Browser, LpSessionTokenLayer, SignedIn) {
    let browser = Browser::signed_in(app).await;
    let token = TokenClient::of(app, &browser).await.token;
    let layer = LpSessionTokenLayer::new(SessionToken::new(token));
    let layer = layer.origin(&app.url).expect("an origin");
    let client = layer.layer(http_client(false));
    (browser, layer, client)
}

fn request(method: Method, url: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(url).body(Empty::new()).expect("a valid request")
}

fn get(url: &str) -> Request<Empty<Bytes>> {
    request(Method::GET, url)
}

async fn send<S>(client: &S, request: Request<Empty<Bytes>>) -> (Response<()>, String)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<Incoming>, Error = Error> + Clone,
{
    let response = client.clone().oneshot(request).await.expect("an answer");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    (Response::from_parts(head, ()), String::from_utf8_lossy(&body).into_owned())
}

fn hourly() -> support::AppBuilder {
    App::builder().sentinel(|sentinel| sentinel.access_token_lifetime(Duration::from_secs(HOUR)))
}

/// H05, F01: over HTTP/1.1 and HTTP/2, through a refresh and the activity after it; whatever is renewed
/// is in the response too, and no `Debug` text shows it.
#[tokio::test]
async fn requests_are_signed_in_and_the_renewed_token_is_kept() {
    let app = hourly().start().await;
    let (_, layer, one) = signed_in(&app).await;
    let two = layer.layer(http_client(true));
    for client in [&one, &two] {
        let (response, body) = send(client, get(&app.url("/me"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{body}");
        assert!(body.contains(AGENT), "{body}");
    }
    let mut known = vec![layer.token()];
    for (client, seconds) in [(&one, HOUR - 30), (&two, 6 * 60), (&one, HOUR)] {
        app.advance(seconds);
        let (response, body) = send(client, get(&app.url("/me"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{body}");
        let token = layer.token();
        assert!(!known.contains(&token), "nothing was renewed after {seconds} s");
        let header = &response.headers()[HEADER];
        assert_eq!(header.to_str().unwrap(), token.expose_secret());
        let debug = format!("{response:?} {client:?} {layer:?}");
        assert!(!debug.contains(token.expose_secret()), "{debug}");
        known.push(token);
    }
    assert_eq!(app.sentinel.counts().refreshes, 2);
}

/// H05, F01: whichever of a thousand brings the renewed token, all go on, and the newest stays.
#[tokio::test]
async fn a_thousand_calls_over_a_refresh_end_with_the_newest_token() {
    let app = hourly().start().await;
    let (mut browser, layer, _) = signed_in(&app).await;
    let client = layer.layer(http_client(true));
    assert_eq!(send(&client, get(&app.url("/me"))).await.0.status(), StatusCode::OK);
    for round in 1..=2 {
        let before = layer.token();
        app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(200)));
        app.advance(HOUR - 30);
        let calls = (0..1000).map(|_| send(&client, get(&app.url("/token"))));
        let pages = join_all(calls).await;
        let access = &pages[0].1;
        assert!(app.sentinel.is_live_access_token(access), "{access}");
        for (response, body) in &pages {
            assert_eq!((response.status(), body), (StatusCode::OK, access));
        }
        assert_ne!(layer.token(), before);
        let (response, body) = send(&client, get(&app.url("/token"))).await;
        assert_eq!(&body, access);
        assert!(!response.headers().contains_key(HEADER), "that was not the newest");
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (round, 0));
    }
    assert_eq!(browser.fetch("/me").await.status, 200, "the session's browser goes on too");
}

/// Design "Bearer": with a store there is nothing to renew.
#[tokio::test]
async fn with_a_store_the_token_stays() {
    let app = hourly().layer(|it| it.store(MemoryStore::default())).start().await;
    let (_, layer, client) = signed_in(&app).await;
    let token = layer.token();
    app.advance(HOUR - 30);
    let (response, body) = send(&client, get(&app.url("/me"))).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    assert_eq!((layer.token(), app.sentinel.counts().refreshes), (token, 1));
}

/// G01, H06: a logout through the client ends the session; with another token, all services go on.
#[tokio::test]
async fn after_a_logout_another_token_lets_all_clones_go_on() {
    let app = App::start().await;
    let (mut browser, layer, client) = signed_in(&app).await;
    let clone = client.clone();
    let (response, _) = send(&client, request(Method::POST, &app.url("/logout"))).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    for client in [&client, &clone] {
        let (response, body) = send(client, get(&app.url("/me"))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{body}");
        assert!(!response.headers().contains_key("set-cookie"), "{response:?}");
    }
    browser.fetch("/me").await.assert_unauthorized();
    let again = TokenClient::of(&app, &Browser::signed_in(&app).await).await;
    layer.set_token(SessionToken::new(again.token));
    for client in [&client, &clone, &layer.layer(http_client(true))] {
        let (response, body) = send(client, get(&app.url("/me"))).await;
        assert_eq!(response.status(), StatusCode::OK, "{body}");
    }
}

/// A server that answers with the `Authorization` header it got, and with a token of its own.
async fn stranger() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
    let echo = async |request: AxumRequest| {
        let seen = request.headers().get(AUTHORIZATION).cloned();
        let seen = seen.unwrap_or(HeaderValue::from_static("nothing"));
        ([(HEADER, "the-strangers")], seen.to_str().expect("visible ASCII").to_owned())
            .into_response()
    };
    let router = Router::new().fallback(echo);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// H05: a token bound to one origin is not shown to another, nor taken from there.
#[tokio::test]
async fn a_stranger_gets_no_token_and_cannot_change_it() {
    let app = App::start().await;
    let (_, layer, client) = signed_in(&app).await;
    let token = layer.token();
    let stranger = stranger().await;
    let (response, seen) = send(&client, get(&stranger)).await;
    assert_eq!(seen, "nothing");
    assert_eq!(response.headers()[HEADER], "the-strangers", "responses are left as they are");
    assert_eq!(layer.token(), token);
    let (response, _) = send(&client, get(&app.url("/me"))).await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// H01: what the caller has set stays alone in its header, and its answer is somebody else's.
#[tokio::test]
async fn a_request_with_a_credential_of_its_own_is_left_alone() {
    let server = stranger().await;
    let layer = LpSessionTokenLayer::new(SessionToken::new("ours"));
    let client = layer.layer(http_client(false));
    let mut own = get(&server);
    own.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Basic YTpi"));
    assert_eq!(send(&client, own).await.1, "Basic YTpi");
    assert_eq!(layer.token(), SessionToken::new("ours"));
    // Without: the server is the one that the token is for.
    assert_eq!(send(&client, get(&server)).await.1, "Bearer ours");
    assert_eq!(layer.token(), SessionToken::new("the-strangers"));
}

/// O01: the permit that `poll_ready` has reserved is the call's, and given back with it.
#[tokio::test]
async fn readiness_is_the_inner_services() {
    let app = App::start().await;
    let (_, layer, _) = signed_in(&app).await;
    let mut one = layer.layer(ConcurrencyLimit::new(http_client(false), 1));
    let mut two = one.clone();
    let response = one.ready().await.expect("a client").call(get(&app.url("/sleep")));
    let is_ready = poll_fn(|cx| Poll::Ready(two.poll_ready(cx).is_ready())).await;
    assert!(!is_ready, "one call at a time");
    assert_eq!(response.await.expect("an answer").status(), StatusCode::OK);
    let response = two.ready().await.expect("a client").call(get(&app.url("/me")));
    assert_eq!(response.await.expect("an answer").status(), StatusCode::OK);
}

/// O03: an inner service's error is the caller's.
#[tokio::test]
async fn an_error_of_the_client_passes() {
    let layer = LpSessionTokenLayer::new(SessionToken::new("ours"));
    let nobody = format!("http://127.0.0.1:{}/", support::free_port());
    let error = layer.layer(http_client(false)).oneshot(get(&nobody)).await;
    assert!(error.expect_err("nobody listens").is_connect());
}

/// O02: a call that is dropped takes no token in, and the next one brings it again.
#[tokio::test]
async fn a_dropped_call_loses_no_token() {
    let app = hourly().start().await;
    let (_, layer, client) = signed_in(&app).await;
    let before = layer.token();
    app.sentinel.inject(Endpoint::Refresh, Fault::Delay(Duration::from_millis(1500)));
    app.advance(HOUR - 30);
    let mut call = Box::pin(client.clone().oneshot(get(&app.url("/me"))));
    // Sent: the refresh has begun.
    while app.sentinel.counts().refreshes == 0 {
        let pending = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
        assert!(pending, "it was over too soon");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(call);
    assert_eq!(layer.token(), before);
    let (response, body) = send(&client, get(&app.url("/me"))).await;
    assert_eq!(response.status(), StatusCode::OK, "{body}");
    assert_ne!(layer.token(), before);
    assert_eq!(app.sentinel.counts().refreshes, 1);
}
