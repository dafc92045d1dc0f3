//! The records of one application in its session store: sealed, bound to their place, in time.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    future::Future,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    Opened,
    pulse::{Pulse, Want},
    record::Session,
    store::{
        IndexEntry, Lease, LeaseOwner, Leased, SessionStore, StoreError, StoredRecord, Swap,
        Version,
    },
    voucher::{KeyNames, Voucher},
    wire::Reader,
};
use crate::{
    clock::Timestamp,
    error::BoxFuture,
    refresh::{Lifetimes, Schedule},
    seal::{RecordPlace, Unopenable, VaultSealer},
    telemetry::Telemetry,
};

/// No request waits longer for a store to say something.
const READ_WITHIN: Duration = Duration::from_millis(250);

/// Nor for it to write something.
const WRITE_WITHIN: Duration = Duration::from_millis(500);

/// Keeps and finds the records of one application.
pub(crate) struct Vault {
    store: Arc<dyn SessionStore>,
    /// Not used for records that do not leave the process.
    sealer: VaultSealer,
    pub(crate) names: KeyNames,
    client_id: Box<str>,
    lifetimes: Lifetimes,
    telemetry: Telemetry,
    pulse: Pulse,
}

/// Which record a stored session was read from, or written to.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) voucher: Arc<Voucher>,
    pub(crate) version: Version,
    /// How many times its refresh token has been presented without an answer that was kept.
    pub(crate) presented: u32,
    /// The browser of the login, where that is recorded.
    pub(crate) user_agent: Option<Arc<str>>,
}

/// What stands in a record in front of the session.
#[derive(Serialize)]
#[cfg_attr(test, derive(Debug, PartialEq, Deserialize))]
struct Head<'a> {
    presented: u32,
    user_agent: Option<&'a str>,
}

impl<'a> Head<'a> {
    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let presented = reader.short()?;
        let user_agent = if reader.flag()? { Some(reader.text()?) } else { None };
        Some(Self { presented, user_agent })
    }
}

/// What stands where a record should.
#[derive(Debug)]
pub(crate) enum Lookup {
    Absent,
    /// A record under a key, or of a version, that is not known here: another instance may know it.
    Foreign,
    /// This one, as this process knows it already.
    Same,
    Found(Arc<Opened>),
}

/// A session in the index of its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexedSession {
    pub(crate) created: u64,
    pub(crate) last_seen: u64,
    pub(crate) user_agent: Option<Box<str>>,
}

impl Vault {
    pub(crate) fn new(
        store: Arc<dyn SessionStore>,
        sealer: VaultSealer,
        names: KeyNames,
        client_id: &str,
        lifetimes: Lifetimes,
        telemetry: Telemetry,
    ) -> Self {
        let client_id = client_id.into();
        let pulse = Pulse::default();
        Self { store, sealer, names, client_id, lifetimes, telemetry, pulse }
    }

    /// Whether sessions can be read, as far as is known.
    pub(crate) fn answers(&self) -> bool {
        self.pulse.answers()
    }

    /// See [`SessionStore::stays_in_process`].
    pub(crate) fn stays_in_process(&self) -> bool {
        self.store.stays_in_process()
    }

    /// See [`SessionStore::epoch`].
    pub(crate) fn epoch(&self) -> u64 {
        self.store.epoch()
    }

    /// Loads the record of `voucher`, unless it is still the version `known`.
    ///
    /// What cannot be read as a record of this voucher is removed, and absent (S10).
    pub(crate) async fn load(
        &self,
        voucher: &Arc<Voucher>,
        known: Option<Version>,
    ) -> Result<Lookup, StoreError> {
        let Some(record) = self.call("load", Want::Read, self.store.load(&voucher.key)).await?
        else {
            return Ok(Lookup::Absent);
        };
        if known == Some(record.version()) {
            return Ok(Lookup::Same);
        }
        match self.open(voucher, &record) {
            Ok(opened) => Ok(Lookup::Found(Arc::new(opened))),
            Err(Unopenable::Foreign) => Ok(Lookup::Foreign),
            Err(Unopenable::Broken) => {
                tracing::warn!("a session record cannot be read and is removed");
                self.telemetry.broken_record();
                Box::pin(self.remove(voucher, &record)).await?;
                Ok(Lookup::Absent)
            }
        }
    }

    /// Whether the record of `voucher` still is the version `known`, where the store says so at once.
    pub(crate) fn is_unchanged(&self, voucher: &Voucher, known: Version) -> bool {
        let is_unchanged = self.store.has_version(&voucher.key, known);
        if is_unchanged {
            self.pulse.worked(Want::Read);
        }
        is_unchanged
    }

    fn open(&self, voucher: &Arc<Voucher>, record: &StoredRecord) -> Result<Opened, Unopenable> {
        let opened;
        let (payload, current_key) = if self.store.stays_in_process() {
            (record.content().as_ref(), true)
        } else {
            opened =
                self.sealer.open_record(place(voucher, &record.version()), record.content())?;
            (opened.payload.as_slice(), opened.current_key)
        };
        let mut reader = Reader::new(payload);
        let head = Head::read(&mut reader).ok_or(Unopenable::Broken)?;
        let session = Session::from_payload(reader.rest(), &self.client_id, None)
            .filter(|session| session.id == voucher.id)
            .ok_or(Unopenable::Broken)?;
        let stored = Stored {
            voucher: Arc::clone(voucher),
            version: record.version(),
            presented: head.presented,
            user_agent: head.user_agent.map(Arc::from),
        };
        Ok(self.opened(session, stored, current_key))
    }

    /// A session and what follows from its times.
    pub(crate) fn opened(&self, session: Session, stored: Stored, current_key: bool) -> Opened {
        let schedule = Schedule::new(&session, &self.lifetimes);
        Opened { session, schedule, current_key, stored: Some(stored) }
    }

    /// Stores a new session.
    pub(crate) async fn create(&self, opened: &Opened, now: Timestamp) -> Result<(), StoreError> {
        let Some(stored) = &opened.stored else { return Ok(()) };
        let (record, ttl) = self.record(opened, now);
        self.create_once("create", &stored.voucher.key, record, ttl).await
    }

    /// Creates a record. That it is there already is no error if it is this very one: the first answer
    /// was lost then, and somebody has repeated the call.
    async fn create_once(
        &self,
        verb: &'static str,
        key: &str,
        record: StoredRecord,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let own = record.version();
        match self.call(verb, Want::Write, self.store.create(key, record, ttl)).await {
            Err(StoreError::Taken) => {
                let found = self.call("load", Want::Read, self.store.load(key)).await?;
                let is_own = found.is_some_and(|found| found.version() == own);
                if is_own { Ok(()) } else { Err(StoreError::Taken) }
            }
            result => result,
        }
    }

    /// Writes `next` where the record still has the version `old`.
    pub(crate) async fn update(
        &self,
        old: Version,
        next: &Opened,
        now: Timestamp,
    ) -> Result<Swap, StoreError> {
        let Some(stored) = &next.stored else { return Ok(Swap::Absent) };
        let (record, ttl) = self.record(next, now);
        let update = self.store.update(&stored.voucher.key, old, record, ttl);
        self.call("update", Want::Write, update).await
    }

    fn record(&self, opened: &Opened, now: Timestamp) -> (StoredRecord, Duration) {
        let ttl = opened.schedule.ends_at.since(now);
        let Some(Stored { voucher, version, presented, user_agent }) = &opened.stored else {
            return (StoredRecord::unreadable(), Duration::ZERO);
        };
        let session = Zeroizing::new(opened.session.to_payload(&self.client_id));
        let head = Head { presented: *presented, user_agent: user_agent.as_deref() };
        let head = postcard::to_stdvec(&head).expect("a flat structure serializes");
        let payload = [&head, session.as_slice()].concat();
        let content = if self.store.stays_in_process() {
            payload
        } else {
            let payload = Zeroizing::new(payload);
            self.sealer.seal_record(place(voucher, version), &payload)
        };
        (StoredRecord::new(*version, content), ttl)
    }

    pub(crate) async fn delete(&self, voucher: &Voucher) -> Result<(), StoreError> {
        self.delete_key(&voucher.key).await
    }

    /// Removes what cannot be read, unless something else stands there by now.
    async fn remove(&self, voucher: &Voucher, broken: &StoredRecord) -> Result<(), StoreError> {
        if *broken == StoredRecord::unreadable() {
            return self.delete(voucher).await;
        }
        self.delete_if(voucher, broken.version()).await.map(drop)
    }

    pub(crate) async fn delete_key(&self, key: &str) -> Result<(), StoreError> {
        self.call("delete", Want::Write, self.store.delete(key)).await
    }

    pub(crate) async fn delete_if(
        &self,
        voucher: &Voucher,
        version: Version,
    ) -> Result<Swap, StoreError> {
        let delete = self.store.delete_if(&voucher.key, version);
        self.call("delete_if", Want::Write, delete).await
    }

    pub(crate) async fn lease(
        &self,
        voucher: &Voucher,
        lease: Lease,
        ttl: Duration,
    ) -> Result<Leased, StoreError> {
        let key = self.names.lease(voucher);
        let take = self.store.lease(&key, lease, ttl);
        self.call("lease", Want::Write, take).await
    }

    pub(crate) async fn release(
        &self,
        voucher: &Voucher,
        owner: LeaseOwner,
    ) -> Result<(), StoreError> {
        let key = self.names.lease(voucher);
        let release = self.store.release(&key, owner);
        self.call("release", Want::Write, release).await
    }

    /// Claims a login, once in the whole cluster; `own` tells this claim from others.
    pub(crate) async fn claim(
        &self,
        state: &[u8],
        own: Version,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        // Where all instances are this process, its own memory of spent states does the same.
        if self.store.stays_in_process() {
            return Ok(true);
        }
        let key = self.names.claim(state);
        let record = StoredRecord::new(own, Vec::new());
        match self.create_once("claim", &key, record, ttl).await {
            Ok(()) => Ok(true),
            Err(StoreError::Taken) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes over the claim `earlier` of this instance, whose answer was lost.
    pub(crate) async fn reclaim(
        &self,
        state: &[u8],
        earlier: Version,
        own: Version,
        ttl: Duration,
    ) -> Result<bool, StoreError> {
        let key = self.names.claim(state);
        let record = StoredRecord::new(own, Vec::new());
        let update = self.store.update(&key, earlier, record, ttl);
        Ok(self.call("claim", Want::Write, update).await? == Swap::Done)
    }

    /// Gives a login back whose code is unspent, if the claim on it is `own`.
    pub(crate) async fn unclaim(&self, state: &[u8], own: Version) -> Result<(), StoreError> {
        let key = self.names.claim(state);
        self.call("unclaim", Want::Write, self.store.delete_if(&key, own)).await.map(|_| ())
    }

    /// Notes a session in the index of its user.
    pub(crate) async fn index(&self, opened: &Opened, now: Timestamp) -> Result<(), StoreError> {
        let Some(stored) = &opened.stored else { return Ok(()) };
        let key = &stored.voucher.key;
        let times = &opened.session.times;
        let entry = IndexedSession {
            created: times.authenticated_at.as_millis(),
            last_seen: times.last_seen.as_millis(),
            user_agent: stored.user_agent.as_deref().map(Into::into),
        };
        let payload = postcard::to_stdvec(&entry).expect("a flat structure serializes");
        let content = self.sealer.seal_entry(key, &payload).into();
        let session = &opened.session;
        let user = self.users(session.account.as_str(), &session.identity.subject).swap_remove(0);
        let ttl = session.times.absolute_end.since(now);
        let entry = IndexEntry { record: key.to_string(), content };
        self.call("index_add", Want::Write, self.store.index_add(&user, entry, ttl)).await
    }

    /// The sessions of a user: keys of records, and what the index says of them. After a rotation of
    /// the session key one may stand there under two names: the later use counts.
    pub(crate) async fn indexed(
        &self,
        account: &str,
        subject: &str,
    ) -> Result<BTreeMap<String, IndexedSession>, StoreError> {
        let mut found = BTreeMap::<String, IndexedSession>::new();
        for user in self.users(account, subject) {
            let entries = self.call("index", Want::Read, self.store.index(&user)).await?;
            for IndexEntry { record, content } in entries {
                let Ok(payload) = self.sealer.open_entry(&record, &content) else { continue };
                let Ok(entry) = postcard::from_bytes::<IndexedSession>(&payload) else { continue };
                match found.entry(record) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(entry);
                    }
                    Entry::Occupied(mut known) if known.get().last_seen < entry.last_seen => {
                        known.insert(entry);
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
        Ok(found)
    }

    /// Takes a record out of the index of its user.
    pub(crate) async fn unindex(
        &self,
        account: &str,
        subject: &str,
        record: &str,
    ) -> Result<(), StoreError> {
        for user in self.users(account, subject) {
            let remove = self.store.index_remove(&user, record);
            self.call("index_remove", Want::Write, remove).await?;
        }
        Ok(())
    }

    /// Whether there is a record under a key of the index.
    pub(crate) async fn has(&self, key: &str) -> Result<bool, StoreError> {
        Ok(self.call("load", Want::Read, self.store.load(key)).await?.is_some())
    }

    /// The names of a user's index, today's first.
    fn users(&self, account: &str, subject: &str) -> Vec<Box<str>> {
        self.sealer.user_names(account, subject).map(|name| self.names.user(&name)).collect()
    }

    /// Asks the store, for so long and no longer; counts what fails.
    async fn call<T>(
        &self,
        verb: &'static str,
        want: Want,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let result = in_time(want, asked).await;
        match &result {
            Ok(_) | Err(StoreError::Taken) => self.pulse.worked(want),
            Err(error) => {
                self.telemetry.store_failed(error);
                self.pulse.failed(want, verb, error, self.probe());
            }
        }
        result
    }

    /// Asks for a record that nobody has, as long as there is a store.
    fn probe(&self) -> impl Fn() -> Option<BoxFuture<'static, Result<(), StoreError>>> + use<> {
        let store = Arc::downgrade(&self.store);
        let key: Arc<str> = self.names.claim(b"").into();
        move || {
            let (store, key) = (store.upgrade()?, Arc::clone(&key));
            Some(Box::pin(async move { in_time(Want::Read, store.load(&key)).await.map(drop) }))
        }
    }
}

/// What a store answers, or that it has taken too long.
async fn in_time<T>(
    want: Want,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let within = match want {
        Want::Read => READ_WITHIN,
        Want::Write => WRITE_WITHIN,
    };
    timeout(within, asked)
        .await
        .unwrap_or_else(|elapsed| Err(StoreError::Unavailable(elapsed.into())))
}

fn place<'a>(voucher: &'a Voucher, version: &'a Version) -> RecordPlace<'a> {
    RecordPlace { secret: voucher.secret(), key: &voucher.key, version: version.as_bytes() }
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("store", &self.store).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Option<(Head<'_>, &[u8])> {
        let mut reader = Reader::new(bytes);
        Some((Head::read(&mut reader)?, reader.rest()))
    }

    proptest! {
        /// Postcard writes what stands in front of a session, and is what reads it right.
        #[test]
        fn heads_are_read_as_postcard_reads_them(
            presented: u32,
            user_agent: Option<String>,
            rest: [u8; 3],
            noise in proptest::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..12),
        ) {
            let head = Head { presented, user_agent: user_agent.as_deref() };
            let bytes = [postcard::to_stdvec(&head).unwrap(), rest.into()].concat();
            prop_assert_eq!(read(&bytes), Some((head, &rest[..])));
            prop_assert_eq!(read(&noise), postcard::take_from_bytes(&noise).ok());
        }
    }
}
