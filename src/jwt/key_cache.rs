//! The published keys of each host: fetched seldom, once for everybody, and lost by no failure.

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{runtime::Handle, sync::watch};

use super::jwks::KeySet;
use crate::{
    clock::Clock,
    error::{BoxError, BoxFuture},
};

/// Where JWK sets come from.
pub(crate) trait FetchKeys: Send + Sync + 'static {
    /// Asks a host for its JWK set. `host` is an origin, and the name under which the cache keeps
    /// the answer.
    ///
    /// Ends within a deadline of its own, for callers wait as long as it takes; reads no more than
    /// 512 KiB and follows no redirect. An error is a fault, never the news that there are no keys.
    fn fetch_keys<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<KeySetDocument, BoxError>>;
}

/// What a host answered.
#[derive(Clone, Debug)]
pub(crate) enum KeySetDocument {
    /// The body of a 200.
    Found(Bytes),
    /// 404 or 410: the host publishes no keys.
    Missing,
}

/// A withdrawn key is refused after this at the latest, if the host can be asked.
const MAX_AGE: Duration = Duration::from_secs(10 * 60);

/// Keys outlive a host that cannot be asked, but not for ever.
const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two attempts, failed ones too, while there is a set: strangers choose the `kid`s.
///
/// It is also how long an answer proves that a key is *not* there, so that a key is never looked for
/// in vain and then called absent by an old set.
const COOLDOWN: Duration = Duration::from_secs(30);

/// Between two attempts while there is no set, as nobody can be let in until there is.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Sentinel has one host per data centre; this bounds what a wrong configuration can fill.
const MAX_HOSTS: usize = 64;

/// The key sets of all hosts.
pub(super) struct KeyCache {
    source: Arc<dyn FetchKeys>,
    clock: Arc<dyn Clock>,
    hosts: Mutex<HashMap<Box<str>, Arc<Host>>>,
}

impl KeyCache {
    pub(super) fn new(source: Arc<dyn FetchKeys>, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock, hosts: Mutex::default() }
    }

    /// Finds a set that `fits`, or one so fresh that nothing better can be had.
    ///
    /// The set comes with the time until which a verdict by it may be kept.
    ///
    /// Waits for at most one fetch, which all callers share; those whose key is at hand do not wait
    /// for it, unless the set has reached [`MAX_AGE`].
    ///
    /// # Errors
    ///
    /// What went wrong at the last attempt, if it left no set that fits.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a fetch goes on without those who wait for it.
    pub(super) async fn find(
        &self,
        host: &str,
        fits: impl Fn(&KeySet) -> bool,
    ) -> Result<Keys, BoxError> {
        let host = self.host(host);
        let mut flight = match self.plan(&host, &fits) {
            Plan::Use(keys) => return Ok(keys),
            Plan::Fail(error) => return Err(error.into()),
            Plan::Await(flight) => flight,
        };
        // No value is ever sent: the sender is dropped when the flight ends, however it does.
        let _ended = flight.changed().await;
        let state = host.state();
        state.settle(self.clock.monotonic(), fits).map_err(Into::into)
    }

    /// Decides what a caller does, and starts the fetch if the decision is to await one.
    fn plan(&self, host: &Arc<Host>, fits: impl Fn(&KeySet) -> bool) -> Plan {
        let now = self.clock.monotonic();
        let mut state = host.state();
        if !state.must_ask(now, &fits) {
            return state.settle(now, fits).map_or_else(Plan::Fail, Plan::Use);
        }
        match state.under_way().or_else(|| self.depart(host, &mut state)) {
            Some(flight) => Plan::Await(flight),
            None => Plan::Fail(SharedError::new(FetchError::NoRuntime)),
        }
    }

    /// Starts a fetch as a task of its own; `None` outside a tokio runtime.
    fn depart(&self, host: &Arc<Host>, state: &mut State) -> Option<watch::Receiver<()>> {
        let runtime = Handle::try_current().ok()?;
        let (landing, flight) = watch::channel(());
        let departed = self.clock.monotonic();
        state.attempted = Some(departed);
        state.failure = None;
        state.flight = Some(flight.clone());
        let (source, clock, host) = (self.source.clone(), self.clock.clone(), host.clone());
        runtime.spawn(async move {
            let answer = fetch(&*source, &host.name).await;
            report(&host.name, &answer);
            host.state().land(answer, departed, clock.monotonic());
            drop(landing);
        });
        Some(flight)
    }

    fn host(&self, name: &str) -> Arc<Host> {
        let mut hosts = lock(&self.hosts);
        if let Some(host) = hosts.get(name) {
            return host.clone();
        }
        if hosts.len() >= MAX_HOSTS {
            let oldest = hosts.values().min_by_key(|host| host.state().attempted);
            if let Some(oldest) = oldest.cloned() {
                hosts.remove(&oldest.name);
            }
        }
        let host = Arc::new(Host::new(name));
        hosts.insert(name.into(), host.clone());
        host
    }
}

/// The keys of a host, as they are known now.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    pub(super) set: Arc<KeySet>,
    /// When a verdict by these keys is to be made again, as a monotonic reading: one of them may
    /// have been withdrawn meanwhile.
    pub(super) good_until: Duration,
}

/// What a caller does.
enum Plan {
    Use(Keys),
    Fail(SharedError),
    Await(watch::Receiver<()>),
}

struct Host {
    name: Box<str>,
    state: Mutex<State>,
}

impl Host {
    fn new(name: &str) -> Self {
        Self { name: name.into(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Nothing under these locks can panic half-way, so a poisoned one is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of a host. Times are monotonic readings.
#[derive(Debug, Default)]
struct State {
    known: Option<Known>,
    /// When the last attempt began or, if it failed, ended.
    attempted: Option<Duration>,
    /// What went wrong at the last attempt.
    failure: Option<SharedError>,
    /// Closed once the last attempt has ended.
    flight: Option<watch::Receiver<()>>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<KeySet>,
    /// When these keys were asked for.
    fetched: Duration,
    /// When the host was last asked with success, whether or not the keys are from that answer.
    answered: Duration,
}

impl Known {
    /// A verdict lasts until the host is asked again. Where that is overdue, as the host cannot be
    /// asked, it lasts as long as if the host had just confirmed the keys: to ask sooner would let
    /// callers wait for a host that is down, and tell nothing new.
    fn keys(&self, now: Duration) -> Keys {
        let due = self.answered + MAX_AGE;
        let good_until = if due > now { due } else { now + MAX_AGE };
        Keys { set: self.keys.clone(), good_until }
    }
}

impl State {
    /// Decides whether a caller has to await an answer of the host.
    fn must_ask(&self, now: Duration, fits: impl Fn(&KeySet) -> bool) -> bool {
        let known = self.known(now);
        let good = known.is_some_and(|known| fits(&known.keys));
        let recent = known.is_some_and(|known| now.saturating_sub(known.answered) < MAX_AGE);
        let pause = known.map_or(BACK_OFF, |_| COOLDOWN);
        !(good && recent) && (self.under_way().is_some() || !self.attempted_within(pause, now))
    }

    /// Gives what there is: keys that fit or that were just fetched, else the last failure.
    fn settle(&self, now: Duration, fits: impl Fn(&KeySet) -> bool) -> Result<Keys, SharedError> {
        match self.known(now) {
            Some(known) if now.saturating_sub(known.answered) < COOLDOWN || fits(&known.keys) => {
                Ok(known.keys(now))
            }
            _ => {
                Err(self.failure.clone().unwrap_or_else(|| SharedError::new(FetchError::NoAnswer)))
            }
        }
    }

    /// Takes in how an attempt ended.
    ///
    /// A failure removes nothing. Nor does an answer without a usable key remove keys: a
    /// half-configured host gives the like, and without keys there would be less to check.
    fn land(&mut self, answer: Result<KeySet, SharedError>, departed: Duration, now: Duration) {
        let keys = match answer {
            Ok(keys) => keys,
            Err(failure) => {
                self.failure = Some(failure);
                self.attempted = Some(now);
                return;
            }
        };
        let kept = self.known(now).filter(|known| keys.is_empty() && !known.keys.is_empty());
        self.known = Some(match kept {
            Some(kept) => Known { answered: departed, ..kept.clone() },
            None => Known { keys: Arc::new(keys), fetched: departed, answered: departed },
        });
    }

    fn known(&self, now: Duration) -> Option<&Known> {
        let recent = |known: &&Known| now.saturating_sub(known.fetched) < MAX_STALE;
        self.known.as_ref().filter(recent)
    }

    fn attempted_within(&self, pause: Duration, now: Duration) -> bool {
        self.attempted.is_some_and(|attempted| now.saturating_sub(attempted) < pause)
    }

    /// The fetch that has not ended; one whose task is gone has.
    fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.flight.clone().filter(|flight| flight.has_changed().is_ok())
    }
}

async fn fetch(source: &dyn FetchKeys, host: &str) -> Result<KeySet, SharedError> {
    match source.fetch_keys(host).await {
        Ok(KeySetDocument::Found(document)) => KeySet::parse(&document).map_err(SharedError::new),
        Ok(KeySetDocument::Missing) => Ok(KeySet::default()),
        Err(error) => Err(SharedError(error.into())),
    }
}

fn report(host: &str, answer: &Result<KeySet, SharedError>) {
    match answer {
        Ok(keys) => tracing::debug!(host, keys = keys.len(), "keys fetched"),
        Err(error) => tracing::warn!(host, %error, "keys could not be fetched"),
    }
}

#[derive(Clone, Copy, Debug, thiserror::Error)]
enum FetchError {
    #[error("the fetch ended without an answer")]
    NoAnswer,
    #[error("no tokio runtime is running to fetch with")]
    NoRuntime,
}

/// One error for all who waited; it shows what is within as if it were that.
#[derive(Clone, Debug)]
struct SharedError(Arc<dyn StdError + Send + Sync>);

impl SharedError {
    fn new(error: impl StdError + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for SharedError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
