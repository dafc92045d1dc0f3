//! The layer under load, for `scripts/load.sh`: `serve.rs` over sockets, `storm.rs` many requests on
//! one expired session, `sessions.rs` requests on up to a million sessions.

mod serve;
mod sessions;
mod storm;

pub use serve::serve;
pub use sessions::sessions;
pub use storm::storm;
