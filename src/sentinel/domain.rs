//! Finds the Sentinel server of an account through the Domain API.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::watch;
use url::Host;

use super::{
    endpoint::{SENTINEL, SentinelHost, ServerOrigin, base_uri_url},
    error::{FetchError, InvalidHostAnswer, root_cause},
    http_client::HttpClient,
};
use crate::{AccountId, Clock};

/// Hosts move seldom; LivePerson's own clients keep them for 60 s to 3 h, most for 10 min.
const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
/// While the Domain API fails, a known host serves this long before it is asked again.
const STALE_FOR: Duration = Duration::from_secs(60);
/// A failure without a known host is shared this long: a burst of logins is one call.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// Accounts that are remembered; beyond them the one not asked for longest is dropped.
const MAX_ACCOUNTS: usize = 1000;
/// The list of all services of a large account has some 20 KiB.
const MAX_ANSWER: usize = 64 * 1024;

/// The hosts of accounts, fetched when first asked for and kept.
pub(super) struct Domains {
    shared: Arc<Shared>,
}

struct Shared {
    api: ServerOrigin,
    suffixes: Vec<Box<str>>,
    http: Arc<HttpClient>,
    clock: Arc<dyn Clock>,
    accounts: Mutex<HashMap<AccountId, Slot>>,
}

type Outcome = Result<SentinelHost, FetchError>;
type Flight = watch::Receiver<Option<Outcome>>;

/// What is known of one account; all times are [`Clock::monotonic`].
#[derive(Default)]
struct Slot {
    known: Option<SentinelHost>,
    fresh_until: Duration,
    /// `known` has outlived its time, and that has been said.
    is_stale: bool,
    failure: Option<(Duration, FetchError)>,
    flight: Option<Flight>,
    asked_at: Duration,
}

impl Slot {
    fn fresh(&self, now: Duration) -> Option<&SentinelHost> {
        self.known.as_ref().filter(|_| now < self.fresh_until)
    }

    fn failure(&self, now: Duration) -> Option<&FetchError> {
        let (until, error) = self.failure.as_ref()?;
        (now < *until).then_some(error)
    }

    /// A flight whose task is gone (a runtime that was shut down) is nothing to wait for.
    fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|f| f.has_changed().is_ok())
    }
}

impl Domains {
    pub(super) fn new(
        api: ServerOrigin,
        suffixes: Vec<Box<str>>,
        http: Arc<HttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let shared = Shared { api, suffixes, http, clock, accounts: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    /// The account's host if no call is needed to know it.
    pub(super) fn known(&self, account: &AccountId) -> Option<SentinelHost> {
        let now = self.shared.clock.monotonic();
        let mut accounts = self.shared.accounts();
        let slot = accounts.get_mut(account)?;
        slot.asked_at = now;
        slot.fresh(now).cloned()
    }

    /// The account's host; many callers at once share one call.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the call goes on as a task of its own, for all others who wait.
    pub(super) async fn host(&self, account: &AccountId) -> Outcome {
        let mut flight = match self.look_up(account) {
            LookUp::Done(outcome) => return outcome,
            LookUp::Wait(flight) => flight,
        };
        match flight.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(interrupted()),
        }
    }

    fn look_up(&self, account: &AccountId) -> LookUp {
        let now = self.shared.clock.monotonic();
        let (sender, flight) = watch::channel(None);
        {
            let mut accounts = self.shared.accounts();
            let slot = slot(&mut accounts, account);
            slot.asked_at = now;
            if let Some(host) = slot.fresh(now) {
                return LookUp::Done(Ok(host.clone()));
            }
            if let Some(error) = slot.failure(now) {
                return LookUp::Done(Err(error.clone()));
            }
            if let Some(flight) = slot.flight() {
                return LookUp::Wait(flight.clone());
            }
            slot.flight = Some(flight.clone());
        }
        let (shared, account) = (Arc::clone(&self.shared), account.clone());
        tokio::spawn(async move {
            let fetched = shared.fetch(&account).await;
            sender.send_replace(Some(shared.settle(&account, fetched)));
        });
        LookUp::Wait(flight)
    }
}

impl fmt::Debug for Domains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domains({})", self.shared.api)
    }
}

enum LookUp {
    Done(Outcome),
    Wait(Flight),
}

impl Shared {
    fn accounts(&self) -> MutexGuard<'_, HashMap<AccountId, Slot>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch(&self, account: &AccountId) -> Outcome {
        let url = base_uri_url(&self.api, account);
        let body = self.http.get(&self.api, &url, MAX_ANSWER).await?;
        read_answer(&body, account, &self.api, &self.suffixes)
            .map(SentinelHost::from)
            .map_err(FetchError::Host)
    }

    /// Keeps what a fetch has come to, and says what its waiters get.
    fn settle(&self, account: &AccountId, fetched: Outcome) -> Outcome {
        let now = self.clock.monotonic();
        let mut accounts = self.accounts();
        let slot = slot(&mut accounts, account);
        slot.flight = None;
        slot.failure = None;
        let error = match fetched {
            Ok(host) => {
                slot.known = Some(host.clone());
                slot.fresh_until = now + FRESH_FOR;
                slot.is_stale = false;
                return Ok(host);
            }
            Err(error) => error,
        };
        let Some(host) = slot.known.clone() else {
            slot.failure = Some((now + FAILED_FOR, error.clone()));
            report(account, &error);
            return Err(error);
        };
        slot.fresh_until = now + STALE_FOR;
        if !std::mem::replace(&mut slot.is_stale, true) {
            report(account, &error);
        }
        Ok(host)
    }
}

fn report(account: &AccountId, error: &FetchError) {
    tracing::warn!(
        endpoint = "domain_api",
        %account,
        class = error.class(),
        status = error.status().map(|status| status.as_u16()),
        cause = %root_cause(error),
        "the sentinel host of the account could not be fetched"
    );
}

/// The account's slot; the one not asked for longest makes room if there is none.
fn slot<'a>(accounts: &'a mut HashMap<AccountId, Slot>, account: &AccountId) -> &'a mut Slot {
    if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(account) {
        let oldest = accounts.iter().min_by_key(|(_, slot)| slot.asked_at);
        if let Some(oldest) = oldest.map(|(account, _)| account.clone()) {
            accounts.remove(&oldest);
        }
    }
    accounts.entry(account.clone()).or_default()
}

fn interrupted() -> FetchError {
    FetchError::Unreachable(Arc::new(io::Error::other("the fetch was interrupted")))
}

/// Reads the answer for one service, or finds the service in the list of all.
///
/// `service` and `account` must be the expected ones where they are present: an answer that was
/// meant for somebody else sends nobody's secret anywhere.
pub(super) fn read_answer(
    body: &[u8],
    account: &AccountId,
    api: &ServerOrigin,
    suffixes: &[Box<str>],
) -> Result<ServerOrigin, InvalidHostAnswer> {
    let answer: Value = serde_json::from_slice(body).map_err(|_| InvalidHostAnswer::Syntax)?;
    let entry = match answer.get("baseURIs") {
        None => &answer,
        Some(list) => list
            .as_array()
            .ok_or(InvalidHostAnswer::Syntax)?
            .iter()
            .find(|entry| entry["service"] == SENTINEL)
            .ok_or(InvalidHostAnswer::Service)?,
    };
    if entry.get("service").is_some_and(|name| name != SENTINEL) {
        return Err(InvalidHostAnswer::Service);
    }
    if entry.get("account").is_some_and(|id| !names(id, account)) {
        return Err(InvalidHostAnswer::Account);
    }
    let base_uri = entry["baseURI"].as_str();
    read_base_uri(base_uri.ok_or(InvalidHostAnswer::Syntax)?, api, suffixes)
}

/// Ids that are all digits might come as a number.
fn names(value: &Value, account: &AccountId) -> bool {
    match value {
        Value::String(text) => text == account.as_str(),
        Value::Number(number) => number.to_string() == account.as_str(),
        _ => false,
    }
}

/// Reads `host[:port]`.
///
/// What the real Domain API says must be a name below a known suffix and is asked over https. One
/// on this machine is a test's and may say anything; if it was asked over plain http itself, it may
/// name a Sentinel on this machine that is too.
fn read_base_uri(
    text: &str,
    api: &ServerOrigin,
    suffixes: &[Box<str>],
) -> Result<ServerOrigin, InvalidHostAnswer> {
    let origin = ServerOrigin::from_authority("https", text);
    let origin = origin.map_err(|_| InvalidHostAnswer::BaseUri)?;
    if !api.is_loopback() {
        return match origin.host() {
            Some(Host::Domain(name)) if is_below(name, suffixes) => Ok(origin),
            _ => Err(InvalidHostAnswer::Suffix),
        };
    }
    if !api.is_https() && origin.is_loopback() {
        let origin = ServerOrigin::from_authority("http", text);
        return origin.map_err(|_| InvalidHostAnswer::BaseUri);
    }
    Ok(origin)
}

/// Whether the name is one of the suffixes or below one, at a dot; a single label never is.
fn is_below(name: &str, suffixes: &[Box<str>]) -> bool {
    let under = |suffix: &str| match name.strip_suffix(suffix) {
        Some(rest) => rest.is_empty() || rest.ends_with('.'),
        None => false,
    };
    let usable = |suffix: &str| !suffix.is_empty() && !suffix.starts_with('.');
    name.contains('.')
        && suffixes
            .iter()
            .map(|suffix| suffix.to_ascii_lowercase())
            .any(|suffix| usable(&suffix) && under(&suffix))
}

#[cfg(test)]
mod tests;
