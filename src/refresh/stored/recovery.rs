//! What a fail-over of the store may have lost is written again.
//!
//! A store that answers over a new connection may have lost its last acknowledged writes. Each
//! instance repeats its deletions and refresh results of the last minute before it serves another
//! request from there.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::JoinSet;

use super::Depot;
use crate::{
    refresh::keeper::Keeper,
    session::{Lookup, Opened, StoreError, Swap, Version, Voucher},
};

/// Writes older than this have reached every replica, or are lost for good.
const REMEMBERED: Duration = Duration::from_secs(60);

/// At most this many writes of each kind are remembered, the latest.
const MOST: usize = 20_000;

/// So many writes are repeated at once.
const AT_ONCE: usize = 64;

/// The latest writes, and how far the store is believed.
pub(super) struct Recovery {
    /// The epoch whose writes are all there.
    epoch: AtomicU64,
    /// Held by the one that repeats the writes.
    repeating: tokio::sync::Mutex<()>,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    deleted: VecDeque<(Duration, Arc<str>)>,
    written: VecDeque<(Duration, Arc<Opened>)>,
}

impl Recovery {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch: AtomicU64::new(epoch),
            repeating: tokio::sync::Mutex::default(),
            latest: Mutex::default(),
        }
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a write, and forgets those that need not be repeated any more.
fn note<T>(writes: &mut VecDeque<(Duration, T)>, now: Duration, write: T) {
    while writes.len() >= MOST
        || writes.front().is_some_and(|(at, _)| now.saturating_sub(*at) > REMEMBERED)
    {
        writes.pop_front();
    }
    writes.push_back((now, write));
}

fn recent<T: Clone>(writes: &VecDeque<(Duration, T)>, now: Duration) -> Vec<T> {
    let is_recent = |at: &Duration| now.saturating_sub(*at) <= REMEMBERED;
    writes.iter().filter(|(at, _)| is_recent(at)).map(|(_, write)| write.clone()).collect()
}

impl Keeper {
    /// Notes that a record has been deleted.
    pub(super) fn note_deleted(&self, depot: &Depot, key: &str) {
        let mut latest = depot.recovery.latest();
        note(&mut latest.deleted, self.clock.monotonic(), key.into());
    }

    /// Notes that the result of a refresh has been written.
    pub(super) fn note_written(&self, depot: &Depot, opened: &Arc<Opened>) {
        let mut latest = depot.recovery.latest();
        note(&mut latest.written, self.clock.monotonic(), Arc::clone(opened));
    }

    /// Loads a record; over a new connection only after what may have been lost is there again.
    pub(super) async fn load_caught_up(
        self: &Arc<Self>,
        depot: &Depot,
        voucher: &Arc<Voucher>,
        known: Option<Version>,
    ) -> Result<Lookup, StoreError> {
        loop {
            let epoch = depot.recovery.epoch.load(Ordering::Acquire);
            let lookup = depot.vault.load(voucher, known).await?;
            if depot.vault.epoch() == epoch {
                return Ok(lookup);
            }
            Box::pin(self.catch_up(depot)).await?;
        }
    }

    async fn catch_up(self: &Arc<Self>, depot: &Depot) -> Result<(), StoreError> {
        let _alone = depot.recovery.repeating.lock().await;
        let epoch = depot.vault.epoch();
        if depot.recovery.epoch.load(Ordering::Acquire) == epoch {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let (deleted, written) = {
            let latest = depot.recovery.latest();
            (recent(&latest.deleted, now), recent(&latest.written, now))
        };
        let count = deleted.len() + written.len();
        let mut tasks = JoinSet::new();
        let repeats =
            deleted.into_iter().map(Repeat::Delete).chain(written.into_iter().map(Repeat::Write));
        for repeat in repeats {
            if tasks.len() >= AT_ONCE {
                finished(tasks.join_next().await)?;
            }
            let keeper = Arc::clone(self);
            tasks.spawn(async move { keeper.repeat(repeat).await });
        }
        while let Some(result) = tasks.join_next().await {
            finished(Some(result))?;
        }
        if count > 0 {
            tracing::info!(count, "the latest writes are repeated over a new store connection");
        }
        depot.recovery.epoch.store(epoch, Ordering::Release);
        Ok(())
    }

    async fn repeat(self: Arc<Self>, repeat: Repeat) -> Result<(), StoreError> {
        let Some(depot) = &self.depot else { return Ok(()) };
        match repeat {
            Repeat::Delete(key) => depot.vault.delete_key(&key).await,
            Repeat::Write(result) => self.rewrite(depot, &result).await,
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
            if found.session.pair.generation >= result.session.pair.generation {
                return Ok(());
            }
            if depot.vault.update(version, result, self.now()).await? != Swap::Changed {
                return Ok(());
            }
        }
    }
}

enum Repeat {
    Delete(Arc<str>),
    Write(Arc<Opened>),
}

/// A task that broke leaves its write unrepeated: the store is not believed yet.
fn finished(
    result: Option<Result<Result<(), StoreError>, tokio::task::JoinError>>,
) -> Result<(), StoreError> {
    match result {
        Some(Ok(repeated)) => repeated,
        Some(Err(broken)) => Err(StoreError::Unavailable(broken.into())),
        None => Ok(()),
    }
}
