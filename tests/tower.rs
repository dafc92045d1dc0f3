//! The layer as a good neighbour in a tower stack: readiness, errors, bodies, clones, runtimes.

mod support;

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, Ready, ready},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, body::Body, routing::post};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{App, Browser, Direct, FETCH, NAVIGATE, raw};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit, service_fn};
use tower_lp_auth::{
    Builder, Health, LpAuth, LpAuthLayer, LpUser, Rejection, Require, RequireFuture, RequireLayer,
    ResponseBody, ResponseFuture, SessionKey, SessionUnavailable,
    test_kit::{self, Endpoint, Fault, ManualClock},
};

const _: () = {
    const fn sends<T: Send>() {}
    const fn shares<T: Send + Sync>() {}
    type Inner = tower::util::BoxCloneService<Request<Body>, Response<Body>, Infallible>;
    type Called = <Inner as Service<Request<Body>>>::Future;
    sends::<ResponseFuture<Inner, Body, Called>>();
    sends::<RequireFuture<Called, Response<Body>>>();
    sends::<ResponseBody<Body>>();
    sends::<LpAuth<Inner>>();
    shares::<LpAuth<Router>>();
    shares::<LpAuthLayer>();
    shares::<RequireLayer>();
    shares::<Require<Router>>();
    shares::<ResponseBody<Full<Bytes>>>();
    shares::<Builder>();
    shares::<LpUser>();
    shares::<SessionUnavailable>();
    shares::<Rejection>();
    shares::<Health>();
};

/// Answers within this, or never.
const SOON: Duration = Duration::from_secs(5);

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("an end within 5 s")
}

/// A service that panics when an instance is called that was not polled ready.
#[derive(Debug, Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<Body>> for Strict {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been ready");
        let user = request.extensions().get::<LpUser>().map(|user| user.id().to_owned());
        ready(Ok(Response::new(user.unwrap_or_default().into())))
    }
}

/// A session whose access token has just expired.
async fn expired() -> Direct {
    let mut app = Direct::start().await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    app.sign_in().await;
    app.advance(3601);
    app
}

/// O01.
#[tokio::test]
async fn the_instance_that_was_ready_is_the_one_that_is_called() {
    let app = expired().await;
    let mut service = app.auth.layer(Strict::default());
    for what in ["waits for its refresh", "is fresh", "is fresh again"] {
        let request = app.request(Method::GET, "/me", &FETCH);
        let response = soon(service.ready().await.unwrap().call(request)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
    }
    let nobody = Request::builder().uri("/public").body(Body::empty()).unwrap();
    let response = soon(service.ready().await.unwrap().call(nobody)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// O01: whatever we answer ourselves gives its permit back, before the answer is even polled.
#[tokio::test]
async fn an_answer_of_ours_holds_no_permit() {
    let app = expired().await;
    app.sentinel.inject_always(Endpoint::Refresh, Fault::status(503));
    let limited = ConcurrencyLimit::new(Strict::default(), 1);
    let mut one = app.auth.layer(limited);
    let mut two = one.clone();
    let bare = |path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    };
    for (what, request, status) in [
        ("an API's 401", bare("/me", &FETCH), 401),
        ("a login", bare("/me", &NAVIGATE), 303),
        ("the login path", bare("/login", &NAVIGATE), 303),
        ("the callback", bare("/callback", &NAVIGATE), 400),
        ("the logout", bare("/logout", &NAVIGATE), 200),
        ("a credential", bare("/me", &[("authorization", "Bearer x")]), 401),
        (
            "another site's",
            app.request(Method::POST, "/me", &[("sec-fetch-site", "cross-site")]),
            403,
        ),
    ] {
        let answer = soon(one.ready()).await.unwrap().call(request);
        soon(two.ready()).await.unwrap();
        two = one.clone(); // gives its permit back
        assert_eq!(soon(answer).await.unwrap().status().as_u16(), status, "{what}");
    }
    // A request that waits keeps its place; when it ends in an answer of ours, the place is free.
    let request = app.request(Method::GET, "/me", &FETCH);
    let waiting = soon(one.ready()).await.unwrap().call(request);
    assert!(two.ready().now_or_pending().is_none(), "the place is kept while it waits");
    assert_eq!(soon(waiting).await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    soon(two.ready()).await.unwrap();
}

/// One poll.
trait NowOrPending: Future + Sized {
    fn now_or_pending(self) -> Option<Self::Output> {
        match pin!(self).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
}

impl<F: Future> NowOrPending for F {}

/// O01.
#[tokio::test]
async fn it_stands_around_a_buffer_and_beneath_one() {
    let app = expired().await;
    let request = || app.request(Method::GET, "/me", &FETCH);
    let around = app.auth.layer(Buffer::new(ConcurrencyLimit::new(Strict::default(), 1), 1));
    let beneath = Buffer::new(app.auth.layer(ConcurrencyLimit::new(Strict::default(), 1)), 1);
    for _ in 0..5 {
        assert_eq!(soon(around.clone().oneshot(request())).await.unwrap().status(), StatusCode::OK);
        assert_eq!(
            soon(beneath.clone().oneshot(request())).await.unwrap().status(),
            StatusCode::OK
        );
        let nobody = Request::builder().uri("/me").body(Body::empty()).unwrap();
        let response = soon(beneath.clone().oneshot(nobody)).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    }
}

/// O02: a future that is dropped after any number of polls leaks no permit and loses no token.
#[tokio::test]
async fn a_future_dropped_at_any_poll_leaves_everything_usable() {
    for polls in [0, 1, 2, 3, 5, 8, 13, 21, 34, 55] {
        let app = expired().await;
        let mut service = app.auth.layer(ConcurrencyLimit::new(Strict::default(), 1));
        let request = || app.request(Method::GET, "/me", &FETCH);
        let mut dropped = Box::pin(soon(service.ready()).await.unwrap().call(request()));
        for _ in 0..polls {
            let poll = dropped.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if poll.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(dropped);
        let response = soon(soon(service.ready()).await.unwrap().call(request())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "after {polls} polls");
        let counts = app.sentinel.counts();
        assert_eq!((counts.refreshes, counts.reuses), (1, 0), "after {polls} polls");
    }
}

/// O03.
#[tokio::test]
async fn errors_of_the_inner_service_come_out_once_and_as_they_are() {
    #[derive(Debug, Clone, PartialEq, thiserror::Error)]
    #[error("{0}")]
    struct Broken(&'static str);
    #[derive(Clone)]
    struct Faulty {
        refuses: Arc<AtomicBool>,
    }
    impl Service<Request<Body>> for Faulty {
        type Response = Response<Empty<Bytes>>;
        type Error = Broken;
        type Future = Ready<Result<Self::Response, Broken>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
            match self.refuses.load(Ordering::SeqCst) {
                true => Poll::Ready(Err(Broken("not ready"))),
                false => Poll::Ready(Ok(())),
            }
        }
        fn call(&mut self, _: Request<Body>) -> Self::Future {
            ready(Err(Broken("call")))
        }
    }
    let app = expired().await;
    let refuses = Arc::new(AtomicBool::new(true));
    let mut service = app.auth.layer(Faulty { refuses: Arc::clone(&refuses) });
    assert_eq!(service.ready().await.err(), Some(Broken("not ready")));
    refuses.store(false, Ordering::SeqCst);
    for what in ["after a refresh", "at once"] {
        let request = app.request(Method::GET, "/me", &FETCH);
        let failed = soon(service.ready().await.unwrap().call(request)).await;
        assert_eq!(failed.err(), Some(Broken("call")), "{what}");
    }
    let nobody = Request::builder().uri("/me").body(Body::empty()).unwrap();
    let response = service.ready().await.unwrap().call(nobody).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(app.call(app.request(Method::GET, "/me", &FETCH)).await.status, StatusCode::OK);
}

/// O04: an outer layer cannot make a user, by accident or otherwise.
#[tokio::test]
async fn a_user_that_another_layer_has_put_in_counts_for_nothing() {
    let mut app = Direct::start().await;
    let forged = |path: &str| {
        let mut request = app.request(Method::GET, path, &FETCH);
        request.extensions_mut().insert(test_kit::user("4711").admin().build());
        request
    };
    let (me, public, optional) = (forged("/me"), forged("/public"), forged("/"));
    app.call(me).await.assert_unauthorized();
    assert_eq!(app.call(public).await.json()["user"], serde_json::Value::Null);
    assert_eq!(app.call(optional).await.body, "hello stranger");
    app.sign_in().await;
    let mut request = app.request(Method::GET, "/me", &FETCH);
    request.extensions_mut().insert(test_kit::user("4711").build());
    assert_eq!(app.call(request).await.json()["user_id"], support::AGENT);
}

/// O07.
#[tokio::test]
async fn a_panic_of_the_inner_service_poisons_nothing() {
    let app = expired().await;
    let panicking = service_fn(|_: Request<Body>| async {
        if true {
            panic!("the inner service's own");
        }
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    for _ in 0..3 {
        let request = app.request(Method::GET, "/me", &FETCH);
        let call = tokio::spawn(app.auth.layer(panicking).oneshot(request));
        assert!(call.await.is_err_and(|error| error.is_panic()));
    }
    assert_eq!(app.call(app.request(Method::GET, "/me", &FETCH)).await.status, StatusCode::OK);
    assert_eq!(app.sentinel.counts().refreshes, 1);
}

/// O09: a thousand clones are one layer.
#[tokio::test]
async fn a_thousand_clones_share_sessions_and_keys() {
    let mut app = expired().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let request = app.request(Method::GET, "/me", &FETCH);
        calls.spawn(app.auth.clone().layer(Strict::default()).oneshot(request));
    }
    for response in soon(calls.join_all()).await {
        assert_eq!(response.unwrap().status(), StatusCode::OK);
    }
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
    for _ in 0..5 {
        app.jar.clear();
        app.auth = app.auth.clone();
        app.sign_in().await;
    }
    let counts = app.sentinel.counts();
    // Once at the first login, and once more after the hour that has made those keys stale.
    assert_eq!((counts.exchanges, counts.jwks), (6, 2));
}

async fn parallel_requests_of_one_expired_session() {
    let app = expired().await;
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let request = app.request(Method::GET, "/me", &FETCH);
            tokio::spawn(app.auth.layer(Strict::default()).oneshot(request))
        })
        .collect();
    for call in calls {
        let response = soon(call).await.expect("a task that ends");
        assert_eq!(response.expect("infallible").status(), StatusCode::OK);
    }
    let counts = app.sentinel.counts();
    assert_eq!((counts.refreshes, counts.reuses), (1, 0));
}

/// O10.
#[tokio::test(flavor = "current_thread")]
async fn it_works_on_a_current_thread_runtime() {
    parallel_requests_of_one_expired_session().await;
}

/// O10.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_works_on_a_multi_thread_runtime() {
    parallel_requests_of_one_expired_session().await;
}

/// O11.
#[tokio::test]
async fn the_inner_services_body_passes_frame_by_frame_with_its_size_and_trailers() {
    let app = expired().await;
    let full = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"12345"))))
    });
    let request = || app.request(Method::GET, "/me", &FETCH);
    let response = app.auth.layer(full).oneshot(request()).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(5));
    assert!(!response.body().is_end_stream());
    let empty = service_fn(|_: Request<Body>| async {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    });
    assert!(app.auth.layer(empty).oneshot(request()).await.unwrap().body().is_end_stream());
    let framed = service_fn(|_: Request<Body>| async {
        let trailers: HeaderMap =
            [(http::header::ETAG, HeaderValue::from_static("x"))].into_iter().collect();
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"one"))),
            Ok(Frame::data(Bytes::from_static(b"two"))),
            Ok(Frame::trailers(trailers)),
            Err(std::io::Error::other("after the trailers")),
        ];
        Ok::<_, Infallible>(Response::new(StreamBody::new(stream::iter(frames))))
    });
    let mut body = app.auth.layer(framed).oneshot(request()).await.unwrap().into_body();
    for expected in ["one", "two"] {
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), expected);
    }
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap()["etag"], "x");
    let error = body.frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "after the trailers");
}

/// I12, J06: a request's body reaches the handler as it comes, and is not touched where we answer.
#[tokio::test]
async fn a_request_body_is_streamed_to_the_handler_and_otherwise_left_alone() {
    let app = expired().await;
    let polled = Arc::new(AtomicUsize::new(0));
    let counted = |sent: tokio::sync::mpsc::Receiver<&'static str>| {
        let polled = Arc::clone(&polled);
        let frames = stream::unfold(sent, move |mut sent| {
            polled.fetch_add(1, Ordering::SeqCst);
            async move { sent.recv().await.map(|text| (text, sent)) }
        });
        StreamBody::new(frames.map(|text| Ok::<_, Infallible>(Frame::data(Bytes::from(text)))))
    };
    let (first_seen, seen) = tokio::sync::oneshot::channel();
    let first_seen = Arc::new(std::sync::Mutex::new(Some(first_seen)));
    let reading = service_fn(move |request: Request<Pin<Box<dyn ReadBody>>>| {
        let first_seen = first_seen.lock().unwrap().take();
        async move {
            let mut body = request.into_body();
            let mut text = Vec::new();
            if let Some(first_seen) = first_seen {
                let frame = body.frame().await.unwrap().unwrap();
                text.extend_from_slice(frame.data_ref().unwrap());
                first_seen.send(()).unwrap();
            }
            text.extend_from_slice(&body.collect().await.unwrap().to_bytes());
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
        }
    });
    let service = app.auth.layer(reading);

    let (_unsent, receiver) = tokio::sync::mpsc::channel(4);
    let body: Pin<Box<dyn ReadBody>> = Box::pin(counted(receiver));
    let nobody = Request::builder().method(Method::POST).uri("/me").body(body).unwrap();
    let response = soon(service.clone().oneshot(nobody)).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(polled.load(Ordering::SeqCst), 0, "the body of a refused request was read");

    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let body: Pin<Box<dyn ReadBody>> = Box::pin(counted(receiver));
    let request = app.request(Method::POST, "/me", &[]).map(|_| body);
    let call = tokio::spawn(service.oneshot(request));
    sender.send("first ").await.unwrap();
    soon(seen).await.expect("the handler reads while the client still sends");
    sender.send("second").await.unwrap();
    drop(sender);
    let response = soon(call).await.unwrap().unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "first second");
}

trait ReadBody: http_body::Body<Data = Bytes, Error = Infallible> + Send {}
impl<B: http_body::Body<Data = Bytes, Error = Infallible> + Send> ReadBody for B {}

/// O08: keep-alive and pipelining.
#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let app = App::start().await;
    let browser = Browser::signed_in(&app).await;
    let cookies = browser.jar.header().expect("a session");
    let request = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let bytes = [
        request("/public", ""),
        request("/me", ""),
        request("/token", &format!("cookie: {cookies}\r\n")),
        request("/me", "connection: close\r\n"),
    ]
    .concat();
    let page = raw(&app, &bytes).await;
    assert_eq!(page.status, StatusCode::OK);
    let statuses: Vec<&str> =
        page.body.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect();
    assert_eq!(statuses, ["401", "200", "401"], "{page:?}");
}

/// I09, O08: an upgrade gets its 101 and its connection, for a user alone.
#[tokio::test]
async fn an_upgrade_passes_for_a_user() {
    async fn echo(_: LpUser, mut request: Request<Body>) -> Response<Body> {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.expect("an upgraded connection"));
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            tokio::io::copy(&mut reader, &mut writer).await.expect("an echo");
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .body(Body::empty())
            .expect("a valid response")
    }
    let app = App::builder()
        .routes(|router, _| router.route("/echo", axum::routing::any(echo)))
        .start()
        .await;
    let browser = Browser::signed_in(&app).await;
    let cookies = browser.jar.header().expect("a session");
    let head = "GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n";
    let refused = raw(&app, &format!("{head}connection: close\r\n\r\n")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    let authority = app.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let request = format!("{head}origin: {}\r\ncookie: {cookies}\r\n\r\n", app.url);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_ne!(soon(stream.read_buf(&mut bytes)).await.unwrap(), 0, "{bytes:?}");
    }
    assert!(bytes.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&bytes));
    stream.write_all(b"ping").await.unwrap();
    let mut echoed = [0; 4];
    soon(stream.read_exact(&mut echoed)).await.unwrap();
    assert_eq!(&echoed, b"ping");
}

/// An application on HTTP/2 without TLS, and a connection to it.
async fn h2c(app: &Direct, router: Router) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let address = listener.local_addr().expect("a bound listener");
    let service = app.auth.layer(router);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service.clone();
            let handler = hyper::service::service_fn(move |request: Request<_>| {
                service.clone().oneshot(request.map(Body::new))
            });
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), handler));
        }
    });
    let stream = TcpStream::connect(address).await.expect("a connection");
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a handshake");
    tokio::spawn(connection);
    sender
}

/// O08, C17, I01: HTTP/2, with its split cookies, trailers, and gRPC's END_STREAM on the headers.
#[tokio::test]
async fn it_works_on_http2() {
    let mut app = Direct::with(ManualClock::new(), |it| {
        it.session_key(SessionKey::random()).trusted_origin("https://spa.example")
    })
    .await;
    app.sign_in().await;
    let cookies = app.jar.header().expect("a session");
    let trailing = |body: Bytes| async move {
        let trailers: HeaderMap =
            [(http::header::ETAG, HeaderValue::from_static("end"))].into_iter().collect();
        let frames = [Ok::<_, Infallible>(Frame::data(body)), Ok(Frame::trailers(trailers))];
        Response::new(Body::new(StreamBody::new(stream::iter(frames))))
    };
    let mut sender = h2c(&app, app.router.clone().route("/echo", post(trailing))).await;
    let request = |method: Method, path: &str, headers: &[(&str, &str)], body: &'static str| {
        let mut request = Request::builder().method(method).uri(format!("http://x{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Full::new(Bytes::from(body))).unwrap()
    };
    let mut split: Vec<(&str, &str)> = (0..30).map(|_| ("cookie", "a=b")).collect();
    split.insert(11, ("cookie", &cookies));
    let response = sender.send_request(request(Method::GET, "/headers", &split, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen: serde_json::Value = serde_json::from_slice(&seen).unwrap();
    assert!(!seen["cookie"].to_string().contains("lp_session"), "{seen}");
    assert!(seen["cookie"].to_string().contains("a=b"), "{seen}");

    let echo = request(Method::POST, "/echo", &[("cookie", &cookies)], "body");
    let response = sender.send_request(echo).await.unwrap();
    let whole = response.into_body().collect().await.unwrap();
    assert_eq!(whole.trailers().unwrap()["etag"], "end");
    assert_eq!(whole.to_bytes(), "body");

    let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
    let refused = request(Method::POST, "/pkg.Service/Method", &grpc, "\0\0\0\0\0");
    let response = sender.send_request(refused).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "16");
    assert!(response.body().is_end_stream(), "END_STREAM is on the headers");

    let response = sender.send_request(request(Method::GET, "/me", &NAVIGATE, "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
}

/// O03: the error type of the stack stays what it was, however it is boxed.
#[tokio::test]
async fn the_error_type_stays_the_inner_services() {
    let app = Direct::start().await;
    let boxed = service_fn(|_: Request<()>| async {
        Err::<Response<Empty<Bytes>>, Box<dyn Error + Send + Sync>>("broken".into())
    });
    let request = Request::builder().uri("/public").body(()).unwrap();
    let error = app.auth.layer(boxed).oneshot(request).await.unwrap_err();
    assert_eq!(error.to_string(), "broken");
}
