//! What the tests share: an application behind the layer on a real socket, MockSentinel, and a
//! browser that keeps cookies as RFC 6265bis says.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part of it"
)]

mod app;
mod browser;
mod direct;
mod jar;
mod quickstart;
pub mod redis;
mod steps;
mod token_client;
mod webdriver;

pub use app::{App, AppBuilder, FROM_APP, counted, routes};
pub use browser::{Browser, FETCH, FORM, NAVIGATE, Page, read};
pub use direct::{Direct, raw};
pub use jar::Jar;
pub use quickstart::{Quickstart, example_program, free_port, sign_in};
pub use steps::{Logs, eventually, raw_get};
pub use token_client::TokenClient;
pub use webdriver::Chromium;

/// The user that `Browser::sign_in` signs in as, unless told otherwise: MockSentinel's agent.
pub const AGENT: &str = "3552833710";

mod cluster;
mod counters;
mod fleet;
mod in_process;
mod instance;
mod rigged_store;
mod setbacks;
mod watch;

pub use cluster::{Cluster, ClusterBuilder};
pub use counters::Counters;
pub use fleet::Fleet;
pub use in_process::{fetch_token, fetch_with, page_of, token_service};
pub use instance::{Instance, LEASE, Surroundings};
pub use rigged_store::{Call, Life, Mishap, RiggedStore, Verb};
pub use setbacks::{Setback, retry_after, setbacks};
pub use watch::{Ends, until};
