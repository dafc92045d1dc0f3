//! Thousands of requests at once on one session whose tokens have expired.

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header::COOKIE},
};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tower_lp_auth::{
    LpAuthLayer,
    test_kit::{Endpoint, Fault, ManualClock},
};

use crate::{
    contenders::app,
    measure::{median, now},
    shared::Logins,
};

/// How long MockSentinel takes for a refresh.
const REFRESH: Duration = Duration::from_millis(300);

/// What the access tokens of this mock live.
const HOUR: Duration = Duration::from_secs(3600);

/// Prints how long so many requests took, each time, and what they cost MockSentinel.
pub async fn storm(turns: usize, requests: usize) {
    let clock = ManualClock::new();
    let logins = Logins::at(clock.clone()).await;
    logins.sentinel().set_access_token_lifetime(HOUR);
    logins.sentinel().inject_always(Endpoint::Refresh, Fault::Delay(REFRESH));
    let layer = logins.layer(10_000);
    println!("| storm | refreshes | p50 ms | p99 ms | p99.9 ms | slowest ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    let mut calm = Vec::new();
    let mut stormy = Vec::new();
    for _ in 0..turns {
        let cookie = logins.sign_in(&layer).await;
        calm.push(ask_all(requests, &layer, &cookie).await);
        clock.advance(HOUR);
        stormy.push(ask_all(requests, &layer, &cookie).await);
    }
    let refreshes = logins.sentinel().counts().refreshes;
    print("live tokens", 0, &calm);
    print("expired tokens", refreshes, &stormy);
}

/// Sends all requests, each a task of its own; how long they took, sorted.
async fn ask_all(requests: usize, layer: &LpAuthLayer, cookie: &str) -> Vec<Duration> {
    let app = app(layer);
    let mut tasks = JoinSet::new();
    for _ in 0..requests {
        let request = Request::get("/me").header(COOKIE, cookie).body(Body::empty());
        let (app, request) = (app.clone(), request.expect("a request"));
        let begun = now();
        tasks.spawn(async move {
            let response = app.oneshot(request).await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK);
            now() - begun
        });
    }
    let mut latencies = tasks.join_all().await;
    latencies.sort_unstable();
    latencies
}

/// Medians of the turns, which have as many requests each.
fn print(name: &str, refreshes: u64, turns: &[Vec<Duration>]) {
    let quantile = |part: f64| {
        let of = |turn: &Vec<Duration>| turn[((turn.len() - 1) as f64 * part) as usize];
        median(turns.iter().map(|turn| of(turn).as_secs_f64() * 1e3).collect())
    };
    let [p50, p99, p999, slowest] = [0.5, 0.99, 0.999, 1.0].map(quantile);
    let (count, each) = (turns.len(), turns.first().map_or(0, Vec::len));
    println!(
        "| {count} × {each} requests, {name} | {refreshes} | {p50:.1} | {p99:.1} | {p999:.1} | {slowest:.1} |"
    );
}
