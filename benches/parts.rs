//! How long the parts of a request and of a login take, as far as they can be reached from outside:
//! each row in front of a service that answers at once, so that a part is the difference of two rows.

#![allow(missing_docs, reason = "made by a macro")]

mod contenders;

use std::{convert::Infallible, hint::black_box, time::Duration};

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri,
        header::ACCEPT,
    },
};
use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime,
};
use futures_util::FutureExt;
use tokio::runtime::Builder;
use tower::{Layer, Service, service_fn, util::BoxCloneSyncService};
use tower_lp_auth::{
    AppManifest, LpAuthLayer, SessionKey,
    test_kit::{self, Endpoint, Fault, ManualClock},
};

use self::contenders::{Logins, browser, cookie};

/// A service that answers at once, whoever asks.
type Inner = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

fn inner() -> Inner {
    Inner::new(service_fn(async |_| Ok(Response::new(Body::empty()))))
}

fn parts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("part");
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let logins = runtime.block_on(Logins::start());
    let layer = logins.layer(100);
    let (ours, other) =
        runtime.block_on(async { (logins.sign_in(&layer).await, logins.sign_in(&layer).await) });
    let get = |path, headers| Part { method: Method::GET, path, requests: vec![headers] };
    let post = |site| {
        let mut headers = cookie(&ours);
        headers.insert(SEC_FETCH_SITE, HeaderValue::from_static(site));
        Part { method: Method::POST, path: "/user", requests: vec![headers] }
    };
    let each = vec![cookie(&ours), cookie(&other)];
    let opened = Part { method: Method::GET, path: "/user", requests: each };

    get("/user", cookie(&ours)).time(&mut group, "no layer", inner(), StatusCode::OK);
    let fifteen = || browser(HeaderMap::new());
    get("/public", fifteen()).time(&mut group, "no layer, headers", inner(), StatusCode::OK);
    let mut time = |name, part: Part, layer: &LpAuthLayer, status| {
        part.time(&mut group, name, layer.layer(inner()), status);
    };
    // The decision by method and path, and a pass over no headers; over 15; and with a cookie to strip.
    time("route", get("/public", HeaderMap::new()), &layer, StatusCode::OK);
    time("headers passed", get("/public", fifteen()), &layer, StatusCode::OK);
    time("cookie stripped", get("/public", cookie(&ours)), &layer, StatusCode::OK);
    // A session: found in the cache, or opened since the cache has room for one and two take turns.
    time("session, cached", get("/user", cookie(&ours)), &layer, StatusCode::OK);
    time("session, opened", opened, &logins.layer(1), StatusCode::OK);
    // Beside a cached session, whose page it is that sends the request.
    time("csrf, own page", post("same-origin"), &layer, StatusCode::OK);
    time("csrf, another's", post("cross-site"), &layer, StatusCode::FORBIDDEN);
    let (due, stale) = runtime.block_on(due());
    time("refresh, put off", get("/user", cookie(&stale)), &due, StatusCode::OK);
    // A redirect to Sentinel draws a state and seals the pending login; a refusal does neither.
    let accept = |what| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(what))]);
    time("login, started", get("/user", accept("text/html")), &layer, StatusCode::SEE_OTHER);
    let program = get("/user", accept("application/json"));
    time("program, refused", program, &layer, StatusCode::UNAUTHORIZED);

    let user = test_kit::user("3552833710").build();
    group.bench_function("session, sealed", |bencher| {
        bencher.iter(|| test_kit::session_cookie(&layer, black_box(&user)));
    });
    for (name, path) in [
        ("return path, taken", "/orders/2026?page=2&sort=name%20asc"),
        ("return path, refused", "/.//evil.example/orders"),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| layer.login_url(black_box(path))));
    }
    group.bench_function("session key, read", |bencher| {
        let text = "Vvo3gM1zqm1dIXoZgYzNNQf1sUcYS3xkU0GBVkGyJp8";
        bencher.iter(|| SessionKey::from_base64(black_box(text)));
    });
    group.bench_function("manifest", |bencher| {
        let uris = ["https://desk.example.com/callback"];
        bencher.iter(|| AppManifest::builder(black_box("com.example.desk"), uris).build());
    });
    group.finish();
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Old enough to be refreshed, and far from its end.
const DUE: Duration = Duration::from_secs(40 * 60);

/// A layer, and the cookie of a session of its that is due. Sentinel has just failed to refresh it, so
/// that each request finds that it is not yet time to ask again.
async fn due() -> (LpAuthLayer, String) {
    let clock = ManualClock::new();
    let logins = Logins::at(clock.clone()).await;
    let layer = logins.layer(100);
    let cookie = logins.sign_in(&layer).await;
    clock.advance(DUE);
    logins.sentinel().inject_always(Endpoint::Refresh, Fault::Reset);
    let request = get_with(&cookie);
    let response = layer.layer(inner()).call(request).await;
    assert_eq!(response.map(|it| it.status()), Ok(StatusCode::OK));
    assert!(logins.sentinel().counts().refreshes > 0, "no refresh was tried");
    (layer, cookie)
}

fn get_with(ours: &str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = cookie(ours);
    request
}

/// What is asked, with these headers in turns.
struct Part {
    method: Method,
    path: &'static str,
    requests: Vec<HeaderMap>,
}

impl Part {
    fn time<S, B>(
        self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        mut service: S,
        status: StatusCode,
    ) where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    {
        let mut headers = self.requests.iter().cycle();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut request = Request::new(Body::empty());
                *request.method_mut() = self.method.clone();
                *request.uri_mut() = Uri::from_static(self.path);
                *request.headers_mut() = headers.next().expect("no end of a cycle").clone();
                let answer = service.call(request).now_or_never().expect("an answer at once");
                let response = match answer {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                assert_eq!(response.status(), status, "{name}");
            });
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(60);
    targets = parts
}
criterion_main!(benches);
