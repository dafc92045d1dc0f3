//! Session cookies, got as browsers get them: from a login. And their tokens, from a handler.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        HeaderName, Request, Response,
        header::{COOKIE, LOCATION, SET_COOKIE},
    },
    routing::get,
};
use tower::ServiceExt;
use tower_lp_auth::{
    Builder, Clock, LpAuthLayer, LpUser, MemoryStore, SessionKey, SessionStore, SystemClock,
    test_kit::MockSentinel,
};

/// MockSentinel, and layers whose sessions are the same.
pub struct Logins<C = SystemClock> {
    clock: C,
    sentinel: MockSentinel,
    key: SessionKey,
    client: reqwest::Client,
}

impl Logins {
    pub async fn start() -> Self {
        Self::at(SystemClock::default()).await
    }
}

impl<C: Clock + Clone> Logins<C> {
    /// The same at another time.
    pub async fn at(clock: C) -> Self {
        let sentinel = MockSentinel::builder().clock(clock.clone()).start().await;
        let sentinel = sentinel.expect("a free port on loopback");
        sentinel.auto_login(Some(sentinel.users()[0].id()));
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client without TLS");
        Self { clock, sentinel, key: SessionKey::random(), client }
    }

    pub fn sentinel(&self) -> &MockSentinel {
        &self.sentinel
    }

    /// A layer that keeps so many opened sessions.
    pub fn layer(&self, opened_sessions: usize) -> LpAuthLayer {
        built(self.builder().opened_sessions(opened_sessions))
    }

    /// A layer that remembers few sessions, with a store or without.
    pub fn small_layer(&self, store: Option<MemoryStore>) -> LpAuthLayer {
        let builder = self.builder().opened_sessions(100).ledger_entries(5_000);
        built(match store {
            Some(store) => builder.store(store),
            None => builder,
        })
    }

    /// A layer that keeps its sessions in a store.
    pub fn stored(&self, store: impl SessionStore) -> LpAuthLayer {
        built(self.builder().store(store))
    }

    /// What all these layers have in common.
    pub fn builder(&self) -> Builder {
        LpAuthLayer::builder()
            .clock(self.clock.clone())
            .account(self.sentinel.account_id())
            .client_id(self.sentinel.client_id())
            .client_secret(self.sentinel.client_secret())
            .sentinel_url(self.sentinel.url())
            .redirect_uri("https://app.example.com/callback")
            .session_key(self.key.clone())
            .public("/public")
            .optional("/optional")
            .request_timeout(Duration::from_secs(60)) // an emulated CPU takes its time
    }

    /// Signs a user in; returns name and value of the session cookie.
    pub async fn sign_in(&self, layer: &LpAuthLayer) -> String {
        let app = Router::new().layer(layer.clone());
        let start = ask(&app, "/login", None).await;
        let authorize = self.client.get(header(&start, LOCATION)).send().await.expect("an answer");
        let callback = authorize.headers()[LOCATION].to_str().expect("visible ASCII");
        let target = callback.strip_prefix("https://app.example.com").expect("the redirect URI");
        let end = ask(&app, target, Some(pair(&start))).await;
        pair(&end).to_owned()
    }

    /// The session of a cookie as a token.
    pub async fn token(&self, layer: &LpAuthLayer, cookie: &str) -> String {
        let token = async |user: LpUser| {
            let token = user.session_token().expect("a session's user");
            token.expose_secret().to_owned()
        };
        let app = Router::new().route("/token", get(token)).layer(layer.clone());
        let body = ask(&app, "/token", Some(cookie)).await.into_body();
        let body = to_bytes(body, 4096).await.expect("a short body");
        String::from_utf8(body.into()).expect("base64url")
    }
}

fn built(builder: Builder) -> LpAuthLayer {
    builder.build().expect("a configuration that works")
}

async fn ask(app: &Router, target: &str, cookie: Option<&str>) -> Response<Body> {
    let mut request = Request::get(target);
    if let Some(cookie) = cookie {
        request = request.header(COOKIE, cookie);
    }
    let request = request.body(Body::empty()).expect("a request");
    app.clone().oneshot(request).await.expect("an answer")
}

/// The cookie that a response sets; others may be deleted by it.
fn pair(response: &Response<Body>) -> &str {
    let mut lines = response.headers().get_all(SET_COOKIE).iter();
    let line = lines.find_map(|line| line.to_str().ok().filter(|line| !line.ends_with("=0")));
    let line = line.unwrap_or_else(|| panic!("no cookie is set: {response:?}"));
    line.split_once(';').expect("attributes").0
}

fn header(response: &Response<Body>, name: HeaderName) -> &str {
    let value = response.headers().get(&name);
    value.unwrap_or_else(|| panic!("no {name}: {response:?}")).to_str().expect("visible ASCII")
}
