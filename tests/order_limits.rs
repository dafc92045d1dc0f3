//! Where the layer stands among layers that limit: the rows of `docs/order.md` about them.

mod support;

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::{
    Router, body::Body, error_handling::HandleErrorLayer, response::Response, routing::get,
};
use futures_util::FutureExt;
use http::{Method, Request, StatusCode};
use support::{AGENT, Direct, FETCH, NAVIGATE};
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::{ConcurrencyLimit, GlobalConcurrencyLimitLayer},
    load_shed::{LoadShed, error::Overloaded},
    service_fn,
};
use tower_lp_auth::{
    SessionKey,
    test_kit::{Endpoint, Fault, ManualClock},
};

/// Answers within this, or never.
const SOON: Duration = Duration::from_secs(5);

/// What has not come after this long waits for something.
const A_WHILE: Duration = Duration::from_millis(100);

/// Sentinel takes so long for a refresh that no test sees its end.
const LONG: Duration = Duration::from_secs(60);

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(SOON, future).await.expect("an end within 5 s")
}

/// A router as one service of a plain stack.
fn plain(
    router: Router,
) -> impl Service<Request<Body>, Response = Response, Error = Infallible, Future: Send + 'static>
+ Clone
+ Send
+ 'static {
    service_fn(move |request: Request<Body>| router.clone().oneshot(request))
}

/// What nobody in particular asks for.
fn bare(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).expect("a valid request")
}

/// `/busy` is open to everybody.
async fn start() -> Direct {
    Direct::with(ManualClock::new(), |it| it.session_key(SessionKey::random()).public("/busy"))
        .await
}

/// A session that has to be refreshed first, which takes long.
async fn waiting() -> Direct {
    let mut app = start().await;
    app.sentinel.set_access_token_lifetime(Duration::from_secs(3600));
    app.sign_in().await;
    app.advance(3601);
    app.sentinel.inject_always(Endpoint::Refresh, Fault::Delay(LONG));
    app
}

/// A handler that is at work until it is let go.
#[derive(Clone, Default)]
struct Busy {
    begun: Arc<Notify>,
    go: Arc<Notify>,
}

impl Busy {
    async fn work(self) -> &'static str {
        self.begun.notify_one();
        self.go.notified().await;
        "done"
    }

    fn on(&self, router: Router) -> Router {
        let busy = self.clone();
        router.route("/busy", get(move || busy.work()))
    }

    /// Returns when a request for `/busy` is at work.
    async fn begin<S>(&self, service: S) -> JoinHandle<()>
    where
        S: Service<Request<Body>, Error: std::fmt::Debug, Future: Send> + Send + 'static,
    {
        let work = tokio::spawn(async move {
            service.oneshot(bare("/busy", &[])).await.expect("an answer");
        });
        soon(self.begun.notified()).await;
        work
    }

    async fn finish(&self, work: JoinHandle<()>) {
        self.go.notify_one();
        soon(work).await.expect("no panic");
    }
}

/// O06: a plain stack, limited from outside: a request holds its place for as long as it waits.
#[tokio::test]
async fn a_concurrency_limit_outside_is_held_by_whoever_waits_for_a_refresh() {
    let app = waiting().await;
    let mut one = ConcurrencyLimit::new(app.auth.layer(plain(app.router.clone())), 1);
    let mut two = one.clone();
    let request = app.request(Method::GET, "/me", &FETCH);
    let mut waits = Box::pin(soon(one.ready()).await.unwrap().call(request));
    assert!(timeout(A_WHILE, &mut waits).await.is_err(), "the refresh takes long");
    assert!(two.ready().now_or_never().is_none(), "there is one place");
    drop(waits);
    for (path, status) in [("/me", 401), ("/", 200)] {
        let answer = soon(two.ready()).await.unwrap().call(bare(path, &FETCH));
        assert!(one.ready().now_or_never().is_none(), "{path}: ours takes a place, too");
        assert_eq!(soon(answer).await.unwrap().status().as_u16(), status, "{path}");
        soon(one.ready()).await.unwrap();
        one = two.clone(); // gives its place back
    }
}

/// O01, O06: a plain stack, limited from inside: readiness comes before the request, so that an answer
/// of ours has to wait for the place that it gives back unused; `LoadShed` between the two helps.
#[tokio::test]
async fn a_concurrency_limit_inside_needs_load_shed_for_answers_of_ours_not_to_wait() {
    let app = start().await;
    let busy = Busy::default();
    let limited = ConcurrencyLimit::new(plain(busy.on(app.router.clone())), 1);
    let service = app.auth.layer(limited.clone());
    let work = busy.begin(service.clone()).await;
    let mut other = service;
    assert!(other.ready().now_or_never().is_none(), "all places are taken");
    busy.finish(work).await;
    let answer = soon(other.ready()).await.unwrap().call(bare("/me", &FETCH));
    assert_eq!(soon(answer).await.unwrap().status(), StatusCode::UNAUTHORIZED);

    drop(other);
    let service = app.auth.layer(LoadShed::new(limited));
    let work = busy.begin(service.clone()).await;
    for (path, headers, status) in
        [("/me", FETCH, 401), ("/me", NAVIGATE, 303), ("/login", NAVIGATE, 303)]
    {
        let answer = soon(service.clone().oneshot(bare(path, &headers))).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    let error = soon(service.clone().oneshot(bare("/", &FETCH))).await.unwrap_err();
    assert!(error.is::<Overloaded>(), "{error}");
    busy.finish(work).await;
    let page = soon(service.oneshot(bare("/", &FETCH))).await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
}

/// O06: on a router what stands inside is asked after the layer has decided, so that only handlers
/// take places.
#[tokio::test]
async fn on_a_router_a_limit_inside_counts_handlers_alone() {
    for outside in [false, true] {
        let app = waiting().await;
        let (router, auth) = (app.router.clone(), app.auth.clone());
        let limit = GlobalConcurrencyLimitLayer::new(1);
        let whole =
            if outside { router.layer(auth).layer(limit) } else { router.layer(limit).layer(auth) };
        let app = app.whole(whole);
        let mut waits = Box::pin(app.call(app.request(Method::GET, "/me", &FETCH)));
        assert!(timeout(A_WHILE, &mut waits).await.is_err(), "the refresh takes long");
        let mut other = Box::pin(app.call(bare("/", &FETCH)));
        if outside {
            assert!(timeout(A_WHILE, &mut other).await.is_err(), "there is one place");
            drop(waits);
        }
        let page = soon(other).await;
        assert_eq!(page.body, "hello stranger", "{outside}: {page:?}");
    }
    let app = start().await;
    let busy = Busy::default();
    let limited = busy.on(app.router.clone()).layer(GlobalConcurrencyLimitLayer::new(1));
    let whole = limited.layer(app.auth.clone());
    let work = busy.begin(whole.clone()).await;
    let mut app = app.whole(whole);
    soon(app.fetch("/me")).await.assert_unauthorized();
    soon(app.sign_in()).await;
    assert!(app.jar.session().is_some(), "a login needs no place");
    busy.finish(work).await;
}

/// One request at a time, others are answered with 503 by the application.
fn shedding(router: Router) -> Router {
    let shed = |_: BoxError| async { (StatusCode::SERVICE_UNAVAILABLE, "shed") };
    let layers = ServiceBuilder::new()
        .layer(HandleErrorLayer::new(shed))
        .load_shed()
        .layer(GlobalConcurrencyLimitLayer::new(1));
    router.layer(layers)
}

/// O06: what is shed outside never comes to the layer: the code is unspent, and the callback can be
/// loaded again.
#[tokio::test]
async fn load_shed_outside_sheds_logins_too_and_spends_no_code() {
    let app = start().await;
    let busy = Busy::default();
    let whole = shedding(busy.on(app.router.clone()).layer(app.auth.clone()));
    let mut app = app.whole(whole.clone());
    let start = app.navigate("/me").await;
    let callback = app.reach_callback_as(&start, AGENT).await;
    let work = busy.begin(whole).await;
    for path in [&*callback, "/login", "/me"] {
        let page = app.navigate(path).await;
        assert_eq!((page.status.as_u16(), &*page.body), (503, "shed"), "{page:?}");
        assert!(page.set_cookies().is_empty(), "{page:?}");
    }
    busy.finish(work).await;
    let page = app.navigate(&callback).await;
    assert_eq!(page.location().as_deref(), Some("/me"), "{page:?}");
    assert_eq!(app.fetch("/me").await.json()["user_id"], AGENT);
}

/// O06: what is shed inside is the application's answer to a request that was let through; login and
/// refusals are the layer's as ever.
#[tokio::test]
async fn load_shed_inside_sheds_handlers_alone() {
    let app = start().await;
    let busy = Busy::default();
    let whole = shedding(busy.on(app.router.clone())).layer(app.auth.clone());
    let mut app = app.whole(whole.clone());
    let work = busy.begin(whole).await;
    app.fetch("/me").await.assert_unauthorized();
    let callback = app.sign_in().await;
    assert_eq!(callback.location().as_deref(), Some("/me"), "{callback:?}");
    let page = app.fetch("/me").await;
    assert_eq!((page.status.as_u16(), &*page.body), (503, "shed"), "{page:?}");
    assert_eq!(page.header("cache-control"), Some("private"), "{page:?}");
    assert!(page.set_cookies().is_empty(), "{page:?}");
    busy.finish(work).await;
    assert_eq!(app.fetch("/me").await.json()["user_id"], AGENT);
}

/// O06: the buffer's worker hands a request over and turns to the next.
#[tokio::test]
async fn a_buffer_outside_lets_refreshes_wait_side_by_side() {
    let app = waiting().await;
    let mut service = Buffer::new(app.auth.layer(plain(app.router.clone())), 1);
    let request = app.request(Method::GET, "/me", &FETCH);
    let mut waits = Box::pin(soon(service.ready()).await.unwrap().call(request));
    assert!(timeout(A_WHILE, &mut waits).await.is_err(), "the refresh takes long");
    for (path, status) in [("/", 200), ("/me", 401), ("/public", 200), ("/", 200)] {
        let answer = soon(service.clone().oneshot(bare(path, &FETCH))).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
    assert!(waits.now_or_never().is_none(), "it waits on");
}

/// O01, O06: the slot that was ready is kept for the request that waits; an answer of ours gives it
/// back.
#[tokio::test]
async fn a_buffer_inside_keeps_a_slot_for_whoever_waits_for_a_refresh() {
    let app = waiting().await;
    let mut one = app.auth.layer(Buffer::new(plain(app.router.clone()), 1));
    let mut two = one.clone();
    let request = app.request(Method::GET, "/me", &FETCH);
    let mut waits = Box::pin(soon(one.ready()).await.unwrap().call(request));
    assert!(timeout(A_WHILE, &mut waits).await.is_err(), "the refresh takes long");
    assert!(two.ready().now_or_never().is_none(), "there is one slot");
    drop(waits);
    for _ in 0..3 {
        let answer = soon(two.ready()).await.unwrap().call(bare("/me", &FETCH));
        soon(one.ready()).await.unwrap();
        one = two.clone(); // gives its slot back
        assert_eq!(soon(answer).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let page = soon(two.ready()).await.unwrap().call(bare("/", &FETCH));
    assert_eq!(soon(page).await.unwrap().status(), StatusCode::OK);
}
