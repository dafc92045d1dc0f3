//! How often a cluster may have lost writes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Troubles within this time are one: a node that is down fails every call to it.
const ONE_TROUBLE: Duration = Duration::from_secs(1);

/// Counts troubles that a fail-over may be behind; the last of several is counted when it is over.
#[derive(Debug, Default)]
pub(super) struct Shaken {
    times: AtomicU64,
    /// There was trouble that is not counted yet.
    goes_on: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Shaken {
    pub(super) fn note(&self) {
        self.goes_on.store(true, Ordering::Release);
        self.count();
    }

    pub(super) fn times(&self) -> u64 {
        if self.goes_on.load(Ordering::Acquire) {
            self.count();
        }
        self.times.load(Ordering::Acquire)
    }

    fn count(&self) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if last.is_none_or(|last| now.duration_since(last) >= ONE_TROUBLE) {
            *last = Some(now);
            self.goes_on.store(false, Ordering::Release);
            self.times.fetch_add(1, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn troubles_within_a_second_are_one() {
        let shaken = Shaken::default();
        for _ in 0..100 {
            shaken.note();
        }
        assert_eq!(shaken.times(), 1);
        // What came after the first may have been another.
        tokio::time::advance(ONE_TROUBLE).await;
        assert_eq!(shaken.times(), 2);
        tokio::time::advance(ONE_TROUBLE).await;
        assert_eq!(shaken.times(), 2);
    }
}
