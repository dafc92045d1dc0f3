//! The revocations under way: how many there are, how many wait for another try, and how they end
//! when the process does.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Semaphore, watch};

use crate::telemetry::Telemetry;

/// At most this many revocations wait for another try. One takes about a kilobyte.
pub(crate) const MAX_WAITING: usize = 10_000;

/// At most this many are tried again at once: ten thousand connections would help nobody.
const MAX_RETRIES_AT_ONCE: usize = 32;

/// The revocations of one layer.
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    phase: watch::Sender<Phase>,
    /// The places of tries after the first.
    pub(super) retries: Semaphore,
    /// Whether something was given up because the process ended.
    has_lost: AtomicBool,
    telemetry: Telemetry,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    /// Those of them that have failed and wait for another try, or are in the middle of it.
    waiting: usize,
    closed: bool,
}

/// How much time there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// The process stops: what waits is tried at once.
    Draining,
    /// Too late for another try.
    Closed,
}

/// A revocation's place, for as long as it is under way.
pub(super) struct Place {
    outbox: Arc<Outbox>,
    waits: bool,
    is_free: bool,
}

impl Outbox {
    pub(crate) fn new(limit: usize, telemetry: Telemetry) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            phase: watch::Sender::new(Phase::Open),
            retries: Semaphore::new(MAX_RETRIES_AT_ONCE),
            has_lost: AtomicBool::new(false),
            telemetry,
        }
    }

    /// How many revocations have failed and will be tried again.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Whether something was given up because the process ended.
    pub(super) fn has_lost(&self) -> bool {
        self.has_lost.load(Ordering::Acquire)
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn is_stopping(&self) -> bool {
        *self.phase.borrow() != Phase::Open
    }

    /// A place for a revocation that begins; `None` if there is no time for a second try.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.under_way += 1;
        Some(Place { outbox: Arc::clone(self), waits: false, is_free: false })
    }

    /// What waits is to be tried at once.
    pub(super) fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let is_open = *phase == Phase::Open;
            if is_open {
                *phase = Phase::Draining;
            }
            is_open
        });
    }

    /// Gives up all that is under way; returns how much that is.
    pub(super) fn close(&self) -> usize {
        let mut state = self.lock();
        if std::mem::replace(&mut state.closed, true) {
            return 0;
        }
        let left = std::mem::take(&mut state.under_way);
        self.telemetry.revocations_wait_no_more(std::mem::take(&mut state.waiting));
        drop(state);
        self.has_lost.fetch_or(left > 0, Ordering::AcqRel);
        self.phase.send_replace(Phase::Closed);
        left
    }

    /// Resolves when [`Outbox::close`] has been called.
    pub(super) async fn closed(&self) {
        // The sender lives in `self`, so waiting fails at no time.
        let _ = self.phase().wait_for(|phase| *phase == Phase::Closed).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Takes a place among those that wait; `false` if there is none.
    pub(super) fn wait(&mut self) -> bool {
        let mut state = self.outbox.lock();
        if !self.waits && !state.closed && state.waiting < self.outbox.limit {
            state.waiting += 1;
            self.waits = true;
            self.outbox.telemetry.revocation_waits();
        }
        self.waits
    }

    /// Leaves with an outcome of its own; `false` if it was given up with all others before.
    pub(super) fn leave(mut self) -> bool {
        self.free()
    }

    /// Frees the place once; `false` if that has been done, by closing or before.
    fn free(&mut self) -> bool {
        let mut state = self.outbox.lock();
        if state.closed || std::mem::replace(&mut self.is_free, true) {
            return false;
        }
        state.under_way -= 1;
        if self.waits {
            state.waiting -= 1;
            self.outbox.telemetry.revocations_wait_no_more(1);
        }
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(limit: usize) -> Arc<Outbox> {
        Arc::new(Outbox::new(limit, Telemetry::new()))
    }

    /// X24: what waits is bounded; the newest finds no place.
    #[test]
    fn only_so_many_wait_and_the_newest_finds_no_place() {
        let outbox = outbox(2);
        let mut places: Vec<_> = (0..3).map(|_| outbox.enter().unwrap()).collect();
        assert_eq!(outbox.waiting(), 0, "nothing has failed yet");
        let waits: Vec<_> = places.iter_mut().map(Place::wait).collect();
        assert_eq!((waits, outbox.waiting()), (vec![true, true, false], 2));
        assert!(places[0].wait(), "it keeps its place");
        assert!(places.remove(0).leave());
        assert_eq!(outbox.waiting(), 1);
        assert!(places[1].wait());
        drop(places);
        assert_eq!((outbox.waiting(), outbox.close()), (0, 0));
        assert!(!outbox.has_lost());
    }

    /// O12: everything is given up once, and what begins later has one try.
    #[tokio::test]
    async fn closing_gives_everything_up_once() {
        let outbox = outbox(2);
        let mut waiting = outbox.enter().unwrap();
        assert!(waiting.wait());
        let under_way = outbox.enter().unwrap();
        outbox.drain();
        assert!(outbox.is_stopping());
        assert_eq!((outbox.close(), outbox.close()), (2, 0));
        assert!(outbox.has_lost());
        outbox.closed().await;
        assert!(!under_way.leave());
        assert_eq!(outbox.waiting(), 0);
        drop(waiting);
        assert!(outbox.enter().is_none());
        outbox.drain();
        outbox.closed().await;
    }
}
