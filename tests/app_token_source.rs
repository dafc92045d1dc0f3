//! The application's own token: fetched once, renewed ahead, served through outages, and put on
//! requests.

mod support;

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, Ready, ready},
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{Router, routing::get};
use base64_simd::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use support::{Logs, until};
use tokio::{net::TcpListener, task::JoinSet, time::timeout};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit,
    timeout::Timeout,
};
use tower_lp_auth::{
    AppToken, AppTokenError, AppTokenSource, AppTokenSourceBuilder, BoxError, ConfigError,
    LpAppToken, LpAppTokenFuture, LpAppTokenLayer, Setting,
    test_kit::{Endpoint, ExpiresIn, Fault, ManualClock, MockSentinel},
};

const _: () = {
    const fn sends<T: Send>() {}
    const fn shares<T: Send + Sync>() {}
    sends::<LpAppTokenFuture<Careful, (), Ready<Result<Response<()>, Infallible>>>>();
    shares::<AppTokenSource>();
    shares::<AppTokenSourceBuilder>();
    shares::<AppTokenError>();
    shares::<AppToken>();
    shares::<LpAppTokenLayer>();
    shares::<LpAppToken<Careful>>();
};

/// Answers within this, or never.
const SOON: Duration = Duration::from_secs(8);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("an end within 8 s")
}

/// A source, its Sentinel and the time of both.
struct Scene {
    sentinel: MockSentinel,
    clock: ManualClock,
    source: AppTokenSource,
}

impl Scene {
    async fn start() -> Self {
        let clock = ManualClock::new();
        let sentinel = MockSentinel::builder().clock(clock.clone()).start().await;
        let sentinel = sentinel.expect("a free port on loopback");
        let source = sentinel.app_token_source().clock(clock.clone()).build();
        Self { sentinel, clock, source: source.expect("a configuration that works") }
    }

    async fn token(&self) -> String {
        soon(self.source.token()).await.expect("a token").expose_secret().to_owned()
    }

    async fn error(&self) -> AppTokenError {
        soon(self.source.token()).await.expect_err("no token")
    }

    fn calls(&self) -> u64 {
        self.sentinel.counts().app_tokens
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn fails(&self, fault: Fault) {
        self.sentinel.inject_always(Endpoint::AppToken, fault);
    }

    /// Uses the token until it is another than `old`.
    async fn another_than(&self, old: &str) -> String {
        for _ in 0..2000 {
            let token = self.token().await;
            if token != old {
                return token;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        panic!("still the old token");
    }
}

/// What is logged when there is none.
const NONE_CAME: &str = "no app token came";

/// How long there is none, if that may pass.
fn pause(error: &AppTokenError) -> Option<u64> {
    match error {
        AppTokenError::Unavailable { retry_after_secs, .. } => Some(*retry_after_secs),
        _ => None,
    }
}

/// P01, one level down: a thousand callers are one call, of the Domain API too.
#[tokio::test]
async fn a_thousand_callers_at_once_are_one_call() {
    let sentinel = MockSentinel::start().await.unwrap();
    let source = AppTokenSource::builder()
        .account(sentinel.account_id())
        .client_id(sentinel.client_id())
        .client_secret(sentinel.client_secret())
        .domain_api_url(sentinel.url())
        .build()
        .unwrap();
    sentinel.inject(Endpoint::AppToken, Fault::Delay(Duration::from_millis(100)));
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let source = source.clone();
        callers.spawn(async move { source.token().await });
    }
    let tokens = soon(callers.join_all()).await;
    let first = tokens[0].as_ref().unwrap();
    assert!(tokens.iter().all(|token| token.as_ref().unwrap() == first));
    assert_eq!(first.expose_secret().split('.').count(), 3);
    let counts = sentinel.counts();
    assert_eq!((counts.app_tokens, counts.domain), (1, 1));
}

/// Sentinel is asked as it documents it: once, in the body alone.
#[tokio::test]
async fn the_call_is_the_documented_one() {
    let scene = Scene::start().await;
    scene.token().await;
    let calls = scene.sentinel.calls();
    let call = &calls[0];
    assert_eq!(call.endpoint, Endpoint::AppToken);
    assert_eq!((call.method.as_str(), call.query.as_str()), ("POST", ""));
    assert_eq!(call.field("grant_type"), Some("client_credentials"));
    assert_eq!(call.field("client_id"), Some(scene.sentinel.client_id()));
    assert_eq!(call.field("client_secret"), Some(scene.sentinel.client_secret()));
    assert!(!call.had_authorization && call.form.len() == 3, "{call:?}");
}

/// From half of its life on a token is renewed beside the call that finds it so, once.
#[tokio::test]
async fn a_token_is_renewed_ahead_and_keeps_nobody_waiting() {
    let scene = Scene::start().await;
    let first = scene.token().await;
    scene.advance(1799);
    assert_eq!(scene.token().await, first);
    assert_eq!(scene.calls(), 1);

    // The renewal never ends before its callers have gone: a call takes five seconds at most.
    scene.sentinel.inject(Endpoint::AppToken, Fault::Delay(Duration::from_millis(300)));
    scene.advance(1);
    for _ in 0..100 {
        assert_eq!(soon(scene.source.token()).await.unwrap().expose_secret(), first);
    }
    until(|| scene.calls() == 2).await;
    let second = scene.another_than(&first).await;
    assert_ne!(second, first);
    scene.advance(1799);
    assert_eq!(scene.token().await, second, "its life began when it was asked for");
    assert_eq!(scene.calls(), 2);
}

/// A call waits where the token is about to end, and gets the new one.
#[tokio::test]
async fn a_call_waits_for_a_token_within_a_minute_of_its_end() {
    let scene = Scene::start().await;
    let first = scene.token().await;
    scene.advance(3541);
    let second = scene.token().await;
    assert_ne!(second, first);
    assert_eq!(scene.calls(), 2);
    scene.advance(7200);
    assert_ne!(scene.token().await, second);
    assert_eq!(scene.calls(), 3);
}

/// X01: while Sentinel is down the old token serves to its true end; then there is an error, at once
/// and without further calls, until it is back.
#[tokio::test]
async fn an_outage_costs_nothing_before_the_tokens_true_end() {
    let (told, _log) = Logs::capture();
    let failures = async |count| until(|| told.text().matches(NONE_CAME).count() == count).await;
    let scene = Scene::start().await;
    let old = scene.token().await;
    scene.fails(Fault::status(503));
    scene.advance(1800);
    assert_eq!(scene.token().await, old);
    failures(1).await;
    scene.advance(9);
    assert_eq!(scene.token().await, old);
    assert_eq!(scene.calls(), 2, "a failure is remembered");
    scene.advance(2);
    assert_eq!(scene.token().await, old);
    failures(2).await;

    scene.advance(1739); // 50 s before the end
    assert_eq!(scene.token().await, old, "after a fetch that has failed");
    assert_eq!(scene.calls(), 4);
    scene.advance(49); // that failure is forgotten
    assert_eq!(scene.token().await, old, "one second before the end");
    assert_eq!(scene.calls(), 5);
    scene.advance(1);
    for _ in 0..10 {
        let error = scene.error().await;
        assert!(pause(&error).is_some_and(|secs| (9..=10).contains(&secs)), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("503"), "{error:?}");
    }
    assert_eq!(scene.calls(), 5, "a failure is remembered");

    scene.sentinel.clear_faults();
    assert!(pause(&scene.error().await).is_some());
    scene.advance(11);
    assert_ne!(scene.token().await, old);
    assert_eq!(scene.calls(), 6);
}

/// Y05: a caller who goes away loses nothing for the others.
#[tokio::test]
async fn a_fetch_outlives_its_caller() {
    for polls in [1, 2, 3, 5, 8, 13] {
        let scene = Scene::start().await;
        scene.sentinel.inject(Endpoint::AppToken, Fault::Delay(Duration::from_millis(30)));
        {
            let mut call = pin!(scene.source.token());
            for _ in 0..polls {
                let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if poll.is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        until(|| scene.calls() == 1).await;
        scene.token().await;
        assert_eq!(scene.calls(), 1, "after {polls} polls");
    }
}

/// A runtime that is shut down takes its fetch along, and nobody waits for that for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_died_with_its_runtime_is_followed_by_another() {
    let scene = Scene::start().await;
    scene.sentinel.inject(Endpoint::AppToken, Fault::Hang);
    let source = scene.source.clone();
    let elsewhere = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let call = runtime.spawn(async move { source.token().await });
        (runtime, call)
    });
    let (runtime, call) = elsewhere.await.unwrap();
    until(|| scene.calls() == 1).await;
    runtime.shutdown_background();
    assert!(soon(call).await.is_err(), "its caller is gone too");
    // Whoever comes before all of that runtime has ended is told so.
    while let Err(error) = soon(scene.source.token()).await {
        assert_eq!(pause(&error), Some(1), "{error:?}");
    }
    assert_eq!(scene.calls(), 2);
}

/// X07: a 429 is obeyed for as long as it says, and for a minute at most.
#[tokio::test]
async fn a_429_holds_all_calls_back() {
    for (asked, expected) in [(30, 30), (1, 1), (86_400, 60)] {
        let scene = Scene::start().await;
        scene.sentinel.inject(Endpoint::AppToken, Fault::throttled(asked));
        assert_eq!(pause(&scene.error().await), Some(expected), "{asked}");
        scene.clock.advance(Duration::from_secs(expected) - Duration::from_millis(1));
        assert_eq!(pause(&scene.error().await), Some(1), "{asked}");
        assert_eq!(scene.calls(), 1, "{asked}");
        scene.clock.advance(Duration::from_millis(1));
        scene.token().await;
        assert_eq!(scene.calls(), 2, "{asked}");
    }
}

/// X06, X10 to X16: whatever is no good answer is a failure, remembered for ten seconds, and passes.
#[tokio::test]
async fn nonsense_is_a_failure_that_passes() {
    let body = |text: &str| Fault::Body(text.as_bytes().to_vec());
    let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(9000));
    let redirect = Fault::Status {
        status: 302,
        headers: vec![("location".to_owned(), "/elsewhere".to_owned())],
        body: Vec::new(),
    };
    for (what, fault) in [
        ("a page", body("<html>")),
        ("a list", body("[]")),
        ("nothing", body("")),
        ("no token", body("{}")),
        ("a token of another type", body(r#"{"access_token":"a","token_type":"mac"}"#)),
        ("a token with a line break", body(r#"{"access_token":"a\r\nx: y"}"#)),
        ("an endless token", body(&long)),
        ("two tokens", body(r#"{"access_token":"a","access_token":"b"}"#)),
        ("an error", body(r#"{"access_token":"a","error":"invalid_client"}"#)),
        ("a token that is over", body(r#"{"access_token":"a","expires_in":0}"#)),
        ("a flood", Fault::Body(vec![b' '; 64 * 1024 + 1])),
        ("a server's error", Fault::status(500)),
        ("a redirect", redirect),
        ("a reset", Fault::Reset),
        ("a lost answer", Fault::LostResponse),
        ("half an answer", Fault::HalfBody),
    ] {
        let scene = Scene::start().await;
        scene.sentinel.inject(Endpoint::AppToken, fault);
        let error = scene.error().await;
        assert!(pause(&error).is_some_and(|secs| (10..=11).contains(&secs)), "{what}: {error:?}");
        scene.advance(9);
        assert!(pause(&scene.error().await).is_some(), "{what}");
        assert_eq!(scene.calls(), 1, "{what}");
        scene.advance(2);
        scene.token().await;
        assert_eq!(scene.calls(), 2, "{what}");
    }
}

/// X08, X09: credentials that Sentinel refuses have a name of their own, and make no storm either.
#[tokio::test]
async fn a_refusal_is_told_from_an_outage() {
    let scene = Scene::start().await;
    let wrong = scene.sentinel.app_token_source().client_secret("wrong");
    let wrong = wrong.clock(scene.clock.clone()).build().unwrap();
    for _ in 0..5 {
        let error = soon(wrong.token()).await.unwrap_err();
        assert!(matches!(error, AppTokenError::Refused { .. }), "{error:?}");
        assert!(error.source().unwrap().to_string().contains("invalid_client"), "{error:?}");
    }
    assert_eq!(scene.calls(), 1);
    scene.sentinel.inject(Endpoint::AppToken, Fault::status(404));
    assert!(matches!(scene.error().await, AppTokenError::Refused { .. }));
}

/// A lifetime is a number or digits; without one the token's own `exp` tells when to ask again, and
/// five minutes are assumed of a token that does not tell.
#[tokio::test]
async fn the_lifetime_is_read_in_every_form() {
    let life = |seconds| Duration::from_secs(seconds);
    let opaque = || Fault::Body(br#"{"access_token":"opaque","token_type":"Bearer"}"#.to_vec());
    for (what, form, fault, renewed_at) in [
        ("a number", ExpiresIn::Number, None, 600),
        ("digits", ExpiresIn::Text, None, 600),
        ("the token's own", ExpiresIn::Absent, None, 600),
        ("nonsense", ExpiresIn::Literal(json!("soon")), None, 600),
        ("assumed", ExpiresIn::Absent, Some(opaque()), 150),
    ] {
        let scene = Scene::start().await;
        scene.sentinel.set_app_token_lifetime(life(1200));
        scene.sentinel.set_expires_in(form);
        if let Some(fault) = fault {
            scene.sentinel.inject(Endpoint::AppToken, fault);
        }
        let first = scene.token().await;
        scene.advance(renewed_at - 1);
        assert_eq!((scene.token().await, scene.calls()), (first.clone(), 1), "{what}");
        scene.advance(1);
        assert_ne!(scene.another_than(&first).await, first, "{what}");
        assert_eq!(scene.calls(), 2, "{what}");
    }
}

/// A token that an API refuses is replaced once it is a minute old, and by one call.
#[tokio::test]
async fn a_refused_token_is_replaced_unless_it_is_new() {
    let scene = Scene::start().await;
    let first = scene.source.token().await.unwrap();
    scene.advance(59);
    let young = soon(scene.source.replace_token(&first)).await;
    assert!(matches!(young, Err(AppTokenError::TooNew)), "{young:?}");
    assert_eq!(scene.calls(), 1);

    scene.advance(1);
    scene.fails(Fault::status(500));
    for _ in 0..3 {
        let none = soon(scene.source.replace_token(&first)).await.expect_err("no token");
        assert!(pause(&none).is_some(), "{none:?}");
        assert_eq!(scene.source.token().await.unwrap(), first, "others go on with it");
    }
    assert_eq!(scene.calls(), 2);

    scene.sentinel.clear_faults();
    scene.advance(11);
    scene.sentinel.inject(Endpoint::AppToken, Fault::Delay(Duration::from_millis(100)));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (source, first) = (scene.source.clone(), first.clone());
        callers.spawn(async move { source.replace_token(&first).await });
    }
    let second = scene.another_than(first.expose_secret()).await;
    for token in soon(callers.join_all()).await {
        assert_eq!(token.unwrap().expose_secret(), second);
    }
    let late = soon(scene.source.replace_token(&first)).await.unwrap();
    assert_eq!(late.expose_secret(), second, "the newer one, without a call");
    assert_eq!(scene.calls(), 3);
    let again = soon(scene.source.replace_token(&late)).await;
    assert!(matches!(again, Err(AppTokenError::TooNew)), "{again:?}");
}

/// Y10: a wall clock that jumps lengthens no token's life and makes no storm.
#[tokio::test]
async fn a_wall_clock_that_jumps_costs_a_call_at_most() {
    let an_hour = Duration::from_secs(3600);
    let scene = Scene::start().await;
    scene.token().await;
    scene.clock.jump_wall_backward(an_hour);
    scene.advance(1799);
    scene.token().await;
    assert_eq!(scene.calls(), 1);
    scene.advance(1800);
    scene.token().await;
    assert_eq!(scene.calls(), 2, "its life is over, whatever the wall clock says");
    for _ in 0..10 {
        scene.clock.jump_wall_forward(an_hour);
        scene.token().await;
        assert_eq!(scene.calls(), 3, "after it has jumped forth once");
        scene.clock.jump_wall_backward(an_hour);
        scene.token().await;
        assert_eq!(scene.calls(), 3);
    }
}

/// M01: neither secret nor token, nor anything that an answer says, is told.
#[tokio::test]
async fn no_secret_is_told() {
    let (told, _log) = Logs::capture_spans();
    let scene = Scene::start().await;
    let builder = scene.sentinel.app_token_source();
    told.add(&format!("{builder:?} {:?}", scene.source));
    told.add(&format!(
        "{:?} {:?}",
        scene.source.layer(),
        scene.source.layer().layer(Careful::default())
    ));
    let canary = br#"{"error":"canary-error","error_description":"canary-description"}"#.to_vec();
    let canaries = Fault::Status { status: 400, headers: Vec::new(), body: canary };
    let over = br#"{"access_token":"canary-token","expires_in":0}"#.to_vec();
    for fault in [canaries, Fault::Body(over), Fault::status(500), Fault::Reset] {
        scene.sentinel.inject(Endpoint::AppToken, fault);
        let error = scene.error().await;
        told.add(&format!("{error} {error:?} {error:#?}"));
        let mut cause: Option<&dyn Error> = error.source();
        while let Some(deeper) = cause {
            told.add(&format!("{deeper} {deeper:?}"));
            cause = deeper.source();
        }
        scene.advance(12);
    }
    let token = scene.source.token().await.unwrap();
    told.add(&format!("{token:?} {:?}", token.to_header()));
    let told = told.text();
    assert!(told.contains(NONE_CAME) && told.contains("app token fetched"), "{told}");
    let signature = token.expose_secret().rsplit('.').next().unwrap();
    let encoded = URL_SAFE_NO_PAD.encode_to_string(scene.sentinel.client_secret());
    for secret in ["canary", scene.sentinel.client_secret(), signature, &encoded] {
        assert!(!told.contains(secret), "{secret} is told: {told}");
    }
}

/// N01: what is missing or cannot be is named before anything is asked.
#[tokio::test]
async fn a_wrong_setting_is_named_when_the_source_is_built() {
    let good =
        || AppTokenSource::builder().account("12345678").client_id("id").client_secret("a secret");
    assert!(good().build().is_ok());
    let nothing = AppTokenSource::builder().build().unwrap_err();
    let ConfigError::Missing { setting, also, .. } = nothing else { panic!("{nothing:?}") };
    assert_eq!(setting, Setting::Account);
    assert_eq!(also, [Setting::ClientId, Setting::ClientSecret]);
    for (builder, expected) in [
        (good().account("../etc"), Setting::Account),
        (good().client_id("two words"), Setting::ClientId),
        (good().client_secret("secret\n"), Setting::ClientSecret),
        (good().sentinel_url("http://sentinel.example"), Setting::SentinelUrl),
        (good().domain_api_url("api.liveperson.net"), Setting::DomainApiUrl),
        (good().sentinel_host_suffix("net"), Setting::HostSuffix),
        (good().ca_certificate("no PEM"), Setting::CaCertificate),
        (good().proxy("socks5://proxy"), Setting::Proxy),
        (good().connect_timeout(Duration::ZERO), Setting::Timeout),
        (good().request_timeout(Duration::ZERO), Setting::Timeout),
    ] {
        let error = builder.build().expect_err("a setting that cannot be used");
        assert_eq!(error.setting(), expected, "{error}");
        assert!(!error.to_string().contains("secret\n"), "{error}");
    }
}

/// A server that answers with the `Authorization` it was sent.
async fn upstream() -> String {
    let echo = |headers: HeaderMap| async move {
        let sent: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        match sent[..] {
            [] => String::new(),
            [one] => one.to_str().unwrap_or_default().to_owned(),
            _ => "more than one".to_owned(),
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
    let url = format!("http://{}/", listener.local_addr().expect("a bound listener"));
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", get(echo))).await });
    url
}

/// The token is on every request of a hyper client that has no credentials of its own.
#[tokio::test]
async fn a_client_sends_the_token_with_every_request() {
    let scene = Scene::start().await;
    let url = upstream().await;
    let http = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = ServiceBuilder::new()
        .layer(scene.source.layer())
        .layer_fn(|inner| Timeout::new(inner, SOON))
        .service(http);
    let send = async |authorization: Option<&str>| {
        let mut request = Request::get(&url);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let request = request.body(Empty::new()).unwrap();
        let response = client.clone().oneshot(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, BoxError>(String::from_utf8(body.to_vec())?)
    };
    let first = send(None).await.unwrap();
    assert_eq!(first, format!("Bearer {}", scene.token().await));
    for _ in 0..3 {
        assert_eq!(send(None).await.unwrap(), first);
    }
    assert_eq!(send(Some("Basic b3duOm93bg")).await.unwrap(), "Basic b3duOm93bg");
    assert_eq!(scene.calls(), 1);

    scene.advance(3600);
    scene.fails(Fault::status(503));
    let error = send(None).await.unwrap_err();
    let error = error.downcast_ref::<AppTokenError>().expect("the token's error");
    assert!(pause(error).is_some(), "{error:?}");
    assert_eq!(send(Some("Bearer own")).await.unwrap(), "Bearer own", "it needs no token");

    scene.sentinel.clear_faults();
    scene.advance(11);
    let second = send(None).await.unwrap();
    assert_eq!(second, format!("Bearer {}", scene.token().await));
    assert_ne!(second, first);
}

/// An inner service that panics when an instance is called that was not polled ready.
#[derive(Debug, Default)]
struct Careful {
    is_ready: bool,
}

impl Clone for Careful {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Careful {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.is_ready), "called without having been ready");
        let has_token = request.headers().contains_key(AUTHORIZATION);
        let status = if has_token { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        let mut response = Response::new(());
        *response.status_mut() = status;
        ready(Ok(response))
    }
}

fn request() -> Request<()> {
    Request::get("https://va.example/").body(()).expect("a request")
}

/// O01.
#[tokio::test]
async fn the_instance_that_was_ready_is_the_one_that_is_called() {
    let scene = Scene::start().await;
    let mut service = scene.source.layer().layer(Careful::default());
    for what in ["waits for the first token", "finds it", "finds it again"] {
        let response = soon(soon(service.ready()).await.unwrap().call(request())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{what}");
    }
}

/// O01, O02: a request that waits keeps its place; one that gets no token gives it back, and so does
/// one that is dropped.
#[tokio::test]
async fn a_request_without_a_token_holds_no_permit() {
    let scene = Scene::start().await;
    scene.fails(Fault::status(503));
    let mut one = scene.source.layer().layer(ConcurrencyLimit::new(Careful::default(), 1));
    let mut two = one.clone();
    let waiting = soon(one.ready()).await.unwrap().call(request());
    assert!(is_pending(two.ready()), "the place is kept while it waits");
    let error = soon(waiting).await.expect_err("no token");
    assert!(error.is::<AppTokenError>(), "{error:?}");
    soon(two.ready()).await.unwrap();
    two = one.clone(); // gives its permit back

    let refused = soon(one.ready()).await.unwrap().call(request());
    soon(two.ready()).await.expect("the place is free before the answer is polled");
    two = one.clone();
    assert!(soon(refused).await.is_err());
    assert_eq!(scene.calls(), 1);

    scene.advance(12);
    scene.sentinel.clear_faults();
    drop(soon(one.ready()).await.unwrap().call(request()));
    let response = soon(soon(two.ready()).await.unwrap().call(request())).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(scene.calls(), 2);
}

/// One poll.
fn is_pending(future: impl Future) -> bool {
    pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// H05: plain http to another machine and, once it is bound, another origin get no token, and none is
/// fetched for them.
#[tokio::test]
async fn the_token_goes_over_tls_and_to_its_origin_alone() {
    let scene = Scene::start().await;
    let bound = scene.source.layer().origin("https://va.example").expect("an origin");
    let status = async |layer: &LpAppTokenLayer, url: &str| {
        let request = Request::get(url).body(()).expect("a request");
        soon(layer.layer(Careful::default()).oneshot(request)).await.expect("an answer").status()
    };
    let anywhere = scene.source.layer();
    for (layer, url) in [
        (&anywhere, "http://va.example/"),
        (&anywhere, "http://localhost.example/"),
        (&bound, "http://va.example/"),
        (&bound, "https://va.example:8443/"),
        (&bound, "https://elsewhere.example/"),
        (&bound, "http://127.0.0.1:3000/"),
    ] {
        assert_eq!(status(layer, url).await, StatusCode::UNAUTHORIZED, "{url}");
    }
    assert_eq!(scene.calls(), 0);
    for (layer, url) in [
        (&anywhere, "https://va.example/"),
        (&anywhere, "http://127.0.0.1:3000/"),
        (&anywhere, "/package.Service/Method"),
        (&bound, "https://va.example/users"),
        (&bound, "https://VA.example:443/"),
        (&bound, "/package.Service/Method"),
    ] {
        assert_eq!(status(layer, url).await, StatusCode::OK, "{url}");
    }
    for origin in ["http://va.example", "https://va.example/api", "va.example"] {
        assert!(scene.source.layer().origin(origin).is_err(), "accepted {origin}");
    }
}

/// O01: its error type is that of tower's own layers.
#[tokio::test]
async fn it_stands_around_a_buffer_and_beneath_one() {
    let scene = Scene::start().await;
    let limited = || ConcurrencyLimit::new(Careful::default(), 1);
    let around = scene.source.layer().layer(Buffer::new(limited(), 1));
    let beneath = Buffer::new(scene.source.layer().layer(limited()), 1);
    for _ in 0..3 {
        let response = soon(around.clone().oneshot(request())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let response = soon(beneath.clone().oneshot(request())).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    scene.advance(3600);
    scene.fails(Fault::status(503));
    for error in [
        soon(around.oneshot(request())).await.unwrap_err(),
        soon(beneath.oneshot(request())).await.unwrap_err(),
    ] {
        assert!(error.is::<AppTokenError>(), "{error:?}");
    }
}
