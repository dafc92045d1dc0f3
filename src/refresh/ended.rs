//! Whoever lives as long as a session learns of its end.

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::{keeper::Keeper, tasks::first_of};
use crate::{
    clock::Timestamp,
    error::BoxFuture,
    session::{Held, Phase},
};

/// The clock is looked at this often: it may be set, and activity elsewhere moves an idle end.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// And not more often than this, however near the end is.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_millis(10);

/// A store is asked this often for a session that somebody watches: it may have ended elsewhere.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Resolves when a session has ended; made by [`LpUser::ended`](crate::LpUser::ended).
///
/// It holds the session and may be kept and awaited anywhere on a tokio runtime. Once ready it stays
/// ready.
///
/// # Cancel safety
///
/// Dropping it loses nothing: another one of the same user's resolves as well.
///
/// # Examples
///
/// A task that works for a user stops when they have logged out:
///
/// ```
/// use tower_lp_auth::LpUser;
///
/// async fn watch_queue(user: LpUser) {
///     let ended = user.ended();
///     tokio::spawn(async move {
///         tokio::select! {
///             () = ended => {}
///             () = poll_queue(user) => {}
///         }
///     });
/// }
/// # async fn poll_queue(_: LpUser) {}
/// ```
#[must_use = "futures do nothing unless polled"]
pub struct Ended {
    state: State,
}

enum State {
    /// Of a user without a layer.
    Never,
    /// Nobody has asked yet whether this session has ended.
    OfSession(Arc<Keeper>, Held),
    /// Nor whether this time has come.
    At(Arc<Keeper>, Timestamp),
    /// The lock is never taken: it makes the future `Sync`, so that response bodies stay so.
    Watching(Mutex<BoxFuture<'static, ()>>),
    Ended,
}

/// What is known of a session's life at one moment.
enum Life {
    /// It goes on until then; or until the channel says that it has to be looked at again.
    Until(Timestamp, watch::Receiver<()>),
    /// It has ended.
    Over,
    /// The store is to be asked.
    Ask,
    /// This entry has given way: the session has to be taken up again.
    Dropped,
}

impl Ended {
    pub(crate) fn of(keeper: Arc<Keeper>, held: Held) -> Self {
        Self { state: State::OfSession(keeper, held) }
    }

    /// Of somebody who is known by a token that ends then and cannot be ended before.
    pub(crate) fn at(keeper: Arc<Keeper>, end: Timestamp) -> Self {
        Self { state: State::At(keeper, end) }
    }

    /// Of a user of a unit test.
    pub(crate) fn never() -> Self {
        Self { state: State::Never }
    }
}

impl State {
    /// The same, watched from now on: until then it costs nothing to have one.
    fn watched(self) -> Self {
        let watching: BoxFuture<'static, ()> = match self {
            Self::OfSession(keeper, held) => Box::pin(keeper.until_end(held)),
            Self::At(keeper, end) => Box::pin(keeper.until(end)),
            other => return other,
        };
        Self::Watching(Mutex::new(watching))
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let State::OfSession(..) | State::At(..) = self.state {
            self.state = mem::replace(&mut self.state, State::Never).watched();
        }
        match &mut self.state {
            State::Watching(watching) => {
                let watching = watching.get_mut().unwrap_or_else(PoisonError::into_inner);
                ready!(watching.as_mut().poll(cx));
                self.state = State::Ended;
                Poll::Ready(())
            }
            State::Ended => Poll::Ready(()),
            State::Never | State::OfSession(..) | State::At(..) => Poll::Pending,
        }
    }
}

impl Keeper {
    /// Resolves when a session has ended.
    async fn until_end(self: Arc<Self>, mut held: Held) {
        // There is a receiver at any time: without one the entry could give way to another's.
        let mut watching = None;
        loop {
            match self.life(&held) {
                Life::Over => return,
                Life::Dropped => held = self.take_up(Arc::clone(&held.opened), self.now()),
                Life::Ask => {
                    // An answer is noted where all find it; a store that cannot say ends nothing.
                    let _ = self.look_again(&held).await;
                }
                Life::Until(end, woken) => {
                    let woken = watching.insert(woken);
                    let left = end.since(self.now()).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY);
                    first_of(woken.changed(), sleep(left)).await;
                }
            }
        }
    }

    /// Resolves when this time has come.
    async fn until(self: Arc<Self>, end: Timestamp) {
        loop {
            let now = self.now();
            if now >= end {
                return;
            }
            sleep(end.since(now).clamp(LOOK_AT_MOST_EVERY, LOOK_EVERY)).await;
        }
    }

    /// Decides whether a session has ended, by all that this process knows of it.
    fn life(&self, held: &Held) -> Life {
        let now = self.now();
        let mut known = held.track.lock();
        match held.track.phase() {
            Phase::Live => {}
            Phase::Ended => return Life::Over,
            Phase::Dropped => return Life::Dropped,
        }
        let own = held.pair();
        let newest = own.max(known.highest);
        let is_stored = held.opened.stored.is_some();
        let ends_at = if is_stored || own < known.highest {
            known.ends_at
        } else {
            held.opened.schedule.ends_at
        };
        let spent = known.spent.is_some_and(|spent| newest.generation <= spent);
        if spent || now >= ends_at {
            return Life::Over;
        }
        let monotonic = self.clock.monotonic();
        if !known.is_watched() {
            // Whoever has this session to watch has asked for it.
            known.asked_at = monotonic;
        }
        if is_stored && monotonic.saturating_sub(known.asked_at) >= ASK_EVERY {
            // One asks for all.
            known.asked_at = monotonic;
            return Life::Ask;
        }
        Life::Until(ends_at, known.watch())
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended").finish_non_exhaustive()
    }
}

/// A body that ends with a session can be sent and shared wherever the inner one can.
const _: () = {
    const fn is_send_sync<T: Send + Sync + 'static>() {}
    is_send_sync::<Ended>();
};
