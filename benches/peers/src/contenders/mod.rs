//! Who is measured: the same `GET /me`, which answers the user's id, behind different layers.
//!
//! One file for each, set up as its own documentation recommends. `contender.rs` is what they have in
//! common; `start` makes one by its name.

mod axum_login;
mod axum_oidc;
mod contender;
mod floors;
mod jsonwebtoken;
mod jwt_authorizer;
mod ours;
mod private_cookie;
mod redis_get;

pub use contender::{Client, Contender};
pub use ours::app;

use crate::surroundings::Surroundings;

/// The contender that all others are compared with.
pub const BARE: &str = "bare";

/// All names, in the order of the table.
pub const NAMES: [&str; 28] = [
    BARE,
    "floor+",
    "floor+wrap",
    "floor+wrap, browser",
    "floor+wrap, foreign",
    "floor+wrap, fields",
    "floor+wrap, no cookie",
    "ours",
    "ours, keep_body",
    "ours, browser",
    "ours, browser, keep_body",
    "ours, foreign",
    "ours, fields",
    "ours, anew",
    "ours, public",
    "ours, public, keep_body",
    "ours, public with our cookie",
    "ours, MemoryStore",
    "ours, MemoryStore, keep_body",
    "GET from Redis",
    "ours, RedisStore",
    "axum-login, MemoryStore",
    "axum-login, MokaStore",
    "axum-login, RedisStore",
    "PrivateCookieJar",
    "jsonwebtoken",
    "jwt-authorizer",
    "axum-oidc",
];

/// Starts one contender; its users are signed in.
pub async fn start(name: &'static str, around: &Surroundings) -> Contender {
    match name {
        BARE => floors::bare(),
        "PrivateCookieJar" => private_cookie::start(around),
        "GET from Redis" => redis_get::start(around).await,
        "jsonwebtoken" => jsonwebtoken::start(around).await,
        "jwt-authorizer" => jwt_authorizer::start(around).await,
        "axum-oidc" => axum_oidc::start(around).await,
        _ if name.starts_with("floor") => floors::start(name),
        _ if name.starts_with("axum-login") => axum_login::start(name, around).await,
        _ => ours::start(name, around).await,
    }
}
