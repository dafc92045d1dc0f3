//! A layer whose responses keep their body type: of a plain tower service and of axum's router.

mod support;

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use support::{Direct, FETCH, NAVIGATE};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lp_auth::{KeepBody, KeepBodyFuture, KeepBodyLayer, LpUser};

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
};

/// Answers the user's name in two frames and a trailer.
async fn name(request: Request<Body>) -> Result<Response<AnyBytes>, Infallible> {
    let user = request.extensions().get::<LpUser>().map(|user| user.id().to_owned());
    let name = Bytes::from(user.unwrap_or_default());
    let trailers = HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))]);
    let frames = [Frame::data("it is ".into()), Frame::data(name), Frame::trailers(trailers)];
    Ok(Response::new(AnyBytes::new(StreamBody::new(stream::iter(frames.map(Ok))))))
}

/// A service that is no router: the response has exactly its type, frames and trailers.
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
        let differences = body.iter().zip(&other).filter(|(one, other)| one != other).count();
        assert!(differences <= REFERENCE, "{method} {path}: {body:?} and {other:?}");
    }
}

/// The digits of a reference.
const REFERENCE: usize = 8;

async fn whole(body: impl http_body::Body<Data = Bytes, Error = Infallible>) -> Bytes {
    body.collect().await.expect("an infallible body").to_bytes()
}

/// A stream that ends with its user's session is put into axum's body, and ends there.
#[tokio::test]
async fn a_stream_ends_with_its_session_in_the_body_that_is_kept() {
    let mut app = Direct::start().await;
    app.sign_in().await;
    let events = async || {
        let first = stream::iter([Ok::<_, Infallible>("data: first\n\n")]);
        ([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(first.chain(stream::pending())))
    };
    let router = Router::new().route("/events", get(events)).layer(app.auth.keep_body());
    let request = app.request(Method::GET, "/events", &FETCH);
    let mut body = router.oneshot(request).await.unwrap().into_body();
    let first = body.frame().await.expect("a frame").expect("no error");
    assert_eq!(first.data_ref().expect("data"), "data: first\n\n");
    app.send(Method::POST, "/logout", &[("origin", "https://app.example")]).await;
    let end = tokio::time::timeout(Duration::from_secs(15), body.frame()).await;
    assert!(end.expect("an end in time").is_none());
}
