//! tower-lp-auth: sealed in the cookie, in memory, in Redis.

use axum::{Router, http::HeaderMap, routing::get};
use tower_lp_auth::{LpAuthLayer, LpUser, MemoryStore, RedisStore};

use super::{Contender, floors::beside_foreign};
use crate::{
    shared::{browser, cookie, fields},
    surroundings::Surroundings,
};

/// More than there are sessions, and as many as there are by default.
const OPENED_SESSIONS: usize = 10_000;

/// What the name of a contender ends with whose layer keeps axum's body; else it is as without.
const KEEPING: &str = ", keep_body";

pub async fn start(name: &'static str, around: &Surroundings) -> Contender {
    let (plain, keeps_body) = match name.strip_suffix(KEEPING) {
        Some(plain) => (plain, true),
        None => (name, false),
    };
    let layer = layer(plain, around).await;
    let mut sessions = Vec::new();
    for _ in 0..around.sessions {
        let ours = around.logins().await.sign_in(&layer).await;
        sessions.push(headers(plain, &ours));
    }
    let app = if keeps_body { pages().layer(layer.keep_body()) } else { app(&layer) };
    let contender = described(plain, Contender::new(name, app, sessions));
    if keeps_body {
        contender.noted("the same with `auth.keep_body()`: axum's body stays axum's")
    } else {
        contender
    }
}

async fn layer(name: &str, around: &Surroundings) -> LpAuthLayer {
    let logins = around.logins().await;
    match name {
        "ours, MemoryStore" => logins.stored(MemoryStore::default()),
        "ours, RedisStore" => {
            let url = around.redis().await.url();
            logins.stored(RedisStore::new(&url).expect("a URL"))
        }
        "ours, anew" => logins.layer(1),
        _ => logins.layer(OPENED_SESSIONS),
    }
}

/// The application behind a layer of ours.
pub fn app(layer: &LpAuthLayer) -> Router {
    pages().layer(layer.clone())
}

fn pages() -> Router {
    Router::new()
        .route("/me", get(async |user: LpUser| user.id().to_owned()))
        .route("/public", get(async || "hi"))
}

fn headers(name: &str, ours: &str) -> HeaderMap {
    match name {
        "ours, browser" => browser(cookie(ours)),
        "ours, foreign" => cookie(&beside_foreign(ours)),
        "ours, fields" => fields(ours),
        "ours, public" => HeaderMap::new(),
        _ => cookie(ours),
    }
}

fn described(name: &str, contender: Contender) -> Contender {
    match name {
        "ours" => contender.noted(
            "a sealed cookie seen before; refreshes beside the handler, once per session; CSRF guard; \
             logout final within the process",
        ),
        "ours, browser" => {
            contender.over("floor+wrap, browser").noted("with the 16 header fields of a browser")
        }
        "ours, foreign" => {
            contender.over("floor+wrap, foreign").noted("three foreign cookies in the same field")
        }
        "ours, fields" => {
            contender.over("floor+wrap, fields").noted("the four cookies as four fields")
        }
        "ours, anew" => contender.in_turns().noted("the cache holds one session: each cookie is opened"),
        "ours, public" => contender
            .at("/public")
            .over("floor+wrap, no cookie")
            .noted("a public route, and no cookie: nothing is looked for"),
        "ours, public with our cookie" => contender
            .at("/public")
            .noted("a public route: the session is taken out of the request, and not opened"),
        "ours, MemoryStore" => contender.noted("the same with the record in this process"),
        "ours, RedisStore" => contender
            .over("GET from Redis")
            .noted("one GET a request, or a share of an MGET; one refresh and one logout in the whole cluster"),
        name => unreachable!("no contender is called {name}"),
    }
}
