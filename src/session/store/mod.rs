//! Where sessions are kept that outgrow one process, or the browser.
//!
//! [`SessionStore`] is what a store has to be able to do; [`memory`] keeps sessions in this process,
//! [`redis`] in Redis or Valkey.

mod error;
mod memory;
mod record;
#[cfg(feature = "redis")]
pub(crate) mod redis;

pub use self::{
    error::StoreError,
    memory::MemoryStore,
    record::{StoredRecord, Version},
};

use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::error::BoxFuture;

/// Keeps session records under keys, for a time.
///
/// A store knows nothing of sessions: the layer seals what it hands over, and every decision is the
/// layer's. Whoever can read a store learns no token and no claim, and nothing that signs anybody
/// in; whoever can write to it can bring back an old record. Implementations of one's own are proven
/// by `test_kit::store_suite`.
///
/// Keys are visible ASCII of at most 512 bytes; the four kinds of key (records, claims, leases, user
/// indexes) never collide. A record is at most 64 KiB long, an index entry at most 1 KiB. Whatever
/// has outlived its `ttl` is absent; a store may remove it later, never earlier. A `ttl` of zero is
/// over at once.
///
/// Every verb is atomic: of two that come at once one goes first. A verb that returns an error may
/// or may not have taken effect. "Not there" and "cannot say" are never confused: what cannot be
/// asked is an error. Reads see every write that was acknowledged before, so they go to the primary
/// where there are replicas.
///
/// # Cancel safety
///
/// The layer drops futures that take too long (reads 250 ms, writes 500 ms). That must not disturb
/// other calls; whether the verb takes effect is then unknown.
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new record.
    ///
    /// # Errors
    ///
    /// [`StoreError::Taken`] if the key is in use: nothing is overwritten. [`StoreError::Full`] if
    /// there is no room: nothing else is removed to make some.
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Loads a record; `None` if there is none.
    ///
    /// What stands under the key but is no record (cut off, of another type) counts as a record with
    /// [`StoredRecord::unreadable`] content, so that the layer can report and remove it.
    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredRecord>, StoreError>>;

    /// Whether the record under `key` has this version now, said at once.
    ///
    /// `true` promises what [`load`](Self::load) in its place would have found: a record of this
    /// version. `false` promises nothing, and the layer loads. So a store that has to ask somebody, or
    /// to wait, leaves this as it is; so may any other, and one that wraps another has every read come
    /// by itself that way.
    ///
    /// It spares a request that brings a session this process knows already all that waiting takes.
    fn has_version(&self, key: &str, version: Version) -> bool {
        let _ = (key, version);
        false
    }

    /// Replaces a record, and its time to live, if its version is still `version`.
    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// Deletes a record, whatever it is; that there is none is no error.
    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Deletes a record if its version is still `version`.
    fn delete_if<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>>;

    /// Takes a lease, or renews it: where the key is free or `lease.owner` holds it, `lease` is
    /// stored for `ttl` from now, its note included.
    fn lease<'a>(
        &'a self,
        key: &'a str,
        lease: Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Leased, StoreError>>;

    /// Gives a lease back, if `owner` holds it; else nothing happens.
    fn release<'a>(
        &'a self,
        key: &'a str,
        owner: LeaseOwner,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Adds an entry to a user's index, or replaces the one of the same record. Each entry has its
    /// own time to live.
    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// All entries of a user's index, in any order.
    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<IndexEntry>, StoreError>>;

    /// Removes the entry of one record from a user's index; that there is none is no error.
    fn index_remove<'a>(
        &'a self,
        user: &'a str,
        record: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Grows whenever writes that were acknowledged may have been lost since, such as after a
    /// reconnection: the store may have failed over. The layer then repeats its latest deletions and
    /// refresh results before it serves another request. A store that loses nothing stays at 0.
    fn epoch(&self) -> u64 {
        0
    }

    /// Whether records never leave this process: then the layer spares sealing them.
    fn stays_in_process(&self) -> bool {
        false
    }
}

/// What a write that depends on a version comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Swap {
    /// It has taken effect.
    Done,
    /// The record has another version: nothing has changed.
    Changed,
    /// There is no record: nothing has changed.
    Absent,
}

/// Who holds a lease: 16 random bytes per attempt.
pub type LeaseOwner = [u8; 16];

/// A lease as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value that stores take apart and put together")]
pub struct Lease {
    /// Who holds it.
    pub owner: LeaseOwner,
    /// What the holder lets others know; stored and handed out as it is.
    pub note: u8,
}

/// What asking for a lease comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leased {
    /// The caller holds it now.
    Held,
    /// Somebody else holds it.
    Other {
        /// The holder's [`Lease::note`].
        note: u8,
        /// How long it is going to last if it is not renewed.
        left: Duration,
    },
}

/// A record in a user's index.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a value that stores take apart and put together")]
pub struct IndexEntry {
    /// The record's key.
    pub record: String,
    /// What the layer keeps beside it, sealed.
    pub content: Bytes,
}

impl fmt::Debug for IndexEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexEntry").field("record", &self.record).finish_non_exhaustive()
    }
}
