//! Wall clock of one request on one thread: rounds in which every contender has a batch of requests,
//! in an order drawn anew, so that what disturbs the machine disturbs all alike. Ratios are taken
//! within a round.

use std::time::Duration;

use super::{median, now};
use crate::{
    contenders::{BARE, Client, Contender},
    random::Random,
};

const ROUNDS: usize = 201;
const BATCH: Duration = Duration::from_millis(2);

/// Before anything is timed, everything that happens once has happened.
const WARM_UP: usize = 500;

/// Nanoseconds of one request, and what they are to others' of the same round.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wall {
    pub median: f64,
    pub least: f64,
    pub to_bare: f64,
    pub to_floor: f64,
}

struct Lane<'a> {
    contender: &'a Contender,
    client: Client,
    batch: usize,
    /// By round.
    nanos: Vec<f64>,
}

pub async fn measure(contenders: &[Contender]) -> Vec<Wall> {
    let mut lanes = Vec::new();
    for contender in contenders {
        lanes.push(Lane::warmed_up(contender).await);
    }
    let mut order: Vec<usize> = (0..lanes.len()).collect();
    let mut random = Random::seeded(1);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &at in &order {
            let nanos = lanes[at].time().await;
            lanes[at].nanos.push(nanos);
        }
    }
    lanes.iter().map(|lane| lane.summary(&lanes)).collect()
}

impl<'a> Lane<'a> {
    async fn warmed_up(contender: &'a Contender) -> Self {
        let mut lane =
            Self { contender, client: contender.client(), batch: WARM_UP, nanos: Vec::new() };
        let each = lane.time().await;
        lane.batch = ((BATCH.as_nanos() as f64 / each) as usize).max(1);
        lane
    }

    /// Nanoseconds of one request, by one batch.
    async fn time(&mut self) -> f64 {
        let before = now();
        self.client.ask_times(self.batch).await;
        (now() - before).as_nanos() as f64 / self.batch as f64
    }

    fn summary(&self, lanes: &[Lane<'_>]) -> Wall {
        Wall {
            median: median(self.nanos.clone()),
            least: self.nanos.iter().copied().fold(f64::INFINITY, f64::min),
            to_bare: self.ratio_to(BARE, lanes),
            to_floor: self.ratio_to(self.contender.floor, lanes),
        }
    }

    fn ratio_to(&self, name: &str, lanes: &[Lane<'_>]) -> f64 {
        let other = lanes.iter().find(|lane| lane.contender.name == name).expect("a contender");
        median(self.nanos.iter().zip(&other.nanos).map(|(own, other)| own / other).collect())
    }
}
