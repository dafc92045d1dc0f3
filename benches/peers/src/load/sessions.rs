//! What a request costs, and a session takes, with one session and with up to a million.

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, StatusCode, Uri, header::COOKIE},
    routing::{RouterIntoService, get},
};
use tower::Service;
use tower_lp_auth::{LpAuthLayer, MemoryStore, test_kit};

use crate::{
    contenders::app,
    measure::{allocations::live_bytes, median, now},
    random::Random,
    session::{Tokens, USER},
    shared::Logins,
};

/// Of the `MemoryStore`, however many sessions there are.
const ROOM: usize = 1_000_000;

/// The builder's default.
const OPENED_SESSIONS: usize = 10_000;

const REQUESTS: usize = 20_000;
const TURNS: usize = 15;

/// Who keeps the sessions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kept {
    Sealed,
    InMemory,
}

/// Prints a table: cost of a request on a session drawn at random, and memory; for one session, ten,
/// and so on up to `most`.
pub async fn sessions(most: usize) {
    println!("| sessions | kept | ns a request | × bare | bytes held | bytes a session |");
    println!("|--:|---|--:|--:|--:|--:|");
    for kept in [Kept::Sealed, Kept::InMemory] {
        let mut count = 1;
        while count <= most {
            measure(count, kept).await;
            count *= 10;
        }
    }
}

async fn measure(count: usize, kept: Kept) {
    let logins = Logins::start().await;
    let layer = match kept {
        Kept::Sealed => logins.layer(OPENED_SESSIONS),
        Kept::InMemory => logins.stored(MemoryStore::new(ROOM)),
    };
    let mut cookies = Vec::with_capacity(count);
    for number in 0..count {
        cookies.push(signed_in(&layer, number).await);
    }
    let bare = Router::new().route("/me", get(async || USER.to_owned()));
    let mut bare = bare.with_state(()).into_service();
    let mut ours = app(&layer).with_state(()).into_service();
    for cookie in &cookies {
        ask(&mut ours, cookie).await; // everybody has been seen once
    }
    let (nanos, ratio) = compare(&mut bare, &mut ours, &cookies).await;
    drop(cookies);
    let before = live_bytes();
    drop((ours, layer));
    let held = before - live_bytes();
    let name = if kept == Kept::Sealed { "sealed" } else { "MemoryStore" };
    let each = held as f64 / count as f64;
    println!("| {count} | {name} | {nanos:.0} | {ratio:.2} | {held} | {each:.0} |");
}

async fn signed_in(layer: &LpAuthLayer, number: usize) -> HeaderValue {
    let user = test_kit::user(number.to_string()).access_token(Tokens::number(number).access);
    test_kit::sign_in(layer, &user.build()).await.expect("room for a session")
}

/// Nanoseconds of a request of ours, and its ratio to the bare router's; medians of turns.
async fn compare(
    bare: &mut RouterIntoService<Body>,
    ours: &mut RouterIntoService<Body>,
    cookies: &[HeaderValue],
) -> (f64, f64) {
    let mut random = Random::seeded(3);
    let (mut nanos, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let floor = time(bare, cookies, &mut random).await;
        let own = time(ours, cookies, &mut random).await;
        nanos.push(own);
        ratios.push(own / floor);
    }
    (median(nanos), median(ratios))
}

async fn time(
    service: &mut RouterIntoService<Body>,
    cookies: &[HeaderValue],
    random: &mut Random,
) -> f64 {
    let before = now();
    for _ in 0..REQUESTS {
        ask(service, &cookies[random.below(cookies.len())]).await;
    }
    (now() - before).as_nanos() as f64 / REQUESTS as f64
}

async fn ask(service: &mut RouterIntoService<Body>, cookie: &HeaderValue) {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static("/me");
    request.headers_mut().insert(COOKIE, cookie.clone());
    let response = match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    assert_eq!(response.status(), StatusCode::OK);
}
