//! One code, one token call: exchanges under way and states already spent.
//!
//! An exchange is a task of its own; its outcome goes to the latest callback that carries its
//! login, so that a page reloaded during a slow exchange does not lose it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

use super::pending::StateHash;
use crate::session::WIDEST_JUMP;

/// At most this many exchanges at once; beyond it callbacks are asked to come again.
const MAX_RUNNING: usize = 32;

/// At most this many states are remembered; a forgotten one is Sentinel's to refuse.
const MAX_STATES: usize = 16_384;

/// States past their time, and outcomes that nobody has taken, are forgotten this often.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// The exchanges of one process, with outcomes of type `T`.
pub(crate) struct Exchanges<T> {
    /// How long a login can last, and an outcome is kept. Its spent state is remembered longer: a
    /// clock that is set back makes the login's cookie valid again.
    patience: Duration,
    inner: Arc<Mutex<Inner<T>>>,
}

struct Inner<T> {
    running: usize,
    states: HashMap<StateHash, Entry<T>>,
    /// Monotonic.
    next_sweep: Duration,
}

struct Entry<T> {
    /// Monotonic.
    begun: Duration,
    slot: Arc<Slot<T>>,
    done: watch::Receiver<()>,
}

struct Slot<T>(Mutex<Content<T>>);

struct Content<T> {
    /// The number of the latest callback.
    latest: u64,
    outcome: Outcome<T>,
}

impl<T> Content<T> {
    /// Nobody has come for it in time.
    fn drop_outcome(&mut self) {
        if matches!(self.outcome, Outcome::Ready(_)) {
            self.outcome = Outcome::Taken;
        }
    }
}

enum Outcome<T> {
    Running,
    Ready(T),
    Taken,
}

/// A callback's place in the queue of its login.
pub(crate) struct Ticket<T> {
    number: u64,
    slot: Arc<Slot<T>>,
    done: watch::Receiver<()>,
}

/// What a callback's state comes to.
pub(crate) enum Entrance<T> {
    /// The first: somebody has to exchange the code and call [`Running::finish`].
    First(Ticket<T>, Running<T>),
    /// An exchange is under way, or its outcome waits to be taken.
    Again(Ticket<T>),
    /// The state is spent.
    Spent,
    /// Too many exchanges at once; the state is unspent.
    Busy,
}

/// Why a callback gets no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoOutcome {
    /// It goes to a later callback.
    Overtaken,
    /// There is none: the task of the exchange was lost.
    Lost,
}

/// Held by the task of an exchange; dropped without an outcome it leaves a spent state.
pub(crate) struct Running<T> {
    state: StateHash,
    slot: Arc<Slot<T>>,
    inner: Arc<Mutex<Inner<T>>>,
    _done: watch::Sender<()>,
}

impl<T> Exchanges<T> {
    pub(crate) fn new(patience: Duration) -> Self {
        let inner = Inner { running: 0, states: HashMap::new(), next_sweep: Duration::ZERO };
        Self { patience, inner: Arc::new(Mutex::new(inner)) }
    }

    /// Whether a code has been presented for this state, or is being presented.
    pub(crate) fn knows(&self, state: StateHash) -> bool {
        lock(&self.inner).states.contains_key(&state)
    }

    /// Spends a state without an exchange: its login has ended otherwise.
    pub(crate) fn spend(&self, state: StateHash, now: Duration) {
        let mut inner = lock(&self.inner);
        if inner.states.contains_key(&state) {
            return;
        }
        inner.forget(now, self.patience);
        let content = Content { latest: 0, outcome: Outcome::Taken };
        let (_, done) = watch::channel(());
        let entry = Entry { begun: now, slot: Arc::new(Slot(Mutex::new(content))), done };
        inner.states.insert(state, entry);
    }

    /// A callback with a good state enters at the monotonic time `now`.
    pub(crate) fn enter(&self, state: StateHash, now: Duration) -> Entrance<T> {
        let mut inner = lock(&self.inner);
        if let Some(entry) = inner.states.get(&state) {
            let mut content = lock(&entry.slot.0);
            if matches!(content.outcome, Outcome::Taken) {
                return Entrance::Spent;
            }
            content.latest += 1;
            let (slot, done) = (Arc::clone(&entry.slot), entry.done.clone());
            return Entrance::Again(Ticket { number: content.latest, slot, done });
        }
        if inner.running >= MAX_RUNNING {
            return Entrance::Busy;
        }
        inner.forget(now, self.patience);
        inner.running += 1;
        let (sender, done) = watch::channel(());
        let slot = Arc::new(Slot(Mutex::new(Content { latest: 0, outcome: Outcome::Running })));
        let entry = Entry { begun: now, slot: Arc::clone(&slot), done: done.clone() };
        inner.states.insert(state, entry);
        let inner = Arc::clone(&self.inner);
        let running = Running { state, slot: Arc::clone(&slot), inner, _done: sender };
        Entrance::First(Ticket { number: 0, slot, done }, running)
    }
}

impl<T> Running<T> {
    /// Keeps the outcome for the latest callback. With `unspent` the code was certainly not
    /// presented: the next callback with this state tries again.
    pub(crate) fn finish(self, outcome: T, unspent: bool) {
        lock(&self.slot.0).outcome = Outcome::Ready(outcome);
        if unspent {
            lock(&self.inner).states.remove(&self.state);
        }
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        let mut content = lock(&self.slot.0);
        if matches!(content.outcome, Outcome::Running) {
            content.outcome = Outcome::Taken;
        }
        drop(content);
        lock(&self.inner).running -= 1;
    }
}

impl<T> Ticket<T> {
    /// Waits for the outcome.
    ///
    /// # Errors
    ///
    /// [`NoOutcome::Overtaken`] for all but the latest callback; [`NoOutcome::Lost`] for the latest
    /// if the exchange came to nothing.
    ///
    /// # Cancel safety
    ///
    /// The exchange goes on, and its outcome waits for the next callback.
    pub(crate) async fn outcome(mut self) -> Result<T, NoOutcome> {
        // The channel closes when the outcome is there.
        let _ = self.done.changed().await;
        let mut content = lock(&self.slot.0);
        if !gets_outcome(self.number, content.latest) {
            return Err(NoOutcome::Overtaken);
        }
        match std::mem::replace(&mut content.outcome, Outcome::Taken) {
            Outcome::Ready(outcome) => Ok(outcome),
            Outcome::Running | Outcome::Taken => Err(NoOutcome::Lost),
        }
    }
}

/// Whether the callback of this number gets the outcome: the latest does, since a browser that
/// reloads waits for no other.
pub(crate) const fn gets_outcome(number: u64, latest: u64) -> bool {
    number == latest
}

impl<T> Inner<T> {
    /// Forgets states past their time now and then, and the oldest where there are too many.
    fn forget(&mut self, now: Duration, patience: Duration) {
        if now < self.next_sweep && self.states.len() < MAX_STATES {
            return;
        }
        self.next_sweep = now.saturating_add(SWEEP_EVERY);
        let is_running = |entry: &Entry<T>| matches!(lock(&entry.slot.0).outcome, Outcome::Running);
        let remembered = patience.saturating_add(WIDEST_JUMP);
        self.states.retain(|_, entry| {
            let age = now.saturating_sub(entry.begun);
            if age > patience {
                lock(&entry.slot.0).drop_outcome();
            }
            age <= remembered || is_running(entry)
        });
        if self.states.len() >= MAX_STATES {
            let mut ended: Vec<_> = self
                .states
                .iter()
                .filter(|(_, entry)| !is_running(entry))
                .map(|(state, entry)| (entry.begun, *state))
                .collect();
            // A part at once, so that this is rare.
            let spare = (MAX_STATES / 16).min(ended.len().saturating_sub(1));
            ended.select_nth_unstable_by_key(spare, |(begun, _)| *begun);
            for (_, state) in ended.into_iter().take(spare) {
                self.states.remove(&state);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::pending::State;
    use super::*;

    const LASTS: Duration = Duration::from_secs(600);

    fn enter(exchanges: &Exchanges<u8>, state: StateHash) -> Entrance<u8> {
        exchanges.enter(state, Duration::ZERO)
    }

    /// Jar rule 4, B12.
    #[tokio::test]
    async fn the_outcome_goes_to_the_latest_callback_alone() {
        let exchanges = Exchanges::new(LASTS);
        let state = State::random().hash();
        let Entrance::First(first, running) = enter(&exchanges, state) else { panic!() };
        let Entrance::Again(second) = enter(&exchanges, state) else { panic!() };
        running.finish(7, false);
        assert_eq!(first.outcome().await, Err(NoOutcome::Overtaken));
        assert_eq!(second.outcome().await, Ok(7));
        assert!(matches!(enter(&exchanges, state), Entrance::Spent));
        assert!(exchanges.knows(state));
    }

    #[tokio::test]
    async fn an_outcome_that_nobody_took_waits_for_the_reload() {
        let exchanges = Exchanges::new(LASTS);
        let state = State::random().hash();
        let Entrance::First(hung_up, running) = enter(&exchanges, state) else { panic!() };
        drop(hung_up);
        running.finish(7, false);
        let Entrance::Again(reload) = enter(&exchanges, state) else { panic!() };
        assert_eq!(reload.outcome().await, Ok(7));
    }

    #[test]
    fn a_state_that_is_spent_otherwise_starts_nothing() {
        let exchanges = Exchanges::<u8>::new(LASTS);
        let state = State::random().hash();
        exchanges.spend(state, Duration::ZERO);
        assert!(matches!(enter(&exchanges, state), Entrance::Spent));
    }

    #[tokio::test]
    async fn an_unspent_state_starts_afresh() {
        let exchanges = Exchanges::new(LASTS);
        let state = State::random().hash();
        let Entrance::First(ticket, running) = enter(&exchanges, state) else { panic!() };
        running.finish(7, true);
        assert_eq!(ticket.outcome().await, Ok(7));
        assert!(matches!(enter(&exchanges, state), Entrance::First(..)));
    }

    #[tokio::test]
    async fn a_lost_task_leaves_a_spent_state_and_frees_its_place() {
        let exchanges = Exchanges::<u8>::new(LASTS);
        for _ in 0..MAX_RUNNING * 2 {
            let state = State::random().hash();
            let Entrance::First(ticket, running) = enter(&exchanges, state) else { panic!() };
            drop(running);
            assert_eq!(ticket.outcome().await, Err(NoOutcome::Lost));
            assert!(matches!(enter(&exchanges, state), Entrance::Spent));
        }
    }

    #[test]
    fn the_33rd_exchange_at_once_is_asked_to_come_again() {
        let exchanges = Exchanges::new(LASTS);
        let mut running = Vec::new();
        for _ in 0..MAX_RUNNING {
            let Entrance::First(_, run) = enter(&exchanges, State::random().hash()) else {
                panic!()
            };
            running.push(run);
        }
        let state = State::random().hash();
        assert!(matches!(enter(&exchanges, state), Entrance::Busy));
        assert!(!exchanges.knows(state));
        running.pop();
        assert!(matches!(enter(&exchanges, state), Entrance::First(..)));
    }

    #[test]
    fn the_memory_of_spent_states_is_bounded() {
        let exchanges = Exchanges::<u8>::new(LASTS);
        for n in 0..MAX_STATES as u64 + 100 {
            let now = Duration::from_millis(n);
            let Entrance::First(_, running) = exchanges.enter(State::random().hash(), now) else {
                panic!()
            };
            running.finish(0, false);
        }
        let kept = lock(&exchanges.inner).states.len();
        assert!((MAX_STATES * 15 / 16..=MAX_STATES).contains(&kept), "{kept}");
        let long_after = LASTS + WIDEST_JUMP + Duration::from_secs(100);
        let Entrance::First(..) = exchanges.enter(State::random().hash(), long_after) else {
            panic!()
        };
        assert_eq!(lock(&exchanges.inner).states.len(), 1);
    }

    /// Y10: a clock that is set back makes a login's cookie valid again, but not its state; the
    /// tokens of an outcome that nobody has taken are not kept for that.
    #[test]
    fn a_state_is_remembered_longer_than_its_login_lasts() {
        let exchanges = Exchanges::new(LASTS);
        let state = State::random().hash();
        let outcome = Arc::new(());
        let Entrance::First(ticket, running) = exchanges.enter(state, Duration::ZERO) else {
            panic!()
        };
        drop(ticket);
        running.finish(Arc::clone(&outcome), false);
        assert_eq!(Arc::strong_count(&outcome), 2);
        for after in [LASTS + Duration::from_secs(60), WIDEST_JUMP] {
            exchanges.spend(State::random().hash(), after);
            assert!(matches!(exchanges.enter(state, after), Entrance::Spent), "after {after:?}");
            assert_eq!(Arc::strong_count(&outcome), 1, "after {after:?}");
        }
    }
}
