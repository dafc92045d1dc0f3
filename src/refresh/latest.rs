//! The latest writes of this process, which a fail-over of the store may lose.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::session::Opened;

/// Writes older than this have reached every replica, or are lost for good.
const REMEMBERED: Duration = Duration::from_secs(60);

/// At most this many writes are remembered, the latest.
const MOST: usize = 40_000;

/// The latest writes, and how far the store is believed.
pub(crate) struct Recovery {
    /// The epoch up to which all writes are there, or noted as to be repeated.
    pub(super) epoch: AtomicU64,
    latest: Mutex<Latest<Arc<Opened>>>,
    /// Whether something is to be repeated: for those who wait, and for the look of every request.
    busy: watch::Sender<bool>,
    is_busy: AtomicBool,
    /// Whether a task looks after it.
    pub(super) working: AtomicBool,
    pub(super) work: Notify,
}

impl Recovery {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            epoch: AtomicU64::new(epoch),
            latest: Mutex::default(),
            busy: watch::Sender::new(false),
            is_busy: AtomicBool::new(false),
            working: AtomicBool::new(false),
            work: Notify::new(),
        }
    }

    pub(super) fn latest(&self) -> MutexGuard<'_, Latest<Arc<Opened>>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something is to be repeated.
    pub(super) fn is_busy(&self) -> bool {
        self.is_busy.load(Ordering::Acquire)
    }

    /// Says how far the repeating is, after a look at `latest` that nobody has changed since.
    pub(super) fn note_busy(&self, latest: &Latest<Arc<Opened>>) {
        self.is_busy.store(latest.has_pending(), Ordering::Release);
        self.busy.send_replace(latest.has_pending());
    }

    /// Waits until nothing is to be repeated.
    pub(super) async fn until_idle(&self) {
        // The sender is here: it does not go away.
        let _ = self.busy.subscribe().wait_for(|busy| !busy).await;
    }
}

/// The latest write to each key, with results of type `R`, and what has to be repeated.
#[derive(Debug)]
pub(super) struct Latest<R> {
    writes: VecDeque<(Duration, Arc<str>, Write<R>)>,
    /// To be repeated before anything under these keys is believed.
    pending: HashMap<Arc<str>, Write<R>>,
}

/// A write that is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Write<R> {
    /// A record was deleted.
    Deletion,
    /// The result of a refresh was written.
    Result(R),
}

impl<R> Default for Latest<R> {
    fn default() -> Self {
        Self { writes: VecDeque::new(), pending: HashMap::new() }
    }
}

impl<R: Clone> Latest<R> {
    /// Notes a write at the monotonic time `now`; what is deleted leaves nothing else behind.
    pub(super) fn note(&mut self, now: Duration, key: &str, write: Write<R>) {
        self.forget(now);
        if self.writes.len() >= MOST {
            self.writes.pop_front();
        }
        if matches!(write, Write::Deletion) {
            self.writes.retain(|(_, other, _)| **other != *key);
            self.pending.remove(key);
        }
        self.writes.push_back((now, key.into(), write));
    }

    /// Forgets what need not be repeated any more.
    fn forget(&mut self, now: Duration) {
        let is_old = |at: &Duration| now.saturating_sub(*at) > REMEMBERED;
        while self.writes.front().is_some_and(|(at, ..)| is_old(at)) {
            self.writes.pop_front();
        }
    }

    /// The store may have lost all of them: they are to be repeated.
    pub(super) fn doubt(&mut self, now: Duration) {
        self.forget(now);
        let writes = self.writes.iter().map(|(_, key, write)| (Arc::clone(key), write.clone()));
        self.pending.extend(writes);
    }

    /// All that is to be repeated.
    pub(super) fn pending(&self) -> Vec<(Arc<str>, Write<R>)> {
        self.pending.iter().map(|(key, write)| (Arc::clone(key), write.clone())).collect()
    }

    pub(super) fn is_pending(&self, key: &str) -> bool {
        self.pending.contains_key(key)
    }

    /// What stands under this key is repeated.
    pub(super) fn repeated(&mut self, key: &str) {
        self.pending.remove(key);
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether there is nothing left that a fail-over could lose.
    pub(super) fn is_settled(&mut self, now: Duration) -> bool {
        self.forget(now);
        self.writes.is_empty() && self.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Store rule 11: the last minute counts, and what was doubted stays until it is repeated.
    #[test]
    fn the_writes_of_the_last_minute_are_repeated_until_they_are_done() {
        let mut latest = Latest::default();
        latest.note(at(0), "old", Write::Result(1));
        latest.note(at(10), "a", Write::Result(2));
        latest.note(at(20), "a", Write::Result(3));
        latest.note(at(30), "b", Write::Deletion);
        latest.doubt(at(61));
        let mut pending = latest.pending();
        pending.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(pending, [("a".into(), Write::Result(3)), ("b".into(), Write::Deletion)]);
        assert!(!latest.is_settled(at(600)), "it is still to be repeated, however late");
        latest.repeated("a");
        assert!(latest.is_pending("b") && !latest.is_pending("a"));
        latest.repeated("b");
        assert!(!latest.has_pending() && latest.is_settled(at(600)));
    }

    #[test]
    fn a_deletion_leaves_no_result_behind() {
        let mut latest = Latest::default();
        latest.note(at(0), "a", Write::Result(1));
        latest.doubt(at(1));
        latest.note(at(2), "a", Write::Deletion);
        assert!(!latest.is_pending("a"));
        latest.doubt(at(3));
        assert_eq!(latest.pending(), [("a".into(), Write::Deletion)]);
    }

    #[test]
    fn no_more_is_kept_than_there_is_room_for() {
        let mut latest = Latest::default();
        for number in 0..=MOST {
            latest.note(at(0), &number.to_string(), Write::Result(number));
        }
        latest.doubt(at(1));
        assert!(!latest.is_pending("0") && latest.is_pending("1"));
        assert_eq!(latest.pending().len(), MOST);
    }
}
