//! What a fail-over of the store may have lost is written again.
//!
//! A store that answers over a new connection may have lost its last acknowledged writes. Each
//! instance repeats its deletions and refresh results of the last minute, at once and by itself, and
//! before it serves another request from there.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::plan::lacks;
use crate::{
    refresh::{depot::Depot, keeper::Keeper, latest::Write},
    session::{Lookup, Opened, StoreError, Swap, Version, Voucher},
};

/// While there are writes that could get lost, the connection is looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// So long a request waits for the writes to be repeated.
const WAIT_AT_MOST: Duration = Duration::from_millis(250);

/// So many writes are repeated at once.
const AT_ONCE: usize = 64;

/// A request asks at most so often over connections that keep changing.
const MOST_ROUNDS: usize = 3;

impl Keeper {
    /// Notes that a record is being deleted.
    pub(super) fn note_deleted(self: &Arc<Self>, depot: &Depot, key: &str) {
        depot.recovery.latest().note(self.clock.monotonic(), key, Write::Deletion);
        self.look_after_writes(depot);
    }

    /// Notes that the result of a refresh has been written.
    pub(super) fn note_written(self: &Arc<Self>, depot: &Depot, opened: &Arc<Opened>) {
        let Some(stored) = &opened.stored else { return };
        let write = Write::Result(Arc::clone(opened));
        depot.recovery.latest().note(self.clock.monotonic(), &stored.voucher.key, write);
        self.look_after_writes(depot);
    }

    /// Loads a record; over a new connection only after what may have been lost is there again.
    pub(super) async fn load_caught_up(
        self: &Arc<Self>,
        depot: &Depot,
        voucher: &Arc<Voucher>,
        known: Option<Version>,
    ) -> Result<Lookup, StoreError> {
        for _ in 0..MOST_ROUNDS {
            self.notice_connection(depot);
            if depot.recovery.is_busy() {
                // Boxed, since it is rare: the future of every request would be as large.
                Box::pin(self.catch_up(depot, &voucher.key)).await?;
            }
            let epoch = depot.recovery.epoch.load(Ordering::Acquire);
            let lookup = depot.vault.load(voucher, known).await?;
            if depot.vault.epoch() == epoch {
                return Ok(lookup);
            }
        }
        Err(StoreError::Unavailable("its connections keep changing".into()))
    }

    /// Whether a record still is the version `known`, where that can be said at once: over the same
    /// connection as ever, or after what may have been lost is there again.
    pub(super) fn is_unchanged(&self, voucher: &Voucher, known: Version) -> bool {
        let Some(depot) = &self.depot else { return false };
        let epoch = depot.recovery.epoch.load(Ordering::Acquire);
        // In this order: what has made the store's epoch rise is noticed by whoever loads.
        depot.vault.epoch() == epoch
            && !depot.recovery.is_busy()
            && depot.vault.is_unchanged(voucher, known)
            && depot.vault.epoch() == epoch
    }

    /// Waits until the latest writes are repeated; the one to `key` has to be.
    async fn catch_up(self: &Arc<Self>, depot: &Depot, key: &str) -> Result<(), StoreError> {
        let recovery = &depot.recovery;
        self.look_after_writes(depot);
        recovery.work.notify_one();
        // Out of patience or not: what counts is whether this record is among those left.
        let _ = timeout(WAIT_AT_MOST, recovery.until_idle()).await;
        if recovery.latest().is_pending(key) {
            return Err(StoreError::Unavailable("its latest writes are being repeated".into()));
        }
        Ok(())
    }

    /// Doubts the latest writes if the connection is another.
    fn notice_connection(&self, depot: &Depot) {
        let recovery = &depot.recovery;
        let epoch = depot.vault.epoch();
        if recovery.epoch.load(Ordering::Acquire) == epoch {
            return;
        }
        let mut latest = recovery.latest();
        latest.doubt(self.clock.monotonic());
        recovery.note_busy(&latest);
        recovery.epoch.store(epoch, Ordering::Release);
    }

    /// Sees to it that a task looks at the connection, and repeats what is to be repeated.
    fn look_after_writes(self: &Arc<Self>, depot: &Depot) {
        if !depot.recovery.working.swap(true, Ordering::AcqRel) {
            let worker = Worker { keeper: Arc::downgrade(self), settled: false };
            tokio::spawn(worker.run());
        }
    }

    /// Repeats what is to be repeated, each write by itself; what fails stays to be repeated.
    async fn repeat_pending(self: &Arc<Self>, depot: &Depot) {
        let pending = depot.recovery.latest().pending();
        if pending.is_empty() {
            return;
        }
        let count = pending.len();
        let mut tasks = JoinSet::new();
        for (key, write) in pending {
            if tasks.len() >= AT_ONCE {
                tasks.join_next().await;
            }
            tasks.spawn(Arc::clone(self).repeat(key, write));
        }
        // A task that broke leaves its write to be repeated.
        while tasks.join_next().await.is_some() {}
        let latest = depot.recovery.latest();
        let left = latest.pending().len();
        depot.recovery.note_busy(&latest);
        drop(latest);
        if left < count {
            let repeated = count - left;
            tracing::info!(repeated, left, "latest writes repeated over a new store connection");
        }
    }

    async fn repeat(self: Arc<Self>, key: Arc<str>, write: Write<Arc<Opened>>) {
        let Some(depot) = &self.depot else { return };
        let repeated = match write {
            Write::Deletion => depot.vault.delete_key(&key).await,
            Write::Result(result) => self.rewrite(depot, &result).await,
        };
        if repeated.is_ok() {
            depot.recovery.latest().repeated(&key);
        }
    }

    /// Writes a result again where the record shows an older generation.
    async fn rewrite(&self, depot: &Depot, result: &Opened) -> Result<(), StoreError> {
        let Some(stored) = &result.stored else { return Ok(()) };
        loop {
            let Lookup::Found(found) = depot.vault.load(&stored.voucher, None).await? else {
                return Ok(());
            };
            let Some(version) = found.version() else { return Ok(()) };
            if !lacks(found.session.pair.generation, result.session.pair.generation) {
                return Ok(());
            }
            if depot.vault.update(version, result, self.now()).await? != Swap::Changed {
                return Ok(());
            }
        }
    }
}

/// Looks after the latest writes until none can get lost any more. It keeps no layer alive.
struct Worker {
    keeper: Weak<Keeper>,
    /// Whether it has ended by itself, and said so.
    settled: bool,
}

impl Worker {
    async fn run(mut self) {
        while let Some(keeper) = self.keeper.upgrade() {
            let Some(depot) = &keeper.depot else { return };
            keeper.notice_connection(depot);
            keeper.repeat_pending(depot).await;
            let recovery = Arc::clone(&depot.recovery);
            {
                // Under the lock: whoever notes a write after this starts another.
                let mut latest = recovery.latest();
                if latest.is_settled(keeper.clock.monotonic()) {
                    recovery.working.store(false, Ordering::Release);
                    self.settled = true;
                    return;
                }
            }
            drop(keeper);
            // Woken or not: it looks again.
            let _ = timeout(LOOK_EVERY, recovery.work.notified()).await;
        }
    }
}

impl Drop for Worker {
    /// A panic, or the end of the runtime: the next write starts another.
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.upgrade()
            && let Some(depot) = &keeper.depot
            && !self.settled
        {
            depot.recovery.working.store(false, Ordering::Release);
        }
    }
}
