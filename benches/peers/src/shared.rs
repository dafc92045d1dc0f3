//! What the crate's own benches have already: floors, header fields, logins at MockSentinel.

#![allow(dead_code, unreachable_pub, reason = "shared with targets that use other parts")]

#[path = "../../contenders/floor.rs"]
mod floor;
#[path = "../../contenders/headers.rs"]
mod headers;
#[path = "../../contenders/login.rs"]
mod login;

pub use self::{
    floor::{FloorLayer, Guest, WrapLayer},
    headers::{browser, cookie, fields, shared},
    login::Logins,
};
