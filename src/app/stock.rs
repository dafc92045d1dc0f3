//! The token at hand, and the one fetch that renews it.
//!
//! A fetch is a task of its own: whoever goes away meanwhile, its token is kept for the others.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderValue;
use tokio::sync::watch;

use super::{
    error::{AppTokenError, whole_seconds},
    plan::{Age, Plan, Replacement, plan, replacement},
    reading::Reading,
    yields::{Fault, Yield, weigh},
};
use crate::{
    account::AccountId,
    clock::Clock,
    config::AppClient,
    secret::{AppToken, random_bytes},
    sentinel::SentinelClient,
};

/// What all handles of one source share.
pub(crate) struct Stock {
    sentinel: Arc<SentinelClient>,
    account: AccountId,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    failure: Option<Failure>,
    flight: Option<Flight>,
}

/// A token with its header, made once for all requests.
pub(super) struct Held {
    pub(super) token: AppToken,
    pub(super) header: HeaderValue,
    asked_at: Reading,
    life: Duration,
}

/// The last fetch has failed.
#[derive(Clone)]
struct Failure {
    fault: Fault,
    /// No fetch before this ([`Clock::monotonic`]).
    barred_until: Duration,
}

type Outcome = Result<Arc<Held>, Failure>;

/// A fetch under way.
type Flight = watch::Receiver<Option<Outcome>>;

/// What a caller gets.
pub(super) enum Supply {
    Now(Arc<Held>),
    Wait(Wait),
    Refused(AppTokenError),
}

/// A caller who waits for a fetch.
pub(super) struct Wait {
    stock: Arc<Stock>,
    flight: Flight,
    /// Whether the old token is of use while it lives.
    takes_old: bool,
}

impl Stock {
    pub(super) fn new(client: AppClient) -> Self {
        let AppClient { sentinel, account, clock } = client;
        Self { sentinel, account, clock, state: Mutex::default() }
    }

    /// The token at hand or the wait for one; starts what has to be fetched.
    pub(super) fn ask(self: &Arc<Self>) -> Supply {
        let now = self.now();
        self.supply(&mut self.lock(), now)
    }

    /// The same where an upstream has refused a token.
    pub(super) fn ask_instead_of(self: &Arc<Self>, refused: &AppToken) -> Supply {
        let now = self.now();
        let mut state = self.lock();
        let is_held = state.held.as_ref().is_some_and(|held| held.token == *refused);
        match replacement(is_held, state.age(now), state.barred(now)) {
            Replacement::AsUsual => self.supply(&mut state, now),
            Replacement::TooNew => Supply::Refused(AppTokenError::TooNew),
            Replacement::Fetch => self.wait(&mut state, false),
            Replacement::Refuse(left) => Supply::Refused(state.refusal(left)),
        }
    }

    fn supply(self: &Arc<Self>, state: &mut State, now: Reading) -> Supply {
        match (plan(state.age(now), state.barred(now)), state.held.clone()) {
            (Plan::Serve, Some(held)) => Supply::Now(held),
            (Plan::ServeAndRenew, Some(held)) => {
                self.fetch(state);
                Supply::Now(held)
            }
            (Plan::Refuse(left), _) => Supply::Refused(state.refusal(left)),
            (Plan::Fetch, _) | (Plan::Serve | Plan::ServeAndRenew, None) => self.wait(state, true),
        }
    }

    fn wait(self: &Arc<Self>, state: &mut State, takes_old: bool) -> Supply {
        let flight = self.fetch(state);
        Supply::Wait(Wait { stock: Arc::clone(self), flight, takes_old })
    }

    /// Joins the fetch under way, or starts one.
    fn fetch(self: &Arc<Self>, state: &mut State) -> Flight {
        if let Some(flight) = state.flight() {
            return flight.clone();
        }
        let (landed, flight) = watch::channel(None);
        let stock = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = stock.fly().await;
            landed.send_replace(Some(outcome));
        });
        state.flight = Some(flight.clone());
        flight
    }

    async fn fly(&self) -> Outcome {
        let asked_at = self.now();
        let answer = self.sentinel.app_token(&self.account).await;
        let outcome = match weigh(answer, asked_at.wall, jitter()) {
            Yield::Token(token, life) => {
                Ok(Arc::new(Held { header: token.to_header(), token, asked_at, life }))
            }
            Yield::Failure(fault, pause) => {
                let barred_until = self.clock.monotonic().saturating_add(pause);
                Err(Failure { fault, barred_until })
            }
        };
        self.lock().settle(&outcome);
        self.report(&outcome);
        outcome
    }

    fn report(&self, outcome: &Outcome) {
        let account = &self.account;
        match outcome {
            Ok(held) => {
                tracing::debug!(%account, life_secs = held.life.as_secs(), "app token fetched");
            }
            Err(failure) => tracing::warn!(
                %account,
                refused = failure.fault.is_refusal,
                pause_secs = whole_seconds(failure.left(self.now())),
                cause = %failure.fault.source,
                "no app token came"
            ),
        }
    }

    /// What a caller gets whose fetch has failed: the old token to its true end.
    fn last_resort(&self, failure: &Failure) -> Result<Arc<Held>, AppTokenError> {
        let now = self.now();
        let held = self.lock().held.clone();
        held.filter(|held| held.age(now).lives()).ok_or_else(|| failure.error(failure.left(now)))
    }

    fn now(&self) -> Reading {
        Reading::of(&*self.clock)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wait {
    /// Waits for the fetch.
    ///
    /// # Cancel safety
    ///
    /// The fetch goes on, and its token is kept.
    pub(super) async fn landed(mut self) -> Result<Arc<Held>, AppTokenError> {
        let outcome = match self.flight.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(interrupted()),
        };
        match outcome {
            Ok(held) => Ok(held),
            Err(failure) if self.takes_old => self.stock.last_resort(&failure),
            Err(failure) => Err(failure.error(failure.left(self.stock.now()))),
        }
    }
}

impl State {
    /// Keeps what a fetch has come to.
    fn settle(&mut self, outcome: &Outcome) {
        self.flight = None;
        match outcome {
            Ok(held) => {
                self.held = Some(Arc::clone(held));
                self.failure = None;
            }
            Err(failure) => self.failure = Some(failure.clone()),
        }
    }

    fn age(&self, now: Reading) -> Option<Age> {
        self.held.as_ref().map(|held| held.age(now))
    }

    /// For how long no fetch is allowed.
    fn barred(&self, now: Reading) -> Option<Duration> {
        let left = self.failure.as_ref()?.left(now);
        (!left.is_zero()).then_some(left)
    }

    /// A flight whose task is gone (a runtime that was shut down) is nothing to wait for.
    fn flight(&self) -> Option<&Flight> {
        self.flight.as_ref().filter(|flight| flight.has_changed().is_ok())
    }

    fn refusal(&self, left: Duration) -> AppTokenError {
        self.failure.clone().unwrap_or_else(interrupted).error(left)
    }
}

impl Held {
    fn age(&self, now: Reading) -> Age {
        Age { age: now.since(self.asked_at), life: self.life }
    }
}

impl Failure {
    fn left(&self, now: Reading) -> Duration {
        self.barred_until.saturating_sub(now.monotonic)
    }

    fn error(&self, left: Duration) -> AppTokenError {
        let retry_after_secs = whole_seconds(left);
        let source = Arc::clone(&self.fault.source);
        if self.fault.is_refusal {
            AppTokenError::Refused { retry_after_secs, source }
        } else {
            AppTokenError::Unavailable { retry_after_secs, source }
        }
    }
}

/// The runtime of a fetch was shut down: the next call starts another.
fn interrupted() -> Failure {
    let error = io::Error::other("the fetch was interrupted");
    Failure { fault: Fault::other(error), barred_until: Duration::ZERO }
}

/// A random number from 0 to 1.
fn jitter() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes())) / f64::from(u32::MAX)
}

impl fmt::Debug for Stock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stock")
            .field("account", &self.account)
            .field("sentinel", &self.sentinel)
            .finish_non_exhaustive()
    }
}
