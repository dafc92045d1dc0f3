//! How much a store keeps over all its shards.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The places of one store; each kind has its own.
pub(super) struct Room {
    pub(super) records: Places,
    pub(super) leases: Places,
    pub(super) entries: Places,
}

/// A bounded number of places.
pub(super) struct Places {
    taken: AtomicUsize,
    limit: usize,
}

impl Room {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            records: Places::new(limit),
            leases: Places::new(limit),
            entries: Places::new(limit),
        }
    }
}

impl Places {
    const fn new(limit: usize) -> Self {
        Self { taken: AtomicUsize::new(0), limit }
    }

    /// Takes a place; says whether there was one.
    #[must_use]
    pub(super) fn take(&self) -> bool {
        let more = |taken| (taken < self.limit).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(super) fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::Relaxed);
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }
}
