//! Whether the machine keeps up: what a bystander waits for is no fault of the layer's.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use redis::{RedisResult, aio::MultiplexedConnection};
use tokio::time::sleep;

use crate::timeline::now;

/// Between two beats.
const REST: Duration = Duration::from_millis(50);

/// A beat takes a few milliseconds. One that takes so long leaves a request, which has several
/// exchanges with Redis and a quarter of a second for each, no time to spare.
const LATE: Duration = Duration::from_millis(100);

/// More than are needed to explain what happens now.
const REMEMBERED: usize = 100;

/// The pulse of a machine: a bystander on the runtime of each instance asks Redis something small, by
/// the way that the instance takes.
#[derive(Default)]
pub struct Pulse {
    inner: Mutex<Inner>,
    bystanders: AtomicU64,
}

#[derive(Default)]
struct Inner {
    /// When the beat of each bystander that is under way has begun.
    under_way: HashMap<u64, SystemTime>,
    stalls: Stalls,
}

/// From when to when beats were late, in the order of their ends.
#[derive(Default)]
struct Stalls {
    latest: VecDeque<(SystemTime, SystemTime)>,
    /// All of it, what is forgotten too.
    total: Duration,
}

/// A bystander that stands by until it is dropped, with its runtime mostly.
struct Bystander {
    pulse: Arc<Pulse>,
    number: u64,
}

impl Pulse {
    /// Beats until the runtime that it is called on is gone.
    pub async fn beat(self: Arc<Self>, url: String) {
        let client = redis::Client::open(url).expect("a URL");
        let number = self.bystanders.fetch_add(1, Ordering::Relaxed);
        let bystander = Bystander { pulse: self, number };
        let mut connection = None;
        loop {
            sleep(REST).await;
            bystander.begin();
            // An error is the fault that has been made to happen; the time that it took counts.
            connection = exchange(&client, connection).await.ok();
            bystander.end();
        }
    }

    /// Whether beats were late within `slack` before a request, or while it was under way.
    pub fn was_late(&self, asked: SystemTime, answered: SystemTime, slack: Duration) -> bool {
        let inner = self.lock();
        inner.under_way.values().any(|begun| *begun + LATE <= answered)
            || inner.stalls.touch(asked, answered, slack)
    }

    /// For how long beats were late, all in all.
    pub fn late_in_all(&self) -> Duration {
        self.lock().stalls.total
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stalls {
    /// Takes in a beat.
    fn note(&mut self, from: SystemTime, to: SystemTime) {
        if from + LATE > to {
            return;
        }
        let known = self.latest.back().map_or(from, |(_, end)| from.max(*end));
        self.total += to.duration_since(known).unwrap_or_default();
        match self.latest.back_mut() {
            // One after the other is one that lasts.
            Some(last) if from <= last.1 + LATE => *last = (last.0.min(from), to.max(last.1)),
            _ => self.latest.push_back((from, to)),
        }
        if self.latest.len() > REMEMBERED {
            self.latest.pop_front();
        }
    }

    fn touch(&self, asked: SystemTime, answered: SystemTime, slack: Duration) -> bool {
        self.latest.iter().any(|(from, to)| asked <= *to + slack && *from <= answered)
    }
}

impl Bystander {
    fn begin(&self) {
        self.pulse.lock().under_way.insert(self.number, now());
    }

    fn end(&self) {
        let mut inner = self.pulse.lock();
        if let Some(from) = inner.under_way.remove(&self.number) {
            inner.stalls.note(from, now());
        }
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.pulse.lock().under_way.remove(&self.number);
    }
}

/// Asks the primary something, over the connection of the last time where that still leads to it.
async fn exchange(
    client: &redis::Client,
    connection: Option<MultiplexedConnection>,
) -> RedisResult<MultiplexedConnection> {
    let mut connection = match connection {
        Some(connection) => connection,
        None => client.get_multiplexed_async_connection().await?,
    };
    let info: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await?;
    if info.contains("role:master") {
        Ok(connection)
    } else {
        client.get_multiplexed_async_connection().await
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// A slow machine excuses what it has slowed down, and no more.
    #[test]
    fn only_a_late_beat_that_a_request_has_met_excuses_it() {
        let mut stalls = Stalls::default();
        for (from, to) in [(1_000, 1_099), (5_000, 5_300), (5_100, 5_400), (5_450, 5_600)] {
            stalls.note(at(from), at(to));
        }
        assert_eq!(stalls.total, Duration::from_millis(300 + 100 + 150));
        for (asked, answered, met) in [
            (900, 1_200, false),
            (4_000, 4_999, false),
            (4_000, 5_000, true),
            (5_425, 5_425, true),
            (6_600, 7_000, true),
            (6_601, 7_000, false),
        ] {
            let touched = stalls.touch(at(asked), at(answered), Duration::from_secs(1));
            assert_eq!(touched, met, "from {asked} to {answered}");
        }
    }
}
