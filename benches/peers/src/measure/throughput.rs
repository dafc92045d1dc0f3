//! Requests a second of 64 tasks on a runtime of two threads, as ratios to the bare router's within
//! the same round: all tasks of one session, and each of a session of its own.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{median, now};
use crate::{
    contenders::{BARE, Contender},
    random::Random,
};

/// As many tasks, and as many sessions where each has its own.
pub const TASKS: usize = 64;

const ROUNDS: usize = 31;
const BATCH: Duration = Duration::from_millis(20);

/// The first guess at how often each task asks.
const WARM_UP: usize = 20;

/// Requests a second, the bare router's being 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Throughput {
    /// `None` where one session would not be the same case as many.
    pub one_session: Option<f64>,
    pub many_sessions: f64,
    /// The same to what the contender is compared with.
    pub many_to_floor: f64,
}

/// Whose requests the tasks send.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spread {
    One,
    Many,
}

struct Lane<'a> {
    contender: &'a Contender,
    spread: Spread,
    /// Requests of each task.
    each: usize,
    /// Requests a second, by round.
    rates: Vec<f64>,
}

pub async fn measure(contenders: &[Contender]) -> Vec<Throughput> {
    let mut lanes = Vec::new();
    for contender in contenders {
        for spread in [Spread::One, Spread::Many] {
            lanes.push(Lane::warmed_up(contender, spread).await);
        }
    }
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    let mut random = Random::seeded(2);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &at in &order {
            let rate = lanes[at].rate().await;
            lanes[at].rates.push(rate);
        }
    }
    contenders.iter().map(|contender| summary(contender, &lanes)).collect()
}

fn summary(contender: &Contender, lanes: &[Lane<'_>]) -> Throughput {
    let ratio = |spread, other| {
        let rates = |name| {
            let same = |lane: &&Lane<'_>| lane.contender.name == name && lane.spread == spread;
            &lanes.iter().find(same).expect("a lane for each contender").rates
        };
        let pairs = rates(contender.name).iter().zip(rates(other));
        median(pairs.map(|(own, other)| own / other).collect())
    };
    Throughput {
        one_session: contender.shares_sessions.then(|| ratio(Spread::One, BARE)),
        many_sessions: ratio(Spread::Many, BARE),
        many_to_floor: ratio(Spread::Many, contender.floor),
    }
}

impl<'a> Lane<'a> {
    async fn warmed_up(contender: &'a Contender, spread: Spread) -> Self {
        let mut lane = Self { contender, spread, each: WARM_UP, rates: Vec::new() };
        let rate = lane.rate().await;
        lane.each = ((rate * BATCH.as_secs_f64()) as usize / TASKS).max(1);
        lane
    }

    async fn rate(&self) -> f64 {
        let mut tasks = JoinSet::new();
        let before = now();
        for task in 0..TASKS {
            let session = if self.spread == Spread::One { 0 } else { task };
            let (mut client, each) = (self.contender.client_of(session), self.each);
            tasks.spawn(async move { client.ask_times(each).await });
        }
        tasks.join_all().await;
        (TASKS * self.each) as f64 / (now() - before).as_secs_f64()
    }
}
