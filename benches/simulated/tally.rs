//! What all users do, second by second.

use std::iter;

const DAY: usize = 24 * 3600;

/// Refreshes are counted apart up to this one of a session.
const GENERATIONS: usize = 16;

/// What is counted, by the second.
pub(crate) struct Tally {
    pub(crate) logins: Vec<u64>,
    pub(crate) calls: Vec<u64>,
    /// How often activity is noted.
    pub(crate) notes: Vec<u64>,
    /// Seconds of work that begin and end; the running sum is how many users work.
    work: Vec<i64>,
    pub(crate) generations: Vec<Vec<u64>>,
    pub(crate) vain: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let seconds = || vec![0; DAY];
        Self {
            logins: seconds(),
            calls: seconds(),
            notes: seconds(),
            work: vec![0; DAY],
            generations: iter::repeat_with(seconds).take(GENERATIONS).collect(),
            vain: 0,
        }
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        add(&mut self.logins, &other.logins);
        add(&mut self.calls, &other.calls);
        add(&mut self.notes, &other.notes);
        self.work.iter_mut().zip(&other.work).for_each(|(sum, it)| *sum += it);
        self.generations.iter_mut().zip(&other.generations).for_each(|(sum, it)| add(sum, it));
        self.vain += other.vain;
        self
    }

    pub(crate) fn works(&mut self, begin: f64, end: f64) {
        self.work[second(begin)] += 1;
        self.work[second(end)] -= 1;
    }

    /// How many users work, second by second.
    pub(crate) fn working(&self) -> Vec<u64> {
        let sums = self.work.iter().scan(0, |sum, change| {
            *sum += change;
            Some(u64::try_from(*sum).unwrap_or(0))
        });
        sums.collect()
    }
}

fn add(sums: &mut [u64], others: &[u64]) {
    sums.iter_mut().zip(others).for_each(|(sum, it)| *sum += it);
}

pub(crate) fn second(time: f64) -> usize {
    (time as usize).min(DAY - 1)
}

pub(crate) fn most(counts: &[u64], from: f64, to: f64) -> u64 {
    counts[second(from)..second(to)].iter().copied().max().unwrap_or(0)
}

pub(crate) fn mean(counts: &[u64], from: f64, to: f64) -> u64 {
    let part = &counts[second(from)..second(to)];
    part.iter().sum::<u64>() / part.len().max(1) as u64
}

/// The second by which `part` of all has happened.
pub(crate) fn quantile(counts: &[u64], part: f64) -> usize {
    let wanted = part * counts.iter().sum::<u64>() as f64;
    let mut sum = 0;
    let reached = |count: &u64| {
        sum += count;
        sum as f64 >= wanted
    };
    counts.iter().position(reached).unwrap_or(DAY)
}
