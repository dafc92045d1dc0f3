//! A session store that does as it is told: counts, fails, forgets.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tower_lp_auth::{
    BoxFuture, Clock, MemoryStore, SessionStore,
    store::{IndexEntry, Lease, LeaseOwner, Leased, StoreError, StoredRecord, Swap, Version},
};

/// A store in memory whose records leave the process as far as the layer knows: they are sealed.
///
/// Clones are one connection; [`RiggedStore::another_connection`] is one that can fail alone.
#[derive(Clone, Debug, Default)]
pub struct RiggedStore {
    inner: Arc<Inner>,
}

/// One connection.
#[derive(Debug, Default)]
struct Inner {
    beneath: Arc<Beneath>,
    down: AtomicBool,
    frozen: AtomicBool,
    calls: Mutex<Vec<Call>>,
    plans: Mutex<Vec<Plan>>,
    standing: Mutex<Vec<Plan>>,
    meddlers: Mutex<Vec<(Verb, Meddler)>>,
}

/// What all connections lead to.
#[derive(Debug, Default)]
struct Beneath {
    store: MemoryStore,
    epoch: AtomicU64,
    /// What stood under each key, the latest last; `None` for deleted.
    history: Mutex<HashMap<String, Vec<Option<StoredRecord>>>>,
    lives: Mutex<Vec<Life>>,
    entries: Mutex<Vec<IndexEntry>>,
}

/// A call, and the key that it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    pub key: String,
}

/// How long something was stored for.
#[derive(Clone, Debug)]
pub struct Life {
    pub verb: Verb,
    pub key: String,
    pub ttl: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    verb: Verb,
    /// Part of the key.
    part: &'static str,
    mishap: Mishap,
}

/// What somebody else does just before a call is carried out.
struct Meddler(Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>);

impl fmt::Debug for Meddler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Meddler(..)")
    }
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
    /// None: the call is carried out.
    Pass,
    /// It is never answered, nor is any other of this connection until it thaws: nobody else can
    /// tell this from a process that was killed.
    Freeze,
    /// The same, but this call still takes effect.
    FreezeAfter,
    /// The store panics.
    Panic,
}

impl RiggedStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// A store in which time passes by this clock.
    pub fn with_clock(clock: impl Clock) -> Self {
        let store = MemoryStore::with_clock(10_000, clock);
        let beneath = Arc::new(Beneath { store, ..Beneath::default() });
        Self { inner: Arc::new(Inner { beneath, ..Inner::default() }) }
    }

    /// Another connection to the same store.
    pub fn another_connection(&self) -> Self {
        let beneath = Arc::clone(&self.inner.beneath);
        Self { inner: Arc::new(Inner { beneath, ..Inner::default() }) }
    }

    /// From now on every call fails, or none.
    pub fn set_down(&self, down: bool) {
        self.inner.down.store(down, Ordering::SeqCst);
    }

    /// The next call of this verb that has no plan yet meets `mishap`.
    pub fn plan(&self, verb: Verb, mishap: Mishap) {
        self.plan_under("", verb, mishap);
    }

    /// The same for calls whose key contains `part`.
    pub fn plan_under(&self, part: &'static str, verb: Verb, mishap: Mishap) {
        lock(&self.inner.plans).push(Plan { verb, part, mishap });
    }

    /// Every call of this verb that has no plan meets `mishap`, until [`RiggedStore::mend`].
    pub fn plan_always(&self, verb: Verb, mishap: Mishap) {
        lock(&self.inner.standing).push(Plan { verb, part: "", mishap });
    }

    /// Nothing goes wrong any more.
    pub fn mend(&self) {
        lock(&self.inner.plans).clear();
        lock(&self.inner.standing).clear();
        self.set_down(false);
        self.thaw();
    }

    /// Calls are answered again after [`Mishap::Freeze`].
    pub fn thaw(&self) {
        self.inner.frozen.store(false, Ordering::SeqCst);
    }

    pub fn is_frozen(&self) -> bool {
        self.inner.frozen.load(Ordering::SeqCst)
    }

    /// Before the next call of this verb is carried out, `act` happens.
    pub fn meddle<F>(&self, verb: Verb, act: impl FnOnce() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        lock(&self.inner.meddlers).push((verb, Meddler(Box::new(move || Box::pin(act())))));
    }

    /// All connections are new: writes may have been lost.
    pub fn reconnect(&self) {
        self.inner.beneath.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// A fail-over: the latest write to each record under a key that contains `part` is lost, and the
    /// connection is new.
    pub async fn lose_latest_write(&self, part: &str) {
        let undone: Vec<(String, Option<StoredRecord>)> = {
            let mut history = lock(&self.inner.beneath.history);
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
            self.inner.beneath.store.delete(&key).await.expect("memory answers");
            if let Some(record) = state {
                let hour = Duration::from_secs(3600);
                self.inner.beneath.store.create(&key, record, hour).await.expect("memory has room");
            }
        }
        self.reconnect();
    }

    /// The calls so far, and none from now on.
    pub fn take_calls(&self) -> Vec<Verb> {
        self.take_calls_with_keys().into_iter().map(|call| call.verb).collect()
    }

    /// The same, with what each was for.
    pub fn take_calls_with_keys(&self) -> Vec<Call> {
        std::mem::take(&mut lock(&self.inner.calls))
    }

    /// How many calls of a verb there were under keys that contain `part`.
    pub fn count_under(&self, part: &str, verb: Verb) -> usize {
        let matches = |call: &&Call| call.verb == verb && call.key.contains(part);
        lock(&self.inner.calls).iter().filter(matches).count()
    }

    /// How long everything was stored for that ever was, in order.
    pub fn lives(&self) -> Vec<Life> {
        lock(&self.inner.beneath.lives).clone()
    }

    /// Every index entry that was ever written.
    pub fn entries_written(&self) -> Vec<IndexEntry> {
        lock(&self.inner.beneath.entries).clone()
    }

    /// What stood under the only key that contains `part`, the latest last; `None` for deleted.
    pub fn history_of(&self, part: &str) -> Vec<Option<StoredRecord>> {
        let history = lock(&self.inner.beneath.history);
        let mut found = history.iter().filter(|(key, _)| key.contains(part));
        let (_, states) = found.next().unwrap_or_else(|| panic!("no key with {part}"));
        assert!(found.next().is_none(), "more than one key with {part}");
        states.clone()
    }

    /// How many calls of a verb there were since the last [`RiggedStore::take_calls`].
    pub fn count(&self, verb: Verb) -> usize {
        lock(&self.inner.calls).iter().filter(|call| call.verb == verb).count()
    }

    /// All keys that a record was ever written under.
    pub fn keys(&self) -> Vec<String> {
        lock(&self.inner.beneath.history).keys().cloned().collect()
    }

    /// What is under the only key that contains `part`, and the key.
    pub async fn only(&self, part: &str) -> (String, Option<StoredRecord>) {
        let keys: Vec<_> = self.keys().into_iter().filter(|key| key.contains(part)).collect();
        let [key] = &keys[..] else { panic!("not one key with {part}: {keys:?}") };
        let record = self.inner.beneath.store.load(key).await.expect("memory answers");
        (key.clone(), record)
    }

    /// The store beneath, for a test that writes what it likes.
    pub fn beneath(&self) -> &MemoryStore {
        &self.inner.beneath.store
    }

    /// Every record that was ever written.
    pub fn everything_written(&self) -> Vec<StoredRecord> {
        lock(&self.inner.beneath.history).values().flatten().flatten().cloned().collect()
    }

    fn note(&self, key: &str, state: Option<StoredRecord>) {
        lock(&self.inner.beneath.history).entry(key.to_owned()).or_default().push(state);
    }

    fn live(&self, verb: Verb, key: &str, ttl: Duration) {
        lock(&self.inner.beneath.lives).push(Life { verb, key: key.to_owned(), ttl });
    }

    /// What is going to go wrong with this call.
    fn mishap(&self, verb: Verb, key: &str) -> Mishap {
        let meets = |plan: &Plan| plan.verb == verb && key.contains(plan.part);
        let mut plans = lock(&self.inner.plans);
        if let Some(at) = plans.iter().position(meets) {
            return plans.remove(at).mishap;
        }
        let standing = lock(&self.inner.standing);
        standing.iter().find(|plan| meets(plan)).map_or(Mishap::Pass, |plan| plan.mishap)
    }

    async fn call<T>(
        &self,
        verb: Verb,
        key: &str,
        act: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        lock(&self.inner.calls).push(Call { verb, key: key.to_owned() });
        if self.is_frozen() {
            return std::future::pending().await;
        }
        if self.inner.down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("it is down, as it was told".into()));
        }
        let meddler = {
            let mut meddlers = lock(&self.inner.meddlers);
            let at = meddlers.iter().position(|(planned, _)| *planned == verb);
            at.map(|at| meddlers.remove(at).1)
        };
        if let Some(Meddler(meddle)) = meddler {
            meddle().await;
        }
        match self.mishap(verb, key) {
            Mishap::Pass => act.await,
            Mishap::Fail => Err(StoreError::Unavailable("as it was told".into())),
            Mishap::LoseAnswer => {
                let _ = act.await;
                Err(StoreError::Unavailable("the answer is lost, as it was told".into()))
            }
            Mishap::Delay(delay) => {
                tokio::time::sleep(delay).await;
                act.await
            }
            Mishap::Hang => std::future::pending().await,
            Mishap::Full => Err(StoreError::Full),
            Mishap::Refuse => Err(StoreError::Refused("as it was told".into())),
            Mishap::Freeze => {
                self.inner.frozen.store(true, Ordering::SeqCst);
                std::future::pending().await
            }
            Mishap::FreezeAfter => {
                let _ = act.await;
                self.inner.frozen.store(true, Ordering::SeqCst);
                std::future::pending().await
            }
            Mishap::Panic => panic!("the store panics, as it was told"),
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
        Box::pin(self.call(Verb::Create, key, async move {
            self.inner.beneath.store.create(key, record.clone(), ttl).await?;
            self.note(key, Some(record));
            self.live(Verb::Create, key, ttl);
            Ok(())
        }))
    }

    fn load<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<StoredRecord>, StoreError>> {
        Box::pin(self.call(Verb::Load, key, self.inner.beneath.store.load(key)))
    }

    fn update<'a>(
        &'a self,
        key: &'a str,
        version: Version,
        record: StoredRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.call(Verb::Update, key, async move {
            let swap = self.inner.beneath.store.update(key, version, record.clone(), ttl).await?;
            if swap == Swap::Done {
                self.note(key, Some(record));
                self.live(Verb::Update, key, ttl);
            }
            Ok(swap)
        }))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::Delete, key, async move {
            self.inner.beneath.store.delete(key).await?;
            self.note(key, None);
            Ok(())
        }))
    }

    fn delete_if<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.call(Verb::DeleteIf, key, async move {
            let swap = self.inner.beneath.store.delete_if(key, version).await?;
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
        Box::pin(self.call(Verb::Lease, key, async move {
            let leased = self.inner.beneath.store.lease(key, lease, ttl).await?;
            if leased == Leased::Held {
                self.live(Verb::Lease, key, ttl);
            }
            Ok(leased)
        }))
    }

    fn release<'a>(
        &'a self,
        key: &'a str,
        owner: LeaseOwner,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::Release, key, self.inner.beneath.store.release(key, owner)))
    }

    fn index_add<'a>(
        &'a self,
        user: &'a str,
        entry: IndexEntry,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(Verb::IndexAdd, user, async move {
            self.inner.beneath.store.index_add(user, entry.clone(), ttl).await?;
            lock(&self.inner.beneath.entries).push(entry);
            self.live(Verb::IndexAdd, user, ttl);
            Ok(())
        }))
    }

    fn index<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Vec<IndexEntry>, StoreError>> {
        Box::pin(self.call(Verb::Index, user, self.inner.beneath.store.index(user)))
    }

    fn index_remove<'a>(
        &'a self,
        user: &'a str,
        record: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.call(
            Verb::IndexRemove,
            user,
            self.inner.beneath.store.index_remove(user, record),
        ))
    }

    fn epoch(&self) -> u64 {
        self.inner.beneath.epoch.load(Ordering::SeqCst)
    }
}
