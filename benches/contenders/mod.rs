//! What is measured, and against what: one router behind different layers, called in process.
//!
//! Every contender answers the same request of the same client, built afresh each time from headers
//! whose bytes are shared, as a server's are. What a layer costs is the difference to `floor+wrap`,
//! which does only what no layer can avoid that returns a body type of its own: it puts an `Arc` into the
//! request's extensions, and wraps the body. A public route has nobody to put in: `wrap` does not. The
//! *kept* ones return axum's body as it is, and are compared with the same.

#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

mod floor;
mod grpc;
mod headers;
mod login;

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, Uri, Version},
    routing::{RouterIntoService, get},
};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use tower::Service;
use tower_lp_auth::{LpAuthLayer, LpUser, MemoryStore, test_kit};

use self::floor::{Floor, FloorLayer, Guest, WrapLayer};
pub use self::{
    headers::{bearer, browser, cookie, fields},
    login::Logins,
};

/// One router, and the requests it is asked.
pub struct Contender {
    pub name: &'static str,
    service: RouterIntoService<Body>,
    path: &'static str,
    /// Of a gRPC call; without, a page is asked for.
    message: Option<Bytes>,
    requests: Vec<HeaderMap>,
    next: usize,
}

/// Sessions for the contender that opens each cookie anew: its cache holds one of them.
const SESSIONS: usize = 8;

/// All contenders, in the order in which they are printed. `floor+wrap` comes with the same headers
/// as each of the layer's.
pub async fn all() -> Vec<Contender> {
    let logins = Logins::start().await;
    let cached = logins.layer(10_000);
    let anew = logins.layer(1);
    let stored = logins.stored(MemoryStore::default());
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(logins.sign_in(&cached).await);
    }
    let ours = &sessions[0];
    let token = logins.token(&cached, ours).await;
    let in_store = logins.sign_in(&stored).await;
    let alone = || cookie(ours);
    let foreign = || cookie(&format!("theme=dark; {ours}; _ga=GA1.1.1234567890; lang=en-GB"));
    let first = || cookie(&format!("{ours}; theme=dark; _ga=GA1.1.1234567890; lang=en-GB"));
    let each_alone = sessions.iter().map(|session| cookie(session)).collect();
    let one = |name, router, path, headers| Contender::new(name, router, path, vec![headers]);
    vec![
        one("bare", bare(), "/user", alone()),
        one("floor+", floored(Floor::Plus), "/user", alone()),
        one("floor+wrap", wrapped(), "/user", alone()),
        one("cached", behind(&cached), "/user", alone()),
        one("kept", keeping(&cached), "/user", alone()),
        one("kept, browser", keeping(&cached), "/user", browser(alone())),
        one("kept, public", keeping(&cached), "/public", HeaderMap::new()),
        one("floor+wrap, browser", wrapped(), "/user", browser(alone())),
        one("cached, browser", behind(&cached), "/user", browser(alone())),
        one("floor+wrap, foreign", wrapped(), "/user", foreign()),
        one("cached, foreign", behind(&cached), "/user", foreign()),
        one("cached, ours first", behind(&cached), "/user", first()),
        one("floor+wrap, fields", wrapped(), "/user", fields(ours)),
        one("cached, fields", behind(&cached), "/user", fields(ours)),
        Contender::new("anew", behind(&anew), "/user", each_alone),
        one("stored", behind(&stored), "/user", cookie(&in_store)),
        one("floor+wrap, no cookie", wrapped(), "/public", HeaderMap::new()),
        one("wrap, no cookie", floored(Floor::Wrap), "/public", HeaderMap::new()),
        one("wrap", floored(Floor::Wrap), "/public", alone()),
        one("public", behind(&cached), "/public", HeaderMap::new()),
        one("public, stripped", behind(&cached), "/public", alone()),
        one("anonymous", behind(&cached), "/optional", HeaderMap::new()),
        one("optional", behind(&cached), "/optional", alone()),
        Contender::call(
            "floor+wrap, grpc",
            grpc::router().layer((WrapLayer, FloorLayer::new())),
            alone(),
        ),
        Contender::call("grpc, cookie", grpc::router().layer(cached.clone()), alone()),
        Contender::call("grpc, token", grpc::router().layer(cached.clone()), bearer(&token)),
    ]
}

/// One among so many sessions that the layer keeps none opened until it comes again: it keeps 100, and
/// its ledger has 5,000 entries. All have asked once.
pub async fn among(name: &'static str, sessions: usize, store: Option<MemoryStore>) -> Contender {
    let layer = Logins::start().await.small_layer(store);
    let mut requests = Vec::new();
    for number in 0..sessions {
        let user = test_kit::user(number.to_string()).build();
        let pair = test_kit::sign_in(&layer, &user).await.expect("room for a session");
        requests.push(cookie(pair.to_str().expect("visible ASCII")));
    }
    let mut contender = Contender::new(name, behind(&layer), "/user", requests);
    (0..sessions).for_each(|_| contender.ask());
    contender
}

/// What each of the layer's contenders is compared with.
pub fn floor_of(name: &str) -> &'static str {
    match name {
        "cached, browser" | "kept, browser" => "floor+wrap, browser",
        "cached, foreign" | "cached, ours first" => "floor+wrap, foreign",
        "cached, fields" => "floor+wrap, fields",
        "grpc, cookie" | "grpc, token" => "floor+wrap, grpc",
        "anonymous" => "floor+wrap, no cookie",
        "public" | "kept, public" => "wrap, no cookie",
        "public, stripped" => "wrap",
        _ => "floor+wrap",
    }
}

impl Contender {
    fn new(
        name: &'static str,
        router: Router,
        path: &'static str,
        requests: Vec<HeaderMap>,
    ) -> Self {
        // As `axum::serve` does for each connection: each request would apply the layer anew otherwise.
        let service = router.with_state(()).into_service();
        Self { name, service, path, message: None, requests, next: 0 }
    }

    /// A unary call.
    fn call(name: &'static str, router: Router, credential: HeaderMap) -> Self {
        let page = Self::new(name, router, grpc::SAY, vec![grpc::call(credential)]);
        Self { message: Some(grpc::message()), ..page }
    }

    /// Asks once, reads the answer whole and checks its status. Nothing on the way waits.
    pub fn ask(&mut self) {
        let mut request = match &self.message {
            None => Request::new(Body::empty()),
            Some(message) => posted(message.clone()),
        };
        *request.uri_mut() = Uri::from_static(self.path);
        *request.headers_mut() = self.requests[self.next].clone();
        self.next = (self.next + 1) % self.requests.len();
        let answer = self.service.call(request).now_or_never().expect("an answer at once");
        let response = match answer {
            Ok(response) => response,
            Err(never) => match never {},
        };
        assert_eq!(response.status(), StatusCode::OK, "{}", self.name);
        // A refusal of a call is a 200 that has it in its head.
        assert!(!response.headers().contains_key("grpc-status"), "{}", self.name);
        let mut body = response.into_body();
        while let Some(frame) = body.frame().now_or_never().expect("a body from memory") {
            std::hint::black_box(frame).expect("a body from memory");
        }
    }
}

fn posted(message: Bytes) -> Request<Body> {
    let mut request = Request::new(Body::from(message));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    request
}

/// The application without a layer.
fn bare() -> Router {
    Router::new().route("/user", get(|| async { "hello" }))
}

fn floored(floor: Floor) -> Router {
    let hello = async |guest: Extension<Guest>| guest.0.name();
    let router = Router::new().route("/user", get(hello)).route("/public", get(|| async { "hi" }));
    match floor {
        Floor::Plus => router.layer(FloorLayer::new()),
        Floor::PlusWrap => router.layer((WrapLayer, FloorLayer::new())),
        Floor::Wrap => router.layer(WrapLayer),
    }
}

fn wrapped() -> Router {
    floored(Floor::PlusWrap)
}

fn behind(layer: &LpAuthLayer) -> Router {
    pages().layer(layer.clone())
}

/// The same, with axum's own body.
fn keeping(layer: &LpAuthLayer) -> Router {
    pages().layer(layer.keep_body())
}

fn pages() -> Router {
    let hello = async |user: LpUser| if user.is_admin() { "admin" } else { "hello" };
    let whoever = async |user: Option<LpUser>| if user.is_some() { "hello" } else { "hi" };
    Router::new()
        .route("/user", get(hello))
        .route("/optional", get(whoever))
        .route("/public", get(|| async { "hi" }))
}
