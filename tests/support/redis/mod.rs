//! Real Redis servers, pairs and clusters on free loopback ports, and a TCP proxy that misbehaves on
//! demand. All of it ends when it is dropped.

mod cluster;
mod pair;
mod proxy;
mod server;
mod tls;

pub use cluster::Cluster;
pub use pair::Pair;
pub use proxy::{FaultProxy, Mode};
pub use server::RedisServer;
pub use tls::Authority;
