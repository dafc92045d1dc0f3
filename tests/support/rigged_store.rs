//! A session store that does as it is told: counts, fails, forgets.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tower_lp_auth::{
    BoxFuture, MemoryStore, SessionStore,
    store::{IndexEntry, Lease, LeaseOwner, Leased, StoreError, StoredRecord, Swap, Version},
};

/// A store in memory whose records leave the process as far as the layer knows: they are sealed.
#[derive(Clone, Debug, Default)]
pub struct RiggedStore {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    store: MemoryStore,
    down: AtomicBool,
    epoch: AtomicU64,
    calls: Mutex<Vec<Verb>>,
    plans: Mutex<Vec<(Verb, Mishap)>>,
    /// What stood under each key, the latest last; `None` for deleted.
    history: Mutex<HashMap<String, Vec<Option<StoredRecord>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    Create,
    Load,
    Update,
    Delete,
    DeleteIf,
    Lease,
    Release,
    IndexAdd,
    Index,
    IndexRemove,
}

/// What happens to one call.
#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    /// It fails without an effect.
    Fail,
    /// It takes effect, and its answer is lost.
    LoseAnswer,
    /// It takes this much longer.
    Delay(Duration),
    /// It is never answered, and has no effect.
    Hang,
    /// There is no room.
    Full,
    /// The store refuses our credentials.
    Refuse,
}

impl RiggedStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on every call fails, or none.
    pub fn set_down(&self, down: bool) {
        self.inner.down.store(down, Ordering::SeqCst);
    }

    /// The next call of this verb that has no plan yet meets `mishap`.
    pub fn plan(&self, verb: Verb, mishap: Mishap) {
        lock(&self.inner.plans).push((verb, mishap));
    }

    /// The connection is new: writes may have been lost.
    pub fn reconnect(&self) {
        self.inner.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// A fail-over: the latest write to each record under a key that contains `part` is lost, and the
    /// connection is new.
    pub async fn lose_latest_write(&self, part: &str) {
        let undone: Vec<(String, Option<StoredRecord>)> = {
            let mut history = lock(&self.inner.history);
            let matching = history.iter_mut().filter(|(key, _)| key.contains(part));
            matching
                .map(|(key, states)| {
                    states.pop();
                    (key.clone(), states.last().cloned().flatten())
                })
                .collect()
        };
        assert!(!undone.is_empty(), "nothing was written under a key with {part}");
        for (key, state) in undone {
            self.inner.store.delete(&key).await.expect("memory answers");
            if let Some(record) = state {
                let hour = Duration::from_secs(3600);
                self.inner.store.create(&key, record, hour).await.expect("memory has room");
            }
        }
        self.reconnect();
    }

    /// The calls so far, and none from now on.
    pub fn take_calls(&self) -> Vec<Verb> {
        std::mem::take(&mut lock(&self.inner.calls))
    }

    /// How many calls of a verb there were since the last [`RiggedStore::take_calls`].
    pub fn count(&self, verb: Verb) -> usize {
        lock(&self.inner.calls).iter().filter(|call| **call == verb).count()
    }

    /// All keys that a record was ever written under.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.inner.history).keys().cloned().collect()
    }

    /// What is under the only key that contains `part`, and the key.
    pub async fn only(&self, part: &str) -> (String, Option<StoredRecord>) {
        let keys: Vec<_> = self.keys().into_iter().filter(|key| key.contains(part)).collect();
        let [key] = &keys[..] else { panic!("not one key with {part}: {keys:?}") };
        let record = self.inner.store.load(key).await.expect("memory answers");
        (key.clone(), record)
    }

    /// The store beneath, for a test that writes what it likes.
    pub fn beneath(&self) -> &MemoryStore {
        &self.inner.store
    }

    /// Every record that was ever written.
    pub fn everything_written(&self) -> Vec<StoredRecord> {
        lock(&self.inner.history).values().flatten().flatten().cloned().collect()
    }

    fn note(&self, key: &str, state: Option<StoredRecord>) {
        lock(&self.inner.history).entry(key.to_owned()).or_default().push(state);
    }

    async fn call<T>(
        &self,
        verb: Verb,
        act: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        lock(&self.inner.calls).push(verb);
        if self.inner.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is down, as it was told".into()));
        }
        let mishap = {
            let mut plans = lock(&self.inner.plans);
            let at = plans.iter().position(|(planned, _)| *planned == verb);
            at.map(|at| plans.remove(at).1)
        };
        match mishap {
            None => act.await,
            Some(Mishap::Fail) => Err(StoreError::Unavailable("as it was told".into())),
            Some(Mishap::LoseAnswer) => {
                let _ = act.await;
                Err(StoreError::Unavailable("the answer is lost, as it was told".into()))
            }
            Some(Mishap::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                act.await
            }
            Some(Mishap::Hang) => std::future::pending().await,
            Some(Mishap::Full) => Err(StoreError::Full),
            Some(Mishap::Refuse) => Err(StoreError::Refused("as it was told".into())),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics inside")
}

impl SessionStore for RiggedStore {
    fn create<'a>(
        &'a self,
        key: &'a str,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::Create, async move {
            self.inner.store.create(key, record.clone(), ttl).await?;
            self.note(key, Some(record));
            Ok(())
        }))
    }

    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredRecord>, StoreError>> {
        Box::pin(self.call(Verb::Load, self.inner.store.load(key)))
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.call(Verb::Update, async move {
            let swap = self.inner.store.update(key, version, record.clone(), ttl).await?;
            if swap == Swap::Done {
                self.note(key, Some(record));
            }
            Ok(swap)
        }))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::Delete, async move {
            self.inner.store.delete(key).await?;
            self.note(key, None);
            Ok(())
        }))
    }

    fn delete_if<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.call(Verb::DeleteIf, async move {
            let swap = self.inner.store.delete_if(key, version).await?;
            if swap == Swap::Done {
                self.note(key, None);
            }
            Ok(swap)
        }))
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        lease: Lease,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Leased, StoreError>> {
        Box::pin(self.call(Verb::Lease, self.inner.store.lease(key, lease, ttl)))
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        owner: LeaseOwner,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::Release, self.inner.store.release(key, owner)))
    }

    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::IndexAdd, self.inner.store.index_add(user, entry, ttl)))
    }

    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<IndexEntry>, StoreError>> {
        Box::pin(self.call(Verb::Index, self.inner.store.index(user)))
    }

    fn index_remove<'a>(
        &'a self,
        user: &'a str,
        record: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::IndexRemove, self.inner.store.index_remove(user, record)))
    }

    fn epoch(&self) -> u64 {
        self.inner.epoch.load(Ordering::SeqCst)
    }
}
