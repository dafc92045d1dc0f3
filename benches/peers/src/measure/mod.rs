//! The ways of measuring: `wall` the time of one request on one thread, `throughput` many tasks on
//! two, `allocations` by the allocator's count, `instructions` under valgrind.

pub mod allocations;
pub mod instructions;
pub mod throughput;
pub mod wall;

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tower_lp_auth::{Clock, SystemClock};

use crate::{
    contenders::{Contender, NAMES, start},
    surroundings::Surroundings,
};

/// What is measured of one contender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub wall: wall::Wall,
    pub allocations: f64,
    pub throughput: throughput::Throughput,
    pub instructions: Option<u64>,
}

/// Everything runs on the thread that blocks on it.
pub fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

pub fn two_threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// All contenders, each with its users signed in and its answers checked.
pub async fn start_all(around: &Surroundings) -> Vec<Contender> {
    let mut contenders = Vec::new();
    for name in NAMES {
        let contender = start(name, around).await;
        contender.check().await;
        contenders.push(contender);
    }
    contenders
}

/// The time that this clock shows, from an origin of its own.
pub fn now() -> Duration {
    SystemClock::default().monotonic()
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
