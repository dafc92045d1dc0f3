//! The layer without a client in between: called in process, whatever the redirect URI is, or over a
//! socket with exactly these bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, response::Response};
use http::{HeaderMap, Method, Request, StatusCode, header::COOKIE};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Layer, ServiceExt};
use tower_lp_auth::{
    Builder, LpAuthLayer, SessionKey,
    test_kit::{ManualClock, MockSentinel},
};

use super::{AGENT, App, FORM, Jar, NAVIGATE, Page, counted, routes};

/// An application at `https://app.example`, called in process, and one browser's cookies.
pub struct Direct {
    pub auth: LpAuthLayer,
    pub sentinel: MockSentinel,
    pub clock: ManualClock,
    pub jar: Jar,
    pub router: Router,
    /// What a proxy in front strips.
    pub prefix: &'static str,
    pub calls: Arc<AtomicUsize>,
    /// In place of the layer around `router`.
    whole: Option<Router>,
}

impl Direct {
    /// The routes of [`App`], with a key of its own.
    pub async fn start() -> Self {
        Self::with(ManualClock::new(), |builder| builder.session_key(SessionKey::random())).await
    }

    /// With this clock; `layer` sets the session keys and whatever else differs.
    pub async fn with(clock: ManualClock, layer: impl FnOnce(Builder) -> Builder) -> Self {
        let sentinel = MockSentinel::builder().clock(clock.clone()).start().await;
        Self::of(sentinel.expect("a free port on loopback"), clock, layer)
    }

    /// Another process of the same application and the same browser.
    pub fn beside(&self, layer: impl FnOnce(Builder) -> Builder) -> Self {
        let other = Self::of(self.sentinel.clone(), self.clock.clone(), layer);
        Self { jar: self.jar.clone(), ..other }
    }

    /// The same process, and another browser.
    pub fn another_browser(&self) -> Self {
        Self {
            auth: self.auth.clone(),
            sentinel: self.sentinel.clone(),
            clock: self.clock.clone(),
            jar: Jar::default(),
            router: self.router.clone(),
            calls: Arc::clone(&self.calls),
            whole: self.whole.clone(),
            ..*self
        }
    }

    fn of(
        sentinel: MockSentinel,
        clock: ManualClock,
        layer: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let builder = LpAuthLayer::builder()
            .account(sentinel.account_id())
            .client_id(sentinel.client_id())
            .client_secret(sentinel.client_secret())
            .redirect_uri("https://app.example/callback")
            .sentinel_url(sentinel.url())
            .clock(clock.clone())
            .public("/public")
            .optional("/");
        let auth = layer(builder).build().expect("a configuration that works");
        let calls = Arc::new(AtomicUsize::new(0));
        let router = counted(routes(&auth), &calls);
        Self { auth, sentinel, clock, jar: Jar::default(), router, prefix: "", calls, whole: None }
    }

    /// Replaces the inner service.
    pub fn routes(mut self, router: Router) -> Self {
        self.router = counted(router, &self.calls);
        self
    }

    /// Replaces the layer and what is in it: `router` has the layer somewhere.
    pub fn whole(mut self, router: Router) -> Self {
        self.whole = Some(router);
        self
    }

    /// How often the inner service has been called.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(std::time::Duration::from_secs(seconds));
    }

    /// The response to exactly this request.
    pub async fn respond(&self, request: Request<Body>) -> Response<Body> {
        match &self.whole {
            Some(router) => router.clone().oneshot(request).await.expect("infallible"),
            None => {
                // Over sockets it is the other layer, which wraps bodies.
                let service = self.auth.keep_body().layer(self.router.clone());
                service.oneshot(request).await.expect("infallible")
            }
        }
    }

    /// The same, read whole.
    pub async fn call(&self, request: Request<Body>) -> Page {
        let url = format!("https://app.example{}", request.uri());
        let (head, body) = self.respond(request).await.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let body = String::from_utf8_lossy(&bytes).into_owned();
        let page = Page { status: head.status, headers: head.headers, body, url };
        if self.whole.is_none() {
            page.assert_caching_is_safe();
        }
        page
    }

    /// A request with these headers and the jar's cookies; takes the response's cookies in.
    pub async fn send(&mut self, method: Method, uri: &str, headers: &[(&str, &str)]) -> Page {
        let page = self.call(self.request(method, uri, headers)).await;
        page.set_cookies().iter().for_each(|line| self.jar.set(line));
        page
    }

    /// What [`Direct::send`] sends.
    pub fn request(&self, method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookies) = self.jar.header() {
            request = request.header(COOKIE, cookies);
        }
        request.body(Body::empty()).expect("a valid request")
    }

    pub async fn navigate(&mut self, uri: &str) -> Page {
        self.send(Method::GET, uri, &NAVIGATE).await
    }

    pub async fn fetch(&mut self, uri: &str) -> Page {
        self.send(Method::GET, uri, &super::FETCH).await
    }

    /// Signs MockSentinel's agent in; returns the callback's answer.
    pub async fn sign_in(&mut self) -> Page {
        let start = self.navigate("/me").await;
        self.arrive(&start).await
    }

    /// Signs out as a form does.
    pub async fn log_out(&mut self) {
        let page = self.send(Method::POST, "/logout", &FORM).await;
        assert_eq!((page.status, self.jar.session()), (StatusCode::SEE_OTHER, None), "{page:?}");
    }

    /// Goes to Sentinel and back to the callback.
    pub async fn arrive(&mut self, start: &Page) -> Page {
        self.arrive_as(start, AGENT).await
    }

    pub async fn arrive_as(&mut self, start: &Page, user: &str) -> Page {
        let callback = self.reach_callback_as(start, user).await;
        self.navigate(&callback).await
    }

    /// Goes to Sentinel; returns the callback's path and query, unopened.
    pub async fn reach_callback_as(&self, start: &Page, user: &str) -> String {
        self.sentinel.auto_login(Some(user));
        let client = super::browser::client();
        let authorize = start.location().expect("a redirect to Sentinel");
        let response = client.get(authorize).send().await.expect("an answer");
        let back = response.headers()["location"].to_str().expect("visible ASCII").to_owned();
        let origin = format!("https://app.example{}", self.prefix);
        back.strip_prefix(&origin).expect("our own origin").to_owned()
    }
}

/// Sends exactly these bytes to an application and reads until it closes: say `connection: close`.
pub async fn raw(app: &App, request: &str) -> Page {
    let authority = app.url.strip_prefix("http://").expect("plain http");
    let mut stream = TcpStream::connect(authority).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("a request that is taken");
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    let read = tokio::time::timeout(std::time::Duration::from_secs(10), read);
    read.await.expect("an answer within 10 s").expect("an answer that ends");
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
    let status = StatusCode::from_bytes(status.as_bytes()).expect("a status");
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").expect("a header field");
        let name: http::HeaderName = name.parse().expect("a field name");
        headers.append(name, value.parse().expect("a field value"));
    }
    let page = Page { status, headers, body: body.to_owned(), url: app.url.clone() };
    if status != StatusCode::BAD_REQUEST {
        page.assert_caching_is_safe();
    }
    page
}
