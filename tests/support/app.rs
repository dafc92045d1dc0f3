//! An application behind the layer, served over HTTP/1.1 on a free port.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
    routing::{any, get},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::AbortHandle};
use tower_lp_auth::{
    Builder, LpAuthLayer, LpUser, SessionKey, SessionUnavailable,
    test_kit::{ManualClock, MockSentinel, MockSentinelBuilder},
};

/// A running application; it ends with this value.
pub struct App {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub auth: LpAuthLayer,
    pub sentinel: MockSentinel,
    /// The layer's clock and MockSentinel's.
    pub clock: ManualClock,
    pub key: SessionKey,
    calls: Arc<AtomicUsize>,
    server: AbortHandle,
}

/// Configures an [`App`].
pub struct AppBuilder {
    layer: Box<dyn FnOnce(Builder) -> Builder>,
    sentinel: Box<dyn FnOnce(MockSentinelBuilder) -> MockSentinelBuilder>,
    routes: Box<dyn FnOnce(Router, &LpAuthLayer) -> Router>,
    shared: Option<(MockSentinel, ManualClock, SessionKey)>,
}

impl App {
    /// An application with the layer's defaults.
    ///
    /// Public: `/public`. Optional: `/`. Everything else is protected: `/me` (JSON about the user),
    /// `/token` (the access token as text), `/admin` (behind `require_admin`), `/headers` (the
    /// request's headers as JSON, `_path` and `_method` among them), `/cached` (with caching headers
    /// of its own), `/sleep` (answers after 300 ms), `/end` (ends the session), `/session-token` (hands
    /// it out as a token), and a fallback that answers `fallback`.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn builder() -> AppBuilder {
        AppBuilder {
            layer: Box::new(|builder| builder),
            sentinel: Box::new(|builder| builder),
            routes: Box::new(|router, _| router),
            shared: None,
        }
    }

    /// How often the inner service has been called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The absolute URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Moves the layer's and MockSentinel's time.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl AppBuilder {
    /// Changes the layer's settings.
    pub fn layer(mut self, change: impl FnOnce(Builder) -> Builder + 'static) -> Self {
        let before = self.layer;
        self.layer = Box::new(move |builder| change(before(builder)));
        self
    }

    /// Changes MockSentinel's settings.
    pub fn sentinel(
        mut self,
        change: impl FnOnce(MockSentinelBuilder) -> MockSentinelBuilder + 'static,
    ) -> Self {
        self.sentinel = Box::new(change);
        self
    }

    /// Adds routes, before the layer comes on top.
    pub fn routes(mut self, change: impl FnOnce(Router, &LpAuthLayer) -> Router + 'static) -> Self {
        self.routes = Box::new(change);
        self
    }

    /// Another instance of the same application: same Sentinel, clock and session key, but a port
    /// and so a redirect URI of its own unless `layer` sets it.
    pub fn beside(mut self, other: &App) -> Self {
        self.shared = Some((other.sentinel.clone(), other.clock.clone(), other.key.clone()));
        self
    }

    pub async fn start(self) -> App {
        let (sentinel, clock, key) = match self.shared {
            Some(shared) => shared,
            None => {
                let clock = ManualClock::new();
                let builder = (self.sentinel)(MockSentinel::builder().clock(clock.clone()));
                let sentinel = builder.start().await.expect("a free port on loopback");
                (sentinel, clock, SessionKey::random())
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let builder = LpAuthLayer::builder()
            .account(sentinel.account_id())
            .client_id(sentinel.client_id())
            .client_secret(sentinel.client_secret())
            .redirect_uri(format!("{url}/callback"))
            .domain_api_url(sentinel.url())
            .session_key(key.clone())
            .clock(clock.clone())
            .public("/public")
            .optional("/");
        let auth = (self.layer)(builder).build().expect("a configuration that works");
        let calls = Arc::new(AtomicUsize::new(0));
        let router = (self.routes)(routes(&auth), &auth);
        let app = counted(router, &calls).layer(auth.clone());
        let server = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a server that runs until it is aborted");
        });
        App { url, auth, sentinel, clock, key, calls, server: server.abort_handle() }
    }
}

pub fn routes(auth: &LpAuthLayer) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/public", any(public))
        .route("/me", any(me))
        .route("/token", any(token))
        .route("/admin", get(admin).layer(auth.require_admin()))
        .route("/headers", any(headers))
        .route("/cached", get(cached))
        .route("/sleep", get(sleep))
        .route("/end", get(end))
        .route("/session-token", get(session_token))
        .fallback(|| async { "fallback" })
}

async fn index(user: Option<LpUser>, request: Request) -> String {
    let unavailable = request.extensions().get::<SessionUnavailable>().is_some();
    match user {
        Some(user) => format!("hello {}", user.id()),
        None if unavailable => "hello, whoever you are for now".to_owned(),
        None => "hello stranger".to_owned(),
    }
}

async fn public(user: Option<LpUser>, headers: HeaderMap) -> impl IntoResponse {
    let cookie =
        headers.get("cookie").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let body = json!({ "user": user.map(|user| user.id().to_owned()), "cookie": cookie });
    ([(CACHE_CONTROL, "public, max-age=60")], Json(body))
}

async fn me(user: LpUser) -> Json<Value> {
    Json(json!({
        "user_id": user.id(),
        "account_id": user.account_id().as_str(),
        "is_admin": user.is_admin(),
        "is_lpa": user.is_lpa(),
        "access_token": user.access_token().expect("a session's user").expose_secret(),
    }))
}

async fn token(user: LpUser) -> String {
    user.access_token().expect("a session's user").expose_secret().to_owned()
}

async fn admin(user: LpUser) -> String {
    format!("admin {}", user.id())
}

async fn headers(request: Request) -> Json<Value> {
    let mut all = serde_json::Map::new();
    for name in request.headers().keys() {
        let values: Vec<String> = request
            .headers()
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        all.insert(name.to_string(), json!(values));
    }
    all.insert("_path".into(), json!(request.uri().to_string()));
    all.insert("_method".into(), json!(request.method().as_str()));
    Json(Value::Object(all))
}

async fn cached() -> impl IntoResponse {
    ([(CACHE_CONTROL, "public, s-maxage=600, max-age=60")], "cached")
}

async fn sleep() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slept"
}

async fn end(user: LpUser) -> Result<&'static str, StatusCode> {
    user.end_session().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("ended")
}

async fn session_token(user: LpUser) -> impl IntoResponse {
    let token = user.session_token().map(|token| token.expose_secret().to_owned());
    let body = match token {
        Ok(token) => json!({ "session_token": token }),
        Err(error) => json!({ "error": error.to_string() }),
    };
    ([(CACHE_CONTROL, "no-store")], Json(body))
}

/// A body that axum accepts, for tests that call a service without a socket.
pub fn empty() -> Body {
    Body::empty()
}

/// Counts the calls of an inner service, and marks its responses with [`FROM_APP`]: what lacks the
/// mark is the layer's own.
pub fn counted(router: Router, calls: &Arc<AtomicUsize>) -> Router {
    let calls = Arc::clone(calls);
    router.layer(axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
        calls.fetch_add(1, Ordering::SeqCst);
        async move {
            let mut response = next.run(request).await;
            response.headers_mut().insert(FROM_APP, HeaderValue::from_static("1"));
            response
        }
    }))
}

/// On every response that the inner service has made.
pub const FROM_APP: HeaderName = HeaderName::from_static("x-from-app");

impl AppBuilder {
    /// An application on a MockSentinel of the test's own, with its clock.
    pub fn on(sentinel: MockSentinel, clock: ManualClock) -> Self {
        Self { shared: Some((sentinel, clock, SessionKey::random())), ..App::builder() }
    }
}
