//! The layer called without a socket: for thousands of requests at once, and to stop between polls.

use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_lp_auth::{LpAuthLayer, LpUser, ResponseBody};

use super::{FETCH, Page};

/// Answers the access token, or `nobody`.
async fn token(request: Request<()>) -> Result<Response<String>, Infallible> {
    let user = request.extensions().get::<LpUser>();
    let token = user.map(|user| user.access_token().expect("a session's user").expose_secret());
    Ok(Response::new(token.unwrap_or("nobody").to_owned()))
}

/// The layer around a handler that answers the access token.
pub fn token_service(
    auth: &LpAuthLayer,
) -> impl Service<
    Request<()>,
    Response = Response<ResponseBody<String>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    auth.layer(service_fn(token))
}

/// A script's GET with this `Cookie` header.
pub fn fetch_with(path: &str, cookies: &str) -> Request<()> {
    let mut request = Request::get(path).header("cookie", cookies);
    for (name, value) in FETCH {
        request = request.header(name, value);
    }
    request.body(()).expect("a valid request")
}

/// Reads a response of [`token_service`].
pub async fn page_of(response: Response<ResponseBody<String>>) -> Page {
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a body without errors").to_bytes();
    Page {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        url: String::new(),
    }
}

/// One fetch of the access token.
pub async fn fetch_token(auth: &LpAuthLayer, cookies: &str) -> Page {
    let response = token_service(auth).oneshot(fetch_with("/token", cookies)).await;
    page_of(response.unwrap_or_else(|error| match error {})).await
}
