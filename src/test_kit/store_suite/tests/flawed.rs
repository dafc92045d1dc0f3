//! A store that breaks one promise.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::task::yield_now;

use crate::{
    BoxFuture, MemoryStore,
    store::{
        IndexEntry, Lease, LeaseOwner, Leased, SessionStore, StoreError, StoredRecord, Swap,
        Version,
    },
    test_kit::store_suite::bench::{LONG, now},
};

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    AddingAgainKeepsTtl,
    AnswersShift,
    CreateLooksFirst,
    CreateOverwrites,
    CreatesInTwoSteps,
    CutsEntries,
    CutsLongRecords,
    DeleteDoesNothing,
    DeleteIfDoesNothing,
    DeleteIfIgnoresVersion,
    DeleteIfLooksFirst,
    DeletesByPattern,
    DeletingNothingFails,
    EmptyRecordsPanic,
    EntriesEndEarly,
    EntriesShareATtl,
    EpochFalls,
    EveryoneHolds,
    EveryoneReleases,
    FirstEntryStays,
    HalfAnOwner,
    IndexIsRewritten,
    KeysAreCut,
    KeysWithoutCase,
    LeaseLooksFirst,
    LeasesEndEarly,
    LeasesStay,
    LeftInSeconds,
    ListsAHundred,
    MonthsAreRefused,
    NobodyReleases,
    NotesAreLost,
    OneIndexForAll,
    OtherKindFails,
    ReadsLag,
    RecordsEndEarly,
    RecordsStay,
    RefusalProlongs,
    RemovesByPrefix,
    RenewalKeepsNote,
    RenewalKeepsTtl,
    SaysWhatWas,
    UnreadableIsAbsent,
    UpdateIgnoresVersion,
    UpdateKeepsContent,
    UpdateKeepsTtl,
    UpdateLooksFirst,
    UpdateRevives,
    UpdatesInTwoSteps,
    ZeroIsForever,
}

/// [`MemoryStore`] with a flaw; clones share everything.
#[derive(Clone, Debug)]
pub(super) struct Flawed {
    inner: MemoryStore,
    flaw: Flaw,
    memory: Arc<Memory>,
}

/// What the flaws need to remember.
#[derive(Debug, Default)]
struct Memory {
    /// When what was written first is over, by its key.
    ends: Mutex<HashMap<String, Duration>>,
    owners: Mutex<HashMap<String, LeaseOwner>>,
    keys: Mutex<Vec<String>>,
    /// Every version that was to be written, with its key.
    versions: Mutex<Vec<(String, Version)>>,
    /// What was there before the last update, until somebody has read it.
    old: Mutex<HashMap<String, StoredRecord>>,
    /// The answers to those who have not waited for them.
    answers: Mutex<Vec<Option<StoredRecord>>>,
    falling: AtomicU64,
}

type Answer<T = ()> = Result<T, StoreError>;

fn failure() -> StoreError {
    StoreError::Unavailable(io::Error::other("flawed").into())
}

fn cut(record: &StoredRecord, len: usize) -> StoredRecord {
    let content = record.content();
    StoredRecord::new(record.version(), content.slice(..len.min(content.len())))
}

impl Flawed {
    pub(super) fn new(inner: MemoryStore, flaw: Flaw) -> Self {
        Self { inner, flaw, memory: Arc::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }

    fn key(&self, key: &str) -> String {
        match self.flaw {
            Flaw::KeysWithoutCase => key.to_ascii_lowercase(),
            Flaw::KeysAreCut => key[..key.len().min(500)].to_owned(),
            _ => key.to_owned(),
        }
    }

    /// How long something lives in a store with `early`, or `stays`.
    fn ttl(&self, ttl: Duration, early: Flaw, stays: Option<Flaw>) -> Answer<Duration> {
        match self.flaw {
            Flaw::ZeroIsForever if ttl.is_zero() => Ok(LONG),
            Flaw::MonthsAreRefused if ttl > 200 * LONG => Err(failure()),
            flaw if flaw == early => Ok(ttl / 12),
            flaw if Some(flaw) == stays => Ok(2 * LONG),
            _ => Ok(ttl),
        }
    }

    /// What is left of the ttl that `key` got first, or `ttl` if this is the first.
    fn first_ttl(&self, key: &str, ttl: Duration) -> Duration {
        let mut ends = self.memory.ends.lock().unwrap();
        ends.entry(key.to_owned()).or_insert(now() + ttl).saturating_sub(now())
    }

    fn remember(&self, key: &str, version: Version) {
        if self.has(Flaw::SaysWhatWas) {
            self.memory.versions.lock().unwrap().push((key.to_owned(), version));
        }
    }

    async fn try_create(&self, key: &str, record: StoredRecord, ttl: Duration) -> Answer {
        self.remember(key, record.version());
        let ttl = self.ttl(ttl, Flaw::RecordsEndEarly, Some(Flaw::RecordsStay))?;
        match self.flaw {
            Flaw::EmptyRecordsPanic if record.content().is_empty() => panic!("an empty record"),
            Flaw::CreateOverwrites => self.inner.delete(key).await?,
            Flaw::CreateLooksFirst => {
                if self.inner.load(key).await?.is_some() {
                    return Err(StoreError::Taken);
                }
                yield_now().await;
                self.inner.delete(key).await?;
            }
            Flaw::CreatesInTwoSteps => {
                self.inner.create(key, cut(&record, 9), ttl).await?;
                yield_now().await;
                return self.inner.update(key, record.version(), record, ttl).await.map(drop);
            }
            Flaw::UpdateKeepsTtl => drop(self.first_ttl(key, ttl)),
            _ => {}
        }
        let created = self.inner.create(key, record, ttl).await;
        if self.has(Flaw::DeletesByPattern) {
            self.memory.keys.lock().unwrap().push(key.to_owned());
        }
        if self.has(Flaw::RefusalProlongs)
            && matches!(created, Err(StoreError::Taken))
            && let Some(there) = self.inner.load(key).await?
        {
            self.inner.update(key, there.version(), there, ttl).await?;
        }
        created
    }

    async fn try_load(&self, key: &str) -> Answer<Option<StoredRecord>> {
        let loaded = self.inner.load(key).await?;
        match self.flaw {
            Flaw::UnreadableIsAbsent => Ok(loaded.filter(|it| *it != StoredRecord::unreadable())),
            Flaw::OtherKindFails if !self.inner.index(key).await?.is_empty() => Err(failure()),
            Flaw::ReadsLag => {
                let old = self.memory.old.lock().unwrap().remove(key);
                Ok(old.or(loaded))
            }
            Flaw::AnswersShift => {
                let answer = self.memory.answers.lock().unwrap().pop();
                let own = Unread { memory: &self.memory, answer: Some(loaded) };
                yield_now().await;
                let own = own.read();
                Ok(answer.unwrap_or(own))
            }
            _ => Ok(loaded),
        }
    }

    async fn try_update(
        &self,
        key: &str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> Answer<Swap> {
        self.remember(key, record.version());
        let ttl = self.ttl(ttl, Flaw::RecordsEndEarly, Some(Flaw::RecordsStay))?;
        let there = self.inner.load(key).await?;
        let fits = there.as_ref().is_some_and(|it| it.version() == version);
        match (self.flaw, there) {
            (Flaw::UpdateIgnoresVersion, Some(there)) => {
                self.inner.update(key, there.version(), record, ttl).await
            }
            (Flaw::UpdateKeepsContent, Some(there)) => {
                let kept = StoredRecord::new(record.version(), there.into_content());
                self.inner.update(key, version, kept, ttl).await
            }
            (Flaw::UpdateKeepsTtl, _) => {
                let ttl = self.first_ttl(key, ttl);
                self.inner.update(key, version, record, ttl).await
            }
            (Flaw::UpdateLooksFirst, Some(_)) if fits => {
                yield_now().await;
                let Some(there) = self.inner.load(key).await? else { return Ok(Swap::Absent) };
                self.inner.update(key, there.version(), record, ttl).await
            }
            (Flaw::UpdateRevives, Some(_)) if fits => {
                yield_now().await;
                match self.inner.update(key, version, record.clone(), ttl).await? {
                    Swap::Absent => self.inner.create(key, record, ttl).await.map(|()| Swap::Done),
                    swap => Ok(swap),
                }
            }
            (Flaw::UpdatesInTwoSteps, Some(there)) if fits => {
                let half = StoredRecord::new(record.version(), there.into_content());
                self.inner.update(key, version, half, ttl).await?;
                yield_now().await;
                self.inner.update(key, record.version(), record, ttl).await
            }
            (Flaw::ReadsLag, Some(there)) if fits => {
                self.memory.old.lock().unwrap().insert(key.to_owned(), there);
                self.inner.update(key, version, record, ttl).await
            }
            _ => self.inner.update(key, version, record, ttl).await,
        }
    }

    async fn try_delete(&self, key: &str) -> Answer {
        match self.flaw {
            Flaw::DeleteDoesNothing => Ok(()),
            Flaw::DeletingNothingFails if self.inner.load(key).await?.is_none() => Err(failure()),
            Flaw::DeletesByPattern => {
                let keys = self.memory.keys.lock().unwrap().clone();
                let begin = key.trim_end_matches('*');
                for other in keys.iter().filter(|it| key != begin && it.starts_with(begin)) {
                    self.inner.delete(other).await?;
                }
                self.inner.delete(key).await
            }
            _ => self.inner.delete(key).await,
        }
    }

    async fn try_delete_if(&self, key: &str, version: Version) -> Answer<Swap> {
        match (self.flaw, self.inner.load(key).await?) {
            (Flaw::DeleteIfDoesNothing, Some(there)) if there.version() == version => {
                Ok(Swap::Done)
            }
            (Flaw::DeleteIfIgnoresVersion, Some(there)) => {
                self.inner.delete_if(key, there.version()).await
            }
            (Flaw::DeleteIfLooksFirst, Some(there)) if there.version() == version => {
                yield_now().await;
                self.inner.delete(key).await.map(|()| Swap::Done)
            }
            _ => self.inner.delete_if(key, version).await,
        }
    }

    async fn try_lease(&self, key: &str, mut lease: Lease, ttl: Duration) -> Answer<Leased> {
        let mut ttl = self.ttl(ttl, Flaw::LeasesEndEarly, Some(Flaw::LeasesStay))?;
        let holder = self.memory.owners.lock().unwrap().get(key).copied();
        match (self.flaw, holder) {
            (Flaw::EveryoneHolds, _) => return Ok(Leased::Held),
            (Flaw::HalfAnOwner, _) => lease.owner[8..].fill(0),
            (Flaw::RenewalKeepsNote | Flaw::RenewalKeepsTtl, Some(holder))
                if holder == lease.owner =>
            {
                // Asks as somebody else, for no time: what is free stays free.
                let stranger = Lease { owner: holder.map(|byte| !byte), note: 0 };
                let asked = self.inner.lease(key, stranger, Duration::ZERO).await?;
                if let Leased::Other { note, left } = asked {
                    if self.has(Flaw::RenewalKeepsNote) { lease.note = note } else { ttl = left }
                }
            }
            (Flaw::LeaseLooksFirst, None) => {
                yield_now().await;
                let holder = self.memory.owners.lock().unwrap().get(key).copied();
                self.inner.release(key, holder.unwrap_or_default()).await?;
            }
            _ => {}
        }
        let owner = lease.owner;
        match self.inner.lease(key, lease, ttl).await? {
            Leased::Held => {
                self.memory.owners.lock().unwrap().insert(key.to_owned(), owner);
                Ok(Leased::Held)
            }
            Leased::Other { left, .. } if self.has(Flaw::NotesAreLost) => {
                Ok(Leased::Other { note: 0, left })
            }
            Leased::Other { note, left } if self.has(Flaw::LeftInSeconds) => {
                Ok(Leased::Other { note, left: Duration::from_millis(left.as_secs()) })
            }
            other => Ok(other),
        }
    }

    async fn try_release(&self, key: &str, mut owner: LeaseOwner) -> Answer {
        match self.flaw {
            Flaw::NobodyReleases => return Ok(()),
            Flaw::HalfAnOwner => owner[8..].fill(0),
            Flaw::EveryoneReleases => {
                let holder = self.memory.owners.lock().unwrap().get(key).copied();
                owner = holder.unwrap_or(owner);
            }
            _ => {}
        }
        self.inner.release(key, owner).await
    }

    async fn try_index_add(&self, user: &str, mut entry: IndexEntry, ttl: Duration) -> Answer {
        let mut ttl = self.ttl(ttl, Flaw::EntriesEndEarly, None)?;
        let there = self.inner.index(user).await?;
        match self.flaw {
            Flaw::CutsEntries => entry.content.truncate(1000),
            Flaw::FirstEntryStays if there.iter().any(|it| it.record == entry.record) => {
                return Ok(());
            }
            Flaw::AddingAgainKeepsTtl => {
                ttl = self.first_ttl(&format!("{user} {}", entry.record), ttl);
            }
            Flaw::EntriesShareATtl => {
                for other in there {
                    self.inner.index_add(user, other, ttl).await?;
                }
            }
            Flaw::IndexIsRewritten => {
                yield_now().await;
                for other in self.inner.index(user).await? {
                    if !there.contains(&other) {
                        self.inner.index_remove(user, &other.record).await?;
                    }
                }
            }
            _ => {}
        }
        self.inner.index_add(user, entry, ttl).await
    }

    async fn try_index(&self, user: &str) -> Answer<Vec<IndexEntry>> {
        let mut entries = self.inner.index(user).await?;
        if self.has(Flaw::ListsAHundred) {
            entries.truncate(100);
        }
        Ok(entries)
    }

    async fn try_index_remove(&self, user: &str, record: &str) -> Answer {
        if self.has(Flaw::RemovesByPrefix) {
            for other in self.inner.index(user).await? {
                if other.record.starts_with(record) {
                    self.inner.index_remove(user, &other.record).await?;
                }
            }
        }
        self.inner.index_remove(user, record).await
    }

    fn user<'a>(&self, user: &'a str) -> &'a str {
        if self.has(Flaw::OneIndexForAll) { "everybody" } else { user }
    }
}

/// An answer that the next caller gets if nobody reads it.
struct Unread<'a> {
    memory: &'a Memory,
    answer: Option<Option<StoredRecord>>,
}

impl Unread<'_> {
    fn read(mut self) -> Option<StoredRecord> {
        self.answer.take().flatten()
    }
}

impl Drop for Unread<'_> {
    fn drop(&mut self) {
        self.memory.answers.lock().unwrap().extend(self.answer.take());
    }
}

impl SessionStore for Flawed {
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Answer> {
        let long = self.has(Flaw::CutsLongRecords);
        let record = if long { cut(&record, 60_000) } else { record };
        Box::pin(async move { self.try_create(&self.key(key), record, ttl).await })
    }

    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Answer<Option<StoredRecord>>> {
        Box::pin(async move { self.try_load(&self.key(key)).await })
    }

    fn has_version(&self, key: &str, version: Version) -> bool {
        self.memory.versions.lock().unwrap().contains(&(key.to_owned(), version))
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Answer<Swap>> {
        Box::pin(async move { self.try_update(&self.key(key), version, record, ttl).await })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(async move { self.try_delete(&self.key(key)).await })
    }

    fn delete_if<'a>(&'a self, key: &'a str, version: Version) -> BoxFuture<'a, Answer<Swap>> {
        Box::pin(async move { self.try_delete_if(&self.key(key), version).await })
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        lease: Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Answer<Leased>> {
        Box::pin(self.try_lease(key, lease, ttl))
    }

    fn release<'a>(&'a self, key: &'a str, owner: LeaseOwner) -> BoxFuture<'a, Answer> {
        Box::pin(self.try_release(key, owner))
    }

    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Answer> {
        Box::pin(self.try_index_add(self.user(user), entry, ttl))
    }

    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Answer<Vec<IndexEntry>>> {
        Box::pin(self.try_index(self.user(user)))
    }

    fn index_remove<'a>(&'a self, user: &'a str, record: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(self.try_index_remove(self.user(user), record))
    }

    fn epoch(&self) -> u64 {
        let calls = self.memory.falling.fetch_add(1, Ordering::Relaxed);
        if self.has(Flaw::EpochFalls) { u64::MAX - calls } else { 0 }
    }
}
