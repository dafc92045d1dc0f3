//! A part of a store's keys, behind a lock of its own.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::DefaultHashBuilder;

use super::room::{Places, Room};
use crate::session::store::{IndexEntry, Lease, StoreError, StoredRecord, Swap, Version};

/// A reading of the monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn at(reading: Duration) -> Self {
        Self(nanos(reading))
    }

    /// When a `ttl` that begins now is over; `None` if that is at once.
    pub(super) fn after(self, ttl: Duration) -> Option<Self> {
        (!ttl.is_zero()).then(|| Self(self.0.saturating_add(nanos(ttl))))
    }

    pub(super) const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What lives until a moment.
#[derive(Clone, Copy)]
pub(super) struct Kept<T> {
    pub(super) value: T,
    pub(super) expires: Moment,
}

type Table<T> = HashMap<Box<str>, Kept<T>, DefaultHashBuilder>;

#[derive(Default)]
struct Content {
    records: Table<StoredRecord>,
    leases: Table<Lease>,
    users: HashMap<Box<str>, Vec<Entry>, DefaultHashBuilder>,
}

/// One entry of a user's index; a user's entries are in the order of `record`.
struct Entry {
    record: Box<str>,
    content: Box<[u8]>,
    expires: Moment,
}

/// One shard.
pub(super) struct Shard {
    content: Mutex<Content>,
    /// Nothing in here is over before this moment, in nanoseconds; changed under the lock alone.
    earliest: AtomicU64,
}

impl Default for Shard {
    fn default() -> Self {
        Self { content: Mutex::default(), earliest: AtomicU64::new(u64::MAX) }
    }
}

impl Shard {
    pub(super) fn open<'a>(&'a self, now: Moment, room: &'a Room) -> Open<'a> {
        let content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        Open { content, earliest: &self.earliest, now, room }
    }

    /// Removes what is over, if anything can be.
    pub(super) fn sweep(&self, now: Moment, room: &Room) {
        if self.is_due(now) {
            self.open(now, room).sweep();
        }
    }

    /// As [`Shard::sweep`], unless somebody works here: the shard's turn comes again.
    pub(super) fn sweep_if_idle(&self, now: Moment, room: &Room) {
        if !self.is_due(now) {
            return;
        }
        if let Ok(content) = self.content.try_lock() {
            Open { content, earliest: &self.earliest, now, room }.sweep();
        }
    }

    fn is_due(&self, now: Moment) -> bool {
        self.earliest.load(Ordering::Relaxed) <= now.0
    }
}

/// A shard as the one sees it who has its lock, at one moment: what is over is not there.
pub(super) struct Open<'a> {
    content: MutexGuard<'a, Content>,
    earliest: &'a AtomicU64,
    now: Moment,
    room: &'a Room,
}

impl Open<'_> {
    /// A record that is only looked at: what is over stays, and is not there.
    pub(super) fn glance(&self, key: &str) -> Option<&Kept<StoredRecord>> {
        self.content.records.get(key).filter(|kept| kept.expires > self.now)
    }

    pub(super) fn record(&mut self, key: &str) -> Option<&Kept<StoredRecord>> {
        live(&mut self.content.records, key, self.now, &self.room.records)
    }

    pub(super) fn compare(&mut self, key: &str, version: Version) -> Swap {
        match self.record(key) {
            None => Swap::Absent,
            Some(kept) if kept.value.version() == version => Swap::Done,
            Some(_) => Swap::Changed,
        }
    }

    /// Adds a record under a key that has none.
    pub(super) fn put_record(
        &mut self,
        key: &str,
        kept: Kept<StoredRecord>,
    ) -> Result<(), StoreError> {
        take(&self.room.records)?;
        self.will_end(kept.expires);
        self.content.records.insert(key.into(), kept);
        Ok(())
    }

    pub(super) fn replace_record(&mut self, key: &str, kept: Kept<StoredRecord>) {
        self.will_end(kept.expires);
        if let Some(old) = self.content.records.get_mut(key) {
            *old = kept;
        }
    }

    pub(super) fn remove_record(&mut self, key: &str) {
        let removed = self.content.records.remove(key);
        self.room.records.give_back(removed.iter().count());
    }

    pub(super) fn lease(&mut self, key: &str) -> Option<Kept<Lease>> {
        live(&mut self.content.leases, key, self.now, &self.room.leases).copied()
    }

    /// Adds a lease under a key that has none.
    pub(super) fn put_lease(&mut self, key: &str, kept: Kept<Lease>) -> Result<(), StoreError> {
        take(&self.room.leases)?;
        self.will_end(kept.expires);
        self.content.leases.insert(key.into(), kept);
        Ok(())
    }

    pub(super) fn replace_lease(&mut self, key: &str, kept: Kept<Lease>) {
        self.will_end(kept.expires);
        if let Some(old) = self.content.leases.get_mut(key) {
            *old = kept;
        }
    }

    pub(super) fn remove_lease(&mut self, key: &str) {
        let removed = self.content.leases.remove(key);
        self.room.leases.give_back(removed.iter().count());
    }

    pub(super) fn entries(&self, user: &str) -> Vec<IndexEntry> {
        let entries = self.content.users.get(user).map_or(&[][..], Vec::as_slice);
        entries.iter().filter(|entry| entry.expires > self.now).map(Entry::to_public).collect()
    }

    /// Replaces an entry's content and end; says whether there is one of this record.
    pub(super) fn replace_entry(
        &mut self,
        user: &str,
        entry: &IndexEntry,
        expires: Moment,
    ) -> bool {
        let Some(entries) = self.content.users.get_mut(user) else { return false };
        let Ok(at) = position(entries, &entry.record) else { return false };
        entries[at].content = entry.content[..].into();
        entries[at].expires = expires;
        self.will_end(expires);
        true
    }

    /// Adds an entry of a record that has none.
    pub(super) fn put_entry(
        &mut self,
        user: &str,
        entry: &IndexEntry,
        expires: Moment,
    ) -> Result<(), StoreError> {
        take(&self.room.entries)?;
        self.will_end(expires);
        // Most users have one session.
        let one = || Vec::with_capacity(1);
        let entries = match self.content.users.get_mut(user) {
            Some(entries) => entries,
            None => self.content.users.entry(user.into()).or_insert_with(one),
        };
        let (Ok(at) | Err(at)) = position(entries, &entry.record);
        entries.insert(at, Entry::new(entry, expires));
        Ok(())
    }

    pub(super) fn remove_entry(&mut self, user: &str, record: &str) {
        let Some(entries) = self.content.users.get_mut(user) else { return };
        let Ok(at) = position(entries, record) else { return };
        entries.remove(at);
        if entries.is_empty() {
            self.content.users.remove(user);
        }
        self.room.entries.give_back(1);
    }

    /// Something here is over at `moment`.
    fn will_end(&self, moment: Moment) {
        self.earliest.fetch_min(moment.0, Ordering::Relaxed);
    }

    /// Removes what is over, and learns when that is the next time.
    fn sweep(&mut self) {
        let Content { records, leases, users } = &mut *self.content;
        let mut earliest = Moment(u64::MAX);
        sweep_table(records, self.now, &self.room.records, &mut earliest);
        sweep_table(leases, self.now, &self.room.leases, &mut earliest);
        let mut over = 0;
        users.retain(|_, entries| {
            let before = entries.len();
            entries.retain(|entry| entry.expires > self.now);
            over += before - entries.len();
            if entries.len() < entries.capacity() / 4 {
                entries.shrink_to_fit();
            }
            let next = entries.iter().map(|entry| entry.expires).min();
            earliest = earliest.min(next.unwrap_or(earliest));
            !entries.is_empty()
        });
        shrink(users);
        self.room.entries.give_back(over);
        self.earliest.store(earliest.0, Ordering::Relaxed);
    }
}

impl Entry {
    fn new(entry: &IndexEntry, expires: Moment) -> Self {
        let IndexEntry { record, content } = entry;
        Self { record: record.as_str().into(), content: content[..].into(), expires }
    }

    fn to_public(&self) -> IndexEntry {
        IndexEntry { record: self.record.to_string(), content: self.content.to_vec().into() }
    }
}

/// Where a record's entry is, or belongs.
fn position(entries: &[Entry], record: &str) -> Result<usize, usize> {
    entries.binary_search_by(|entry| (*entry.record).cmp(record))
}

fn take(places: &Places) -> Result<(), StoreError> {
    if places.take() { Ok(()) } else { Err(StoreError::Full) }
}

/// What lives under a key; what is over there is removed.
fn live<'a, T>(
    table: &'a mut Table<T>,
    key: &str,
    now: Moment,
    places: &Places,
) -> Option<&'a Kept<T>> {
    if table.get(key)?.expires <= now {
        table.remove(key);
        places.give_back(1);
        return None;
    }
    table.get(key)
}

fn sweep_table<T>(table: &mut Table<T>, now: Moment, places: &Places, earliest: &mut Moment) {
    let before = table.len();
    table.retain(|_, kept| {
        let lives = kept.expires > now;
        if lives {
            *earliest = (*earliest).min(kept.expires);
        }
        lives
    });
    places.give_back(before - table.len());
    shrink(table);
}

/// Gives back the memory that a flood has left behind.
fn shrink<V>(table: &mut HashMap<Box<str>, V, DefaultHashBuilder>) {
    if table.capacity() > 4 * table.len().max(16) {
        table.shrink_to_fit();
    }
}
