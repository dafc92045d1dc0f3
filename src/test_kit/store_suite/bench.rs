//! What a check works with.

use std::{
    error::Error as StdError,
    fmt::{Debug, Write as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use crate::{
    Clock, SystemClock,
    secret::random_bytes,
    store::{
        IndexEntry, Lease, LeaseOwner, Leased, SessionStore, StoreError, StoredRecord, Swap,
        Version,
    },
};

/// What is wrong, if anything.
pub(super) type Outcome<T = ()> = Result<T, String>;

/// Longer than any check takes; all that is written ends by then.
pub(super) const LONG: Duration = Duration::from_secs(120);

/// The handles on a store, and keys that nobody else uses.
#[derive(Clone)]
pub(super) struct Bench {
    stores: Vec<Arc<dyn SessionStore>>,
    prefix: String,
}

impl Bench {
    pub(super) fn new(stores: Vec<Arc<dyn SessionStore>>) -> Self {
        Self { stores, prefix: format!("store-suite:{}:", hex(random_bytes())) }
    }

    /// A key of this check.
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// The handles in turn.
    pub(super) fn handle(&self, turn: usize) -> Handle {
        Handle(Arc::clone(&self.stores[turn % self.stores.len()]))
    }

    pub(super) fn first(&self) -> Handle {
        self.handle(0)
    }

    pub(super) fn last(&self) -> Handle {
        self.handle(self.stores.len() - 1)
    }
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}

/// One handle; its verbs fail with what was asked and what went wrong.
#[derive(Clone)]
pub(super) struct Handle(Arc<dyn SessionStore>);

/// What a create comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Created {
    Done,
    Taken,
}

impl Handle {
    pub(super) fn store(&self) -> &dyn SessionStore {
        &*self.0
    }

    pub(super) async fn create(
        &self,
        key: &str,
        record: &StoredRecord,
        ttl: Duration,
    ) -> Outcome<Created> {
        match self.0.create(key, record.clone(), ttl).await {
            Err(StoreError::Taken) => Ok(Created::Taken),
            other => done("create", other).map(|()| Created::Done),
        }
    }

    /// Creates a record where none is.
    pub(super) async fn put(&self, key: &str, record: &StoredRecord, ttl: Duration) -> Outcome {
        same("create under a free key", &self.create(key, record, ttl).await?, &Created::Done)
    }

    pub(super) async fn load(&self, key: &str) -> Outcome<Option<StoredRecord>> {
        done("load", self.0.load(key).await)
    }

    /// The store may say at once that a record has this version, but does not.
    pub(super) fn denies(&self, when: &str, key: &str, version: Version) -> Outcome {
        same(&format!("has_version {when}"), &self.0.has_version(key, version), &false)
    }

    pub(super) async fn update(
        &self,
        key: &str,
        version: Version,
        record: &StoredRecord,
        ttl: Duration,
    ) -> Outcome<Swap> {
        done("update", self.0.update(key, version, record.clone(), ttl).await)
    }

    pub(super) async fn delete(&self, key: &str) -> Outcome {
        done("delete", self.0.delete(key).await)
    }

    pub(super) async fn delete_if(&self, key: &str, version: Version) -> Outcome<Swap> {
        done("delete_if", self.0.delete_if(key, version).await)
    }

    pub(super) async fn lease(&self, key: &str, lease: Lease, ttl: Duration) -> Outcome<Leased> {
        done("lease", self.0.lease(key, lease, ttl).await)
    }

    /// Takes a lease that is free, or renews it.
    pub(super) async fn hold(&self, key: &str, lease: Lease, ttl: Duration) -> Outcome {
        same("lease for its holder", &self.lease(key, lease, ttl).await?, &Leased::Held)
    }

    /// Asks for a lease that somebody else holds: the note and the time left.
    pub(super) async fn refused(&self, key: &str, lease: Lease) -> Outcome<(u8, Duration)> {
        match self.lease(key, lease, LONG).await? {
            Leased::Other { note, left } => Ok((note, left)),
            other => Err(format!("lease that another owner holds: {other:?}")),
        }
    }

    pub(super) async fn release(&self, key: &str, owner: LeaseOwner) -> Outcome {
        done("release", self.0.release(key, owner).await)
    }

    pub(super) async fn index_add(&self, user: &str, entry: &IndexEntry, ttl: Duration) -> Outcome {
        done("index_add", self.0.index_add(user, entry.clone(), ttl).await)
    }

    /// A user's entries, in the order of their records.
    pub(super) async fn index(&self, user: &str) -> Outcome<Vec<IndexEntry>> {
        let mut entries = done("index", self.0.index(user).await)?;
        entries.sort_by(|a, b| a.record.cmp(&b.record));
        Ok(entries)
    }

    pub(super) async fn index_remove(&self, user: &str, record: &str) -> Outcome {
        done("index_remove", self.0.index_remove(user, record).await)
    }

    /// What is under a key is this record, and whole.
    pub(super) async fn holds(&self, key: &str, record: &StoredRecord) -> Outcome {
        let loaded = self.load(key).await?;
        is_record("load", loaded.as_ref(), record)
    }

    pub(super) async fn lacks(&self, key: &str) -> Outcome {
        same("load", &self.load(key).await?, &None)
    }
}

fn done<T>(verb: &str, outcome: Result<T, StoreError>) -> Outcome<T> {
    outcome.map_err(|error| {
        let mut text = format!("{verb} failed: {error}");
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        text
    })
}

/// Fails with what was asked, what came and what should have.
pub(super) fn same<T: PartialEq + Debug>(asked: &str, came: &T, expected: &T) -> Outcome {
    if came == expected {
        return Ok(());
    }
    Err(format!("{asked}: {came:?}, not {expected:?}"))
}

pub(super) fn is_record(
    asked: &str,
    came: Option<&StoredRecord>,
    expected: &StoredRecord,
) -> Outcome {
    let Some(came) = came else { return Err(format!("{asked}: nothing, not a record")) };
    if came.version() != expected.version() {
        return Err(format!("{asked}: a record of another version"));
    }
    let (came, expected) = (came.content(), expected.content());
    if came == expected {
        return Ok(());
    }
    let (came, expected) = (came.len(), expected.len());
    Err(format!("{asked}: another content ({came} bytes in place of {expected})"))
}

/// A record of a version of its own.
pub(super) fn record(content: impl Into<Bytes>) -> StoredRecord {
    StoredRecord::new(Version::random(), content)
}

/// A lease of an owner of its own.
pub(super) fn lease(note: u8) -> Lease {
    Lease { owner: random_bytes(), note }
}

pub(super) fn entry(record: impl Into<String>, content: impl Into<Bytes>) -> IndexEntry {
    IndexEntry { record: record.into(), content: content.into() }
}

/// The real time, from an origin that stays.
pub(super) fn now() -> Duration {
    SystemClock.monotonic()
}
