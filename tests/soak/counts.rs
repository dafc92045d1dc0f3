//! What is counted, and the table that is printed of it.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::timeline::{Fault, Timeline};

/// All counts of a soak.
#[derive(Default)]
pub struct Counts {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    rows: BTreeMap<String, u64>,
    quiet: Latencies,
    troubled: Latencies,
    /// The first of what nobody can explain, for a person to read.
    riddles: Vec<String>,
    /// Why and when the session of a user was last ended by an instance.
    ended: HashMap<String, (&'static str, SystemTime)>,
}

/// Enough to understand what went wrong.
const RIDDLES: usize = 20;

impl Counts {
    pub fn add(&self, row: impl Into<String>) {
        *self.lock().rows.entry(row.into()).or_default() += 1;
    }

    pub fn set(&self, row: impl Into<String>, count: u64) {
        self.lock().rows.insert(row.into(), count);
    }

    pub fn get(&self, row: &str) -> u64 {
        self.lock().rows.get(row).copied().unwrap_or_default()
    }

    /// Counts something that must not happen.
    pub fn riddle(&self, row: &str, text: impl FnOnce() -> String) {
        self.add(row);
        // Whoever tells looks things up here: before the lock is taken.
        let riddle = format!("{row}: {}", text());
        let mut inner = self.lock();
        if inner.riddles.len() < RIDDLES {
            inner.riddles.push(riddle);
        }
    }

    /// The most important of it in a few words.
    pub fn so_far(&self) -> String {
        let (requests, riddles) = (self.get("requests"), self.riddles().len());
        format!("{requests} requests and {riddles} riddles")
    }

    pub fn riddles(&self) -> Vec<String> {
        self.lock().riddles.clone()
    }

    pub fn took(&self, latency: Duration, troubled: bool) {
        let mut inner = self.lock();
        let latencies = if troubled { &mut inner.troubled } else { &mut inner.quiet };
        latencies.add(latency);
    }

    pub fn session_ended(&self, user: &str, reason: &'static str, at: SystemTime) {
        self.lock().ended.insert(user.to_owned(), (reason, at));
    }

    /// Why a user's session was last ended, if that was after `since`.
    pub fn end_since(&self, user: &str, since: SystemTime) -> Option<&'static str> {
        let inner = self.lock();
        inner.ended.get(user).filter(|(_, at)| *at >= since).map(|(reason, _)| *reason)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.lock();
        for (row, count) in &inner.rows {
            writeln!(f, "{row:<58} {count:>12}")?;
        }
        for (when, latencies) in [("quiet", &inner.quiet), ("with faults", &inner.troubled)] {
            for part in [0.5, 0.99] {
                let row = format!("latency: p{}, {when}, in ms", part * 100.0);
                let millis = latencies.quantile(part).as_secs_f64() * 1000.0;
                writeln!(f, "{row:<58} {millis:>12.1}")?;
            }
        }
        inner.riddles.iter().try_for_each(|riddle| writeln!(f, "! {riddle}"))
    }
}

/// Latencies by size, sixteen to an octave: exact to five in a hundred, and of a fixed size.
#[derive(Default)]
struct Latencies {
    counts: BTreeMap<i32, u64>,
}

const PER_OCTAVE: f64 = 16.0;

impl Latencies {
    fn add(&mut self, latency: Duration) {
        let micros = latency.as_secs_f64().max(1e-6) * 1e6;
        *self.counts.entry((micros.log2() * PER_OCTAVE).ceil() as i32).or_default() += 1;
    }

    fn quantile(&self, part: f64) -> Duration {
        let all: u64 = self.counts.values().sum();
        let wanted = (all as f64 * part).ceil() as u64;
        let mut below = 0;
        let bucket = self.counts.iter().find(|(_, count)| {
            below += **count;
            below >= wanted
        });
        let micros = bucket.map_or(0.0, |(at, _)| (f64::from(*at) / PER_OCTAVE).exp2());
        Duration::from_secs_f64(micros / 1e6)
    }
}

/// Refresh tokens that were presented more than once.
///
/// Sentinel counts how often a spent one came; this says whether a fault explains it.
#[derive(Default)]
pub struct Presented {
    /// When a token came for the first time, and last.
    tokens: HashMap<u64, (SystemTime, SystemTime)>,
}

/// A token that is presented again is so within the first minutes.
const REMEMBERED: Duration = Duration::from_secs(600);

impl Presented {
    /// Takes in a presentation; one that is known already changes nothing.
    pub fn note(&mut self, token: u64, at: SystemTime, timeline: &Timeline, counts: &Counts) {
        let (first, last) = self.tokens.entry(token).or_insert((at, at));
        if at <= *last {
            return;
        }
        let before = *last;
        *last = at;
        match timeline.explains_lost_refresh(before).or(timeline.explains_lost_refresh(*first)) {
            Some(fault) => counts.add(reused(fault)),
            // What was refused unseen is no use.
            None if timeline.sentinel_was_down(before) => {
                counts.add("refreshes: repeated after sentinel's 503");
            }
            None => {
                counts.add("refreshes: token presented again, no fault explains it");
                let pause = at.duration_since(before).unwrap_or_default();
                eprintln!("soak: a token came again after {pause:?}, {}", timeline.around(before));
            }
        }
    }

    pub fn forget_old(&mut self, now: SystemTime) {
        self.tokens.retain(|_, (_, last)| *last + REMEMBERED > now);
    }
}

/// The row of spent tokens that a fault explains.
pub fn reused(fault: Fault) -> String {
    format!("refreshes: repeated, answer lost when {fault}")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// What a soak cannot explain must not stop it.
    #[test]
    fn who_tells_a_riddle_may_look_things_up() {
        let counts = Counts::default();
        counts.session_ended("somebody", "logged_out", UNIX_EPOCH);
        counts.riddle("lost", || format!("{:?}", counts.end_since("somebody", UNIX_EPOCH)));
        assert_eq!(counts.riddles(), [r#"lost: Some("logged_out")"#]);
    }
}
