//! A layer whose responses keep their body type: of a plain tower service and of axum's router.

mod support;

use std::{convert::Infallible, error::Error, io, time::Duration};

use axum::{Router, body::Body, response::IntoResponse, routing::get};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use http_body_util::{
    BodyExt, StreamBody,
    combinators::{BoxBody, UnsyncBoxBody},
};
use support::{Direct, FETCH, NAVIGATE};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lp_auth::{AnyBody, KeepBody, KeepBodyFuture, KeepBodyLayer, LpUser};

type AnyBytes = UnsyncBoxBody<Bytes, Infallible>;

const _: () = {
    const fn sends<T: Send>() {}
    const fn shares<T: Send + Sync>() {}
    type Inner = tower::util::BoxCloneService<Request<Body>, Response<Body>, Infallible>;
    type Called = <Inner as Service<Request<Body>>>::Future;
    sends::<KeepBody<Inner>>();
    sends::<KeepBodyFuture<Inner, Body, Called>>();
    shares::<KeepBody<Router>>();
    shares::<KeepBodyLayer>();
    const fn holds_any<T: AnyBody>() {}
    holds_any::<Body>();
    holds_any::<BoxBody<Bytes, Infallible>>();
};

/// Answers the user's name in two frames and a trailer.
async fn name(request: Request<Body>) -> Result<Response<AnyBytes>, Infallible> {
    let user = request.extensions().get::<LpUser>().map(|user| user.id().to_owned());
    let name = Bytes::from(user.unwrap_or_default());
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
    let frames = [Frame::data("it is ".into()), Frame::data(name), Frame::trailers(trailers)];
    Ok(Response::new(AnyBytes::new(StreamBody::new(stream::iter(frames.map(Ok))))))
}

/// O11: a service that is no router: the response has exactly its type, frames and trailers.
#[tokio::test]
async fn the_response_of_any_service_keeps_its_body() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let service = app.auth.keep_body().layer(service_fn(name));
    let request = app.request(Method::GET, "/me", &FETCH);
    let response: Response<AnyBytes> = service.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["etag"], "x");
    assert_eq!(body.to_bytes(), format!("it is {}", support::AGENT));
}

/// What the layer answers by itself is the same behind either layer, its size told ahead. Only the
/// reference in it is another for each request.
#[tokio::test]
async fn an_answer_of_the_layer_is_put_into_the_inner_services_body() {
    let app = Direct::start().await;
    let (wrapping, keeping) = (app.auth.clone(), app.auth.keep_body());
    for (method, path, headers, status) in [
        (Method::GET, "/me", &FETCH[..], StatusCode::UNAUTHORIZED),
        (Method::POST, "/me", &NAVIGATE[..], StatusCode::UNAUTHORIZED),
        (Method::HEAD, "/me", &NAVIGATE[..], StatusCode::SEE_OTHER),
        (Method::GET, "/callback", &NAVIGATE[..], StatusCode::BAD_REQUEST),
    ] {
        let request = || app.request(method.clone(), path, headers);
        let kept = keeping.layer(service_fn(name)).oneshot(request()).await.unwrap();
        let wrapped = wrapping.layer(service_fn(name)).oneshot(request()).await.unwrap();
        let ((kept, body), (wrapped, other)) = (kept.into_parts(), wrapped.into_parts());
        assert_eq!((kept.status, wrapped.status), (status, status), "{method} {path}");
        assert_eq!(kept.headers, wrapped.headers, "{method} {path}");
        let length = body.size_hint().exact().expect("bytes of a known number");
        assert_eq!(other.size_hint().exact(), Some(length), "{method} {path}");
        let [body, other] = [whole(body).await, whole(other).await];
        assert_eq!(body.len() as u64, length, "{method} {path}");
        assert_eq!(other.len() as u64, length, "{method} {path}");
        let differences = body.iter().zip(&other).filter(|(one, other)| one != other).count();
        assert!(differences <= REFERENCE, "{method} {path}: {body:?} and {other:?}");
    }
}

/// The digits of a reference.
const REFERENCE: usize = 8;

async fn whole(body: impl http_body::Body<Data = Bytes, Error = Infallible>) -> Bytes {
    body.collect().await.expect("an infallible body").to_bytes()
}

/// An event stream of these frames, in axum's body.
fn events<E: Into<tower_lp_auth::BoxError>>(
    frames: impl Stream<Item = Result<&'static str, E>> + Send + 'static,
) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames))
}

/// A stream that ends with its user's session is put into axum's body, and ends there.
#[tokio::test]
async fn a_stream_ends_with_its_session_in_the_body_that_is_kept() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let endless = async || {
        events(stream::iter([Ok::<_, Infallible>("data: first\n\n")]).chain(stream::pending()))
    };
    let router = Router::new().route("/events", get(endless)).layer(app.auth.keep_body());
    let request = app.request(Method::GET, "/events", &FETCH);
    let mut body = router.oneshot(request).await.unwrap().into_body();
    let first = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(first.data_ref().expect("data"), "data: first\n\n");
    app.log_out().await;
    let end = tokio::time::timeout(Duration::from_secs(15), body.frame()).await;
    assert!(end.expect("an end in time").is_none());
}

/// I07: a call ends with status 16 there, and its size is not told ahead.
#[tokio::test]
async fn a_call_ends_with_its_status_in_the_body_that_is_kept() {
    async fn endless(_: Request<Body>) -> Result<Response<AnyBytes>, Infallible> {
        let frames = stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0"))));
        let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
        Ok(response.body(AnyBytes::new(StreamBody::new(frames))).expect("a response"))
    }
    let mut app = Direct::start().await;
    app.sign_in().await;
    let service = app.auth.keep_body().layer(service_fn(endless));
    let request = app.request(Method::POST, "/echo", &[("sec-fetch-site", "same-origin")]);
    let mut body = service.oneshot(request).await.unwrap().into_body();
    assert_eq!(body.size_hint().exact(), None);
    assert!(body.frame().await.expect("a frame").expect("no error").is_data());
    app.log_out().await;
    let mut last = body.frame().await.expect("a frame").expect("no error");
    while last.is_data() {
        tokio::task::yield_now().await;
        last = body.frame().await.expect("a frame").expect("no error");
    }
    assert_eq!(last.trailers_ref().expect("trailers")["grpc-status"], "16");
    assert!(body.frame().await.is_none());
}

/// What has gone wrong in axum's body is found in the error, no deeper than without the layer.
#[tokio::test]
async fn an_error_of_a_stream_stays_what_it_was() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let broken =
        async || events(stream::iter([Ok("data: first\n\n"), Err(io::Error::other("no"))]));
    let bare = Router::new().route("/events", get(broken));
    let behind = bare.clone().layer(app.auth.keep_body());
    let mut depths = Vec::new();
    for router in [bare, behind] {
        let request = app.request(Method::GET, "/events", &FETCH);
        let body = router.oneshot(request).await.unwrap().into_body();
        let error = body.collect().await.expect_err("an error");
        depths.push(depth(&error));
    }
    assert_eq!(depths[0], depths[1]);
}

/// How deep the stream's own error is.
fn depth(error: &(dyn Error + 'static)) -> usize {
    if error.is::<io::Error>() {
        return 0;
    }
    1 + depth(error.source().expect("an error of the stream's at the bottom"))
}
