//! How long the parts of a login take that need no network, as far as they can be reached from
//! outside. What opening and stripping a cookie costs is the difference of two rows of `request`.

#![allow(missing_docs, reason = "made by a macro")]

mod contenders;

use std::{hint::black_box, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::ACCEPT},
};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use tokio::runtime::Builder;
use tower::Service;
use tower_lp_auth::{AppManifest, SessionKey};

use self::contenders::Logins;

fn parts(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let layer = runtime.block_on(Logins::start()).layer(100);
    let mut group = criterion.benchmark_group("part");
    for (name, path) in [
        ("return path, taken", "/orders/2026?page=2&sort=name%20asc"),
        ("return path, refused", "/.//evil.example/orders"),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| layer.login_url(black_box(path))));
    }
    // A redirect to Sentinel draws a state and seals the pending login; a refusal does neither.
    let mut app = Router::new().layer(layer).into_service::<Body>();
    for (name, accept, status) in [
        ("login, started", "text/html", StatusCode::SEE_OTHER),
        ("program, refused", "application/json", StatusCode::UNAUTHORIZED),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let request = Request::get("/orders").header(ACCEPT, accept);
                let request = request.body(Body::empty()).expect("a request");
                let answer = app.call(request).now_or_never().expect("an answer at once");
                let response = match answer {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                assert_eq!(response.status(), status);
            });
        });
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

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(60);
    targets = parts
}
criterion_main!(benches);
