//! Where the layer stands among layers that change bodies and headers: the rows of `docs/order.md`
//! about them.

mod support;

use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    middleware::map_response,
    response::Response,
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Frame;
use http_body_util::{BodyExt, Collected, StreamBody};
use support::{AGENT, Direct, FETCH};
use tokio::time::timeout;
use tower::ServiceExt;
use tower_http::{
    compression::CompressionLayer,
    decompression::{DecompressionLayer, RequestDecompressionLayer},
    propagate_header::PropagateHeaderLayer,
    set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer},
};
use tower_lp_auth::{SessionKey, test_kit::ManualClock};

/// Answers and ends come within this, or never.
const SOON: Duration = Duration::from_secs(5);

/// On what came compressed to [`unpacking`].
const PACKED: HeaderName = HeaderName::from_static("x-was-packed");

/// Longer than what compression lets be.
const LONG: &str = "a text that is long enough to be worth the work of a compressor";

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("an end within 5 s")
}

/// A client that asks for gzip, unpacks it, and marks what came packed.
fn unpacking(whole: Router) -> Router {
    let marked = whole.layer(map_response(async |mut response: Response| {
        if let Some(coding) = response.headers().get(CONTENT_ENCODING).cloned() {
            response.headers_mut().insert(PACKED, coding);
        }
        response
    }));
    marked.layer(DecompressionLayer::new())
}

/// The application with compression on one side of the layer, and that client.
fn compressed(app: Direct, router: Router, outside: bool) -> Direct {
    let (auth, compression) = (app.auth.clone(), CompressionLayer::new());
    let whole = match outside {
        true => router.layer(auth).layer(compression),
        false => router.layer(compression).layer(auth),
    };
    app.whole(unpacking(whole))
}

/// `/long` is optional.
async fn start() -> Direct {
    Direct::with(ManualClock::new(), |it| it.session_key(SessionKey::random()).optional("/long"))
        .await
}

/// Some frames, and then, if `open`, nothing for ever.
fn body_of(frames: Vec<Frame<Bytes>>, open: bool) -> Body {
    let frames = stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
    match open {
        true => Body::new(StreamBody::new(frames.chain(stream::pending()))),
        false => Body::new(StreamBody::new(frames)),
    }
}

fn trailers(status: &'static str) -> HeaderMap {
    let status = HeaderValue::from_static(status);
    [(HeaderName::from_static("grpc-status"), status)].into_iter().collect()
}

/// Answers with such a body.
fn streaming(
    kind: &'static str,
    open: bool,
    end: Option<&'static str>,
) -> axum::routing::MethodRouter {
    get(async move || {
        let mut frames = vec![Frame::data(Bytes::from_static(LONG.as_bytes()))];
        frames.extend(end.map(|status| Frame::trailers(trailers(status))));
        ([(CONTENT_TYPE, kind)], body_of(frames, open))
    })
}

/// The head of a page's answer to a script, and its body as far as it goes.
async fn open(app: &Direct, path: &str) -> (http::response::Parts, Body) {
    soon(app.respond(app.request(Method::GET, path, &FETCH))).await.into_parts()
}

async fn whole(body: Body) -> Result<Collected<Bytes>, axum::Error> {
    soon(body.collect()).await
}

/// O06: handlers' answers are compressed on either side, ours only where compression stands outside.
#[tokio::test]
async fn compression_packs_answers_of_ours_from_outside_alone() {
    for outside in [false, true] {
        let app = start().await;
        let router = app.router.clone().route("/long", get(async || LONG));
        let mut app = compressed(app, router, outside);
        let ours = outside.then_some("gzip");
        let page = app.fetch("/me").await;
        page.assert_unauthorized();
        assert_eq!(page.header("x-was-packed"), ours, "{outside}: {page:?}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{outside}: {page:?}");
        let page = app.navigate("/callback").await;
        assert_eq!((page.status.as_u16(), page.header("x-was-packed")), (400, ours), "{page:?}");
        assert!(page.body.contains("<html"), "{outside}: {page:?}");
        let callback = app.sign_in().await;
        assert_eq!(callback.location().as_deref(), Some("/me"), "{outside}: {callback:?}");
        let page = app.fetch("/me").await;
        assert_eq!(page.json()["user_id"], AGENT, "{outside}: {page:?}");
        assert_eq!(page.header("x-was-packed"), Some("gzip"), "{outside}: {page:?}");
        assert_eq!(page.header("cache-control"), Some("private"), "{outside}: {page:?}");
        app.advance(2000); // the session is refreshed beside the handler
        let page = app.fetch("/long").await;
        assert_eq!((&*page.body, page.session_cookies().len()), (LONG, 1), "{outside}: {page:?}");
        let mut vary: Vec<_> =
            page.headers.get_all("vary").iter().map(|it| it.as_bytes()).collect();
        vary.sort_unstable();
        assert_eq!(
            vary,
            [&b"Cookie, Authorization"[..], b"accept-encoding"],
            "{outside}: {page:?}"
        );
        assert_eq!(page.header("cache-control"), Some("no-store"), "{outside}: {page:?}");
    }
}

/// O06, O11: what follows a body follows it through both.
#[tokio::test]
async fn trailers_pass_compression_on_either_side() {
    for outside in [false, true] {
        let app = start().await;
        let router =
            app.router.clone().route("/trailed", streaming("text/plain", false, Some("0")));
        let mut app = compressed(app, router, outside);
        app.sign_in().await;
        let (head, body) = open(&app, "/trailed").await;
        assert_eq!(head.headers[PACKED], "gzip", "{outside}");
        let body = whole(body).await.expect("a whole body");
        assert_eq!(body.trailers(), Some(&trailers("0")), "{outside}");
        assert_eq!(body.to_bytes(), LONG, "{outside}");
    }
}

/// O06, G18: tower-http compresses neither event streams nor gRPC, and both end with the session.
#[tokio::test]
async fn event_streams_and_grpc_pass_compression_and_end_with_the_session() {
    for outside in [false, true] {
        let app = start().await;
        let router = app
            .router
            .clone()
            .route("/events", streaming("text/event-stream", true, None))
            .route("/grpc", streaming("application/grpc", true, None));
        let mut app = compressed(app, router, outside);
        app.sign_in().await;
        let opened = [open(&app, "/events").await, open(&app, "/grpc").await];
        app.send(Method::POST, "/logout", &FETCH).await;
        for ((head, body), status) in opened.into_iter().zip([None, Some("16")]) {
            assert!(!head.headers.contains_key(PACKED), "{outside} {status:?}");
            let body = whole(body).await.expect("a clean end");
            let told = body.trailers().and_then(|it| it.get("grpc-status")?.to_str().ok());
            assert_eq!(told, status, "{outside}");
            assert_eq!(body.to_bytes(), LONG, "{outside} {status:?}");
        }
    }
}

/// O06, G18: grpc-web is compressed, and carries its status in what is compressed: only from outside
/// does the status at the session's end get into it.
#[tokio::test]
async fn grpc_web_wants_compression_outside() {
    for outside in [false, true] {
        let app = start().await;
        let router =
            app.router.clone().route("/web", streaming("application/grpc-web+proto", true, None));
        let mut app = compressed(app, router, outside);
        app.sign_in().await;
        let (head, body) = open(&app, "/web").await;
        assert_eq!(head.headers[PACKED], "gzip", "{outside}");
        app.send(Method::POST, "/logout", &FETCH).await;
        let read =
            whole(body).await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        if outside {
            let read = read.expect("a clean end");
            assert!(read.starts_with(LONG) && read.contains("grpc-status:16\r\n"), "{read:?}");
        } else {
            // It ends; what there is of it may not even be unpacked.
            assert!(!read.is_ok_and(|read| read.contains("grpc-status")));
        }
    }
}

/// As a client compresses it.
async fn gzip(text: &'static str) -> Bytes {
    let compressor =
        Router::new().route("/", get(async move || text)).layer(CompressionLayer::new());
    let request = Request::builder().uri("/").header(ACCEPT_ENCODING, "gzip");
    let response = compressor
        .oneshot(request.body(Body::empty()).expect("a valid request"))
        .await
        .expect("infallible");
    assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
    response.into_body().collect().await.expect("a whole body").to_bytes()
}

/// O06, J06: the layer touches no request's body: packed ones stay so without what unpacks them, and
/// nobody's is read.
#[tokio::test]
async fn bodies_of_requests_are_unpacked_on_either_side() {
    let packed = gzip(LONG).await;
    for side in [None, Some("outside"), Some("inside")] {
        let app = start().await;
        let (auth, unpack) = (app.auth.clone(), RequestDecompressionLayer::new());
        let router = app.router.clone().route("/echo", post(async |body: Bytes| body));
        let whole = match side {
            Some("outside") => router.layer(auth).layer(unpack),
            Some(_) => router.layer(unpack).layer(auth),
            None => router.layer(auth),
        };
        let mut app = app.whole(whole);
        let coding = [("content-encoding", "gzip")];
        let read = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&read);
        let unread = stream::poll_fn(move |_| {
            mark.store(true, Ordering::SeqCst);
            Poll::<Option<Result<Bytes, Infallible>>>::Pending
        });
        let mut request = app.request(Method::POST, "/echo", &coding);
        *request.body_mut() = Body::from_stream(unread);
        soon(app.call(request)).await.assert_unauthorized();
        assert!(!read.load(Ordering::SeqCst), "{side:?}: nobody's body was read");
        app.sign_in().await;
        let mut request = app.request(Method::POST, "/echo", &coding);
        *request.body_mut() = Body::from(packed.clone());
        let body = soon(app.respond(request)).await.into_body();
        let expected =
            if side.is_some() { Bytes::from_static(LONG.as_bytes()) } else { packed.clone() };
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected, "{side:?}");
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const POLICY: HeaderName = HeaderName::from_static("content-security-policy");

/// O06: from outside every answer is reached, ours among them; requests' ids arrive either way.
#[tokio::test]
async fn headers_set_outside_are_on_answers_of_ours_too() {
    let policy = HeaderValue::from_static("frame-ancestors 'none'");
    for outside in [false, true] {
        let app = start().await;
        let (router, auth) = (app.router.clone(), app.auth.clone());
        let propagate = PropagateHeaderLayer::new(REQUEST_ID);
        let set = SetResponseHeaderLayer::overriding(POLICY, policy.clone());
        let whole = match outside {
            true => router.layer(auth).layer(propagate).layer(set),
            false => router.layer(propagate).layer(set).layer(auth),
        };
        let mut app = app.whole(whole);
        let id = [("x-request-id", "4711"), FETCH[0], FETCH[1], FETCH[2], FETCH[3]];
        let page = app.send(Method::GET, "/me", &id).await;
        page.assert_unauthorized();
        assert_eq!(page.header("x-request-id"), outside.then_some("4711"), "{page:?}");
        // Inside, the policy of our own pages is theirs.
        let own = page.header("content-security-policy") == Some("frame-ancestors 'none'");
        assert_eq!(own, outside, "{page:?}");
        app.sign_in().await;
        let page = app.send(Method::GET, "/headers", &id).await;
        assert_eq!(page.json()["x-request-id"][0], "4711", "{outside}: {page:?}");
        assert_eq!(page.header("x-request-id"), Some("4711"), "{outside}: {page:?}");
        assert_eq!(page.header("content-security-policy"), policy.to_str().ok(), "{outside}");
    }
}

/// O06, H05: whatever sets the header decides who calls, by the layer's rules.
#[tokio::test]
async fn an_authorization_header_that_is_set_outside_decides_who_calls() {
    for (outside, status) in [(false, StatusCode::OK), (true, StatusCode::UNAUTHORIZED)] {
        let mut app = start().await;
        app.sign_in().await;
        let value = HeaderValue::from_static("Bearer of-a-service");
        let set = SetRequestHeaderLayer::overriding(http::header::AUTHORIZATION, value);
        let (router, auth) = (app.router.clone(), app.auth.clone());
        let whole =
            if outside { router.layer(auth).layer(set) } else { router.layer(set).layer(auth) };
        let page = app.whole(whole).fetch("/headers").await;
        assert_eq!(page.status, status, "{page:?}");
        if !outside {
            assert_eq!(page.json()["authorization"][0], "Bearer of-a-service", "{page:?}");
        }
    }
}
