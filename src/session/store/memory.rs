//! Sessions in this process: bounded, expiring, without a lock that all requests share.
//!
//! Here stands what each verb does. [`shard`] keeps a part of the keys behind a lock of its own and
//! clears away what is over, [`room`] counts what is kept over all shards, and [`content`] holds
//! bytes that are wiped when nobody needs them any more.

mod content;
mod room;
mod shard;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use quick_cache::DefaultHashBuilder;

use self::{
    room::{Places, Room},
    shard::{Kept, Moment, Open, Shard},
};
use super::{
    IndexEntry, Lease, LeaseOwner, Leased, SessionStore, StoreError, StoredRecord, Swap, Version,
};
use crate::{Clock, SystemClock, error::BoxFuture};

/// Keeps sessions in this process, up to a number of your choice.
///
/// What the browser holds is then only a sealed id. Sessions end with the process, and no other
/// process knows them: for several instances, or restarts that sign nobody out, take a store outside.
/// Records are not sealed here (whoever reads this process's memory has the keys too) and are wiped
/// when they are deleted, replaced or swept out.
///
/// Clones share their content, so several layers can have one store.
///
/// # What counts
///
/// At most `max_sessions` records are kept (the layer claims no logins in a store of this process: its
/// own memory of spent ones does the same); besides them at most as many leases, and as many index entries over all
/// users. Beyond that, `create`, `lease` and `index_add` fail with [`StoreError::Full`] and nothing
/// that lives gives way: a login is answered with 503. What has outlived its time never counts as
/// full. A session with its index entry takes a little more than 1 KiB; see
/// `docs/performance.md`.
///
/// # Locks
///
/// Keys are spread over shards of about a thousand sessions, each with a lock of its own, held while
/// one record is looked up. Each write also looks at one further shard, in turn, and removes what is
/// over there; where there is room, nothing else is searched. A store that is never written to
/// keeps what is over in memory, but hands none of it out.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::{
///     MemoryStore,
///     store::{SessionStore, StoreError, StoredRecord, Version},
/// };
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), StoreError> {
/// let store = MemoryStore::new(50_000);
/// let record = StoredRecord::new(Version::from_bytes([7; 16]), "content");
/// store.create("key", record.clone(), Duration::from_secs(60)).await?;
/// assert_eq!(store.clone().load("key").await?, Some(record));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore {
    inner: Arc<Inner>,
}

struct Inner {
    shards: Box<[Shard]>,
    /// Spreads keys over the shards, unpredictably for those who choose keys.
    spread: DefaultHashBuilder,
    room: Room,
    /// Which shard is swept next.
    turn: AtomicUsize,
    clock: Arc<dyn Clock>,
}

/// Sessions that [`MemoryStore::default`] has room for.
const DEFAULT_SESSIONS: usize = 100_000;

/// So many sessions share a lock, and are swept at once.
const PER_SHARD: usize = 1024;
/// Below, requests of a small store would share locks; above, empty shards cost more than they save.
const SHARDS: (usize, usize) = (16, 4096);

impl MemoryStore {
    /// Has room for `max_sessions` sessions. Memory is taken as they come.
    #[must_use]
    pub fn new(max_sessions: usize) -> Self {
        Self::with_clock(max_sessions, SystemClock)
    }

    /// As [`MemoryStore::new`]; how long records live goes by [`Clock::monotonic`] of `clock`.
    #[must_use]
    pub fn with_clock(max_sessions: usize, clock: impl Clock) -> Self {
        let shards = (max_sessions / PER_SHARD).clamp(SHARDS.0, SHARDS.1);
        let inner = Inner {
            shards: (0..shards).map(|_| Shard::default()).collect(),
            spread: DefaultHashBuilder::default(),
            room: Room::new(max_sessions),
            turn: AtomicUsize::new(0),
            clock: Arc::new(clock),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Default for MemoryStore {
    /// Has room for 100,000 sessions.
    fn default() -> Self {
        Self::new(DEFAULT_SESSIONS)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let room = &self.inner.room;
        f.debug_struct("MemoryStore")
            .field("records", &room.records.taken())
            .field("leases", &room.leases.taken())
            .field("index_entries", &room.entries.taken())
            .field("max_sessions", &room.records.limit())
            .finish_non_exhaustive()
    }
}

/// Nothing here waits: each verb takes effect when its future is polled first.
impl SessionStore for MemoryStore {
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.inner.create(key, record, ttl) })
    }

    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredRecord>, StoreError>> {
        Box::pin(async move { Ok(self.inner.load(key)) })
    }

    fn has_version(&self, key: &str, version: Version) -> bool {
        self.inner.has_version(key, version)
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move { Ok(self.inner.update(key, version, record, ttl)) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.inner.delete(key);
            Ok(())
        })
    }

    fn delete_if<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(async move { Ok(self.inner.delete_if(key, version)) })
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        lease: Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Leased, StoreError>> {
        Box::pin(async move { self.inner.lease(key, lease, ttl) })
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        owner: LeaseOwner,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.inner.release(key, owner);
            Ok(())
        })
    }

    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move { self.inner.index_add(user, &entry, ttl) })
    }

    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<IndexEntry>, StoreError>> {
        Box::pin(async move { Ok(self.inner.index(user)) })
    }

    fn index_remove<'a>(
        &'a self,
        user: &'a str,
        record: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.inner.index_remove(user, record);
            Ok(())
        })
    }

    fn stays_in_process(&self) -> bool {
        true
    }
}

impl Inner {
    fn create(&self, key: &str, record: StoredRecord, ttl: Duration) -> Result<(), StoreError> {
        let now = self.before_write();
        let record = content::owned(record);
        self.with_room(&self.room.records, now, || {
            let mut shard = self.open(key, now);
            if shard.record(key).is_some() {
                return Err(StoreError::Taken);
            }
            match now.after(ttl) {
                Some(expires) => shard.put_record(key, Kept { value: record.clone(), expires }),
                None => Ok(()),
            }
        })
    }

    fn load(&self, key: &str) -> Option<StoredRecord> {
        self.open(key, self.now()).record(key).map(|kept| kept.value.clone())
    }

    fn has_version(&self, key: &str, version: Version) -> bool {
        let found = self.open(key, self.now());
        found.glance(key).is_some_and(|kept| kept.value.version() == version)
    }

    fn update(&self, key: &str, version: Version, record: StoredRecord, ttl: Duration) -> Swap {
        let now = self.before_write();
        let record = content::owned(record);
        let mut shard = self.open(key, now);
        let swap = shard.compare(key, version);
        if swap == Swap::Done {
            match now.after(ttl) {
                Some(expires) => shard.replace_record(key, Kept { value: record, expires }),
                None => shard.remove_record(key),
            }
        }
        swap
    }

    fn delete(&self, key: &str) {
        self.open(key, self.before_write()).remove_record(key);
    }

    fn delete_if(&self, key: &str, version: Version) -> Swap {
        let mut shard = self.open(key, self.before_write());
        let swap = shard.compare(key, version);
        if swap == Swap::Done {
            shard.remove_record(key);
        }
        swap
    }

    fn lease(&self, key: &str, lease: Lease, ttl: Duration) -> Result<Leased, StoreError> {
        let now = self.before_write();
        self.with_room(&self.room.leases, now, || {
            let mut shard = self.open(key, now);
            let held = shard.lease(key);
            if let Some(other) = held.filter(|held| held.value.owner != lease.owner) {
                return Ok(Leased::Other {
                    note: other.value.note,
                    left: other.expires.since(now),
                });
            }
            match now.after(ttl).map(|expires| Kept { value: lease, expires }) {
                None => shard.remove_lease(key),
                Some(kept) if held.is_some() => shard.replace_lease(key, kept),
                Some(kept) => shard.put_lease(key, kept)?,
            }
            Ok(Leased::Held)
        })
    }

    fn release(&self, key: &str, owner: LeaseOwner) {
        let mut shard = self.open(key, self.before_write());
        if shard.lease(key).is_some_and(|held| held.value.owner == owner) {
            shard.remove_lease(key);
        }
    }

    fn index_add(&self, user: &str, entry: &IndexEntry, ttl: Duration) -> Result<(), StoreError> {
        let now = self.before_write();
        self.with_room(&self.room.entries, now, || {
            let mut shard = self.open(user, now);
            let Some(expires) = now.after(ttl) else {
                shard.remove_entry(user, &entry.record);
                return Ok(());
            };
            if shard.replace_entry(user, entry, expires) {
                return Ok(());
            }
            shard.put_entry(user, entry, expires)
        })
    }

    fn index(&self, user: &str) -> Vec<IndexEntry> {
        self.open(user, self.now()).entries(user)
    }

    fn index_remove(&self, user: &str, record: &str) {
        self.open(user, self.before_write()).remove_entry(user, record);
    }

    fn now(&self) -> Moment {
        Moment::at(self.clock.monotonic())
    }

    /// The part of a write's work that is not its own: one shard, in turn, is cleared.
    fn before_write(&self) -> Moment {
        let now = self.now();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.shards.len();
        self.shards[turn].sweep_if_idle(now, &self.room);
        now
    }

    /// Does `write` until it finds room or nothing more can be removed for it: where it is full,
    /// shards that hold what is over are cleared, one at a time.
    fn with_room<T>(
        &self,
        places: &Places,
        now: Moment,
        write: impl Fn() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        loop {
            match write() {
                Err(StoreError::Full) if self.makes_room(places, now) => {}
                outcome => return outcome,
            }
        }
    }

    /// Clears shards until there is a place; says whether there is.
    fn makes_room(&self, places: &Places, now: Moment) -> bool {
        self.shards.iter().any(|shard| {
            shard.sweep(now, &self.room);
            places.taken() < places.limit()
        })
    }

    fn open<'a>(&'a self, key: &str, now: Moment) -> Open<'a> {
        let shards = self.shards.len() as u64;
        let index = usize::try_from(self.spread.hash_one(key) % shards).unwrap_or(0);
        self.shards[index].open(now, &self.room)
    }
}
