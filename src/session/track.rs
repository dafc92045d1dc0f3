//! What this process knows of one session: the ledger's entry.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

use super::{
    Opened,
    id::{Pair, SessionId},
    mint::Minted,
    store::Version,
};
use crate::{clock::Timestamp, refresh::Schedule};

/// Whether a session may still be served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Yes.
    Live = 0,
    /// No, until its absolute end: it was logged out.
    Ended = 1,
    /// The ledger has dropped this entry; look the session up again.
    Dropped = 2,
}

/// How a session comes to be known here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) id: SessionId,
    pub(crate) pair: Pair,
    pub(crate) absolute_end: Timestamp,
    /// When it ends if nothing more happens.
    pub(crate) ends_at: Timestamp,
}

impl Sighting {
    pub(super) fn of(opened: &Opened) -> Self {
        let session = &opened.session;
        let (id, pair, absolute_end) = (session.id, session.pair, session.times.absolute_end);
        Self { id, pair, absolute_end, ends_at: opened.schedule.ends_at }
    }
}

/// How long after its handler has ended the session a response may delete the cookie.
const FORGET_WITHIN: Duration = Duration::from_secs(5);

/// A wall clock set back by no more than this makes no session valid again that was seen to be over,
/// and no login.
pub(crate) const WIDEST_JUMP: Duration = Duration::from_secs(2 * 3600);

/// In place of the highest pair: none is, so that every request looks under the lock.
const LOOK_CLOSELY: u64 = u64::MAX;

/// One session's entry, shared by all that hold the session.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) id: SessionId,
    pub(crate) absolute_end: Timestamp,
    /// Until this monotonic time the entry is kept, whatever the wall clock says of the end.
    pub(super) kept_until: Duration,
    phase: AtomicU8,
    /// [`Pair::as_u64`] of the highest pair seen; read without the lock by every request.
    highest: AtomicU64,
    /// A handler ended the session: until this monotonic time, in milliseconds, a response deletes the
    /// cookie, once. Zero for never.
    forget_cookie_until: AtomicU64,
    known: Mutex<Known>,
}

/// What changes about a session, under its own lock.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) highest: Pair,
    /// When the session ends, as far as the highest pair says.
    pub(crate) ends_at: Timestamp,
    /// What the highest pair brought, if it was made here.
    pub(crate) result: Option<Minted>,
    /// A request has presented the highest pair: its result is no longer urgent.
    pub(super) presented: bool,
    /// The refresh in flight; the channel closes when its result is kept.
    pub(crate) flight: Option<watch::Receiver<()>>,
    /// Attempts that failed since the last result.
    pub(crate) attempts: Option<Attempts>,
    /// The highest generation whose refresh token is spent or revoked.
    pub(crate) spent: Option<u32>,
    /// The latest time at which the session was found to be past its end: a clock that is set back
    /// brings nothing to life again.
    pub(crate) over_at: Timestamp,
    /// The largest step the highest pair has taken here.
    pub(crate) change: Change,
    /// Who waits for the session's end; `None` until somebody does.
    watchers: Option<watch::Sender<()>>,
    /// A stored session's record as it was last read or written; `result` is then what could not be
    /// written yet.
    pub(crate) latest: Option<Arc<Opened>>,
    /// It has ended here, but its record could not be deleted yet: its cookie has to stay.
    pub(crate) undeleted: bool,
    /// It was deleted by this process.
    is_deleted: bool,
    /// Somebody is writing down that the session is used.
    pub(crate) writing: bool,
    /// Activity is not written before this monotonic time.
    pub(crate) not_written_before: Duration,
    /// When the store was last asked for the session that is watched, by the monotonic clock.
    pub(crate) asked_at: Duration,
}

/// How far a session has moved since this process first saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Not at all.
    Nothing,
    /// To another sequence: a re-seal.
    Resealed,
    /// To another generation: a refresh.
    Refreshed,
}

/// The memory of failed attempts to refresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    /// No attempt before this monotonic time.
    pub(crate) not_before: Duration,
    /// How many attempts in a row had an unknown outcome.
    pub(crate) unknown: u32,
}

/// How a pair that comes in compares with what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Served as it is; a higher pair has become the highest.
    Own,
    /// Served by the result of the highest pair, and answered with its cookie.
    Result,
    /// A lower pair whose result is gone: its own access token serves while it lives; its refresh
    /// token is never presented. That it is known to be spent says nothing of the higher pair, which
    /// the jar may hold by now.
    Overtaken,
    /// The refresh token of the highest generation is spent: the session is over as far as is known.
    Spent,
}

/// Compares a pair that comes in with what is known of its session.
pub(crate) fn standing(own: Pair, highest: Pair, has_result: bool, spent: Option<u32>) -> Standing {
    if own < highest && has_result {
        Standing::Result
    } else if spent.is_some_and(|spent| own.max(highest).generation <= spent) {
        Standing::Spent
    } else if own < highest {
        Standing::Overtaken
    } else {
        Standing::Own
    }
}

impl Known {
    /// Notes what the store has of the session.
    pub(crate) fn read(&mut self, opened: Arc<Opened>) {
        self.ends_at = opened.schedule.ends_at;
        self.latest = Some(opened);
    }

    /// The record as it was last read or written, where this process has nothing newer that could not
    /// be written.
    pub(crate) fn settled(&self) -> Option<Arc<Opened>> {
        if self.result.is_some() { None } else { self.latest.clone() }
    }

    /// Notes that the record of version `old` was replaced.
    pub(crate) fn replace_latest(&mut self, old: Version, next: Arc<Opened>) {
        if self.latest.as_ref().is_some_and(|latest| latest.version() == Some(old)) {
            self.read(next);
        }
    }

    /// Whether anybody waits for the session's end, or has.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.is_some()
    }

    /// A channel that says when it is worth looking whether the session has ended.
    pub(crate) fn watch(&mut self) -> watch::Receiver<()> {
        self.watchers.get_or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    /// Lets all who wait for the session's end look again.
    pub(crate) fn wake_watchers(&mut self) {
        if let Some(watchers) = &self.watchers {
            watchers.send_replace(());
        }
    }

    /// Whether somebody relies on this entry: it must not give way to another's.
    pub(super) fn is_needed(&self) -> bool {
        let watched = |watchers: &watch::Sender<()>| watchers.receiver_count() > 0;
        let unwritten = self.latest.is_some() && self.result.is_some();
        self.flight.is_some()
            || self.undeleted
            || unwritten
            || self.watchers.as_ref().is_some_and(watched)
    }
}

/// Whether the refresh token of `generation` may be presented: it is the newest that is known, and
/// has not been refused.
pub(crate) fn may_present(generation: u32, newest: u32, spent: Option<u32>) -> bool {
    generation >= newest && spent.is_none_or(|spent| generation > spent)
}

impl Track {
    /// The session of this pair, first seen at `now` and the monotonic time `seen`.
    pub(super) fn new(sighting: Sighting, (now, seen): (Timestamp, Duration)) -> Self {
        let Sighting { id, pair, absolute_end, ends_at } = sighting;
        let kept_until = seen.saturating_add(absolute_end.since(now)).saturating_add(WIDEST_JUMP);
        Self {
            id,
            absolute_end,
            kept_until,
            phase: AtomicU8::new(Phase::Live as u8),
            highest: AtomicU64::new(pair.as_u64()),
            forget_cookie_until: AtomicU64::new(0),
            known: Mutex::new(Known {
                highest: pair,
                ends_at,
                result: None,
                presented: false,
                flight: None,
                attempts: None,
                spent: None,
                over_at: Timestamp::default(),
                change: Change::Nothing,
                watchers: None,
                latest: None,
                undeleted: false,
                is_deleted: false,
                writing: false,
                not_written_before: Duration::ZERO,
                asked_at: Duration::ZERO,
            }),
        }
    }

    #[inline]
    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Live,
            1 => Phase::Ended,
            _ => Phase::Dropped,
        }
    }

    /// Whether `pair` is the highest seen, by one load; never, once the session was past its end.
    #[inline]
    pub(crate) fn is_highest(&self, pair: Pair) -> bool {
        self.highest.load(Ordering::Acquire) == pair.as_u64()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Known> {
        // Every change under this lock is complete in itself, so a panic elsewhere leaves it sound.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a pair the highest; what a lower one brought or failed at is forgotten.
    pub(crate) fn adopt(&self, known: &mut Known, opened: &Opened) {
        let pair = opened.session.pair;
        debug_assert!(pair > known.highest);
        let refreshed = pair.generation > known.highest.generation;
        if refreshed {
            known.attempts = None;
        }
        // What a store has is not lost with this entry.
        if opened.stored.is_none() {
            let change = if refreshed { Change::Refreshed } else { Change::Resealed };
            known.change = known.change.max(change);
        }
        known.highest = pair;
        known.ends_at = opened.schedule.ends_at;
        known.presented = false;
        self.highest.store(pair.as_u64(), Ordering::Release);
    }

    /// Notes that a stored session ends here and its record is to be deleted. Says whether this call
    /// is the first to; `None` if the record is known to be deleted.
    pub(crate) fn begin_end(&self) -> Option<bool> {
        let mut known = self.lock();
        if known.is_deleted {
            return None;
        }
        let first = !known.undeleted;
        known.undeleted = true;
        Some(first)
    }

    /// Notes that the record is deleted; returns whether this call is the first to.
    pub(crate) fn deleted(&self) -> bool {
        let mut known = self.lock();
        known.undeleted = false;
        !std::mem::replace(&mut known.is_deleted, true)
    }

    /// Whether a cookie of the session is past its end, or was when it was looked at before.
    pub(crate) fn is_over(&self, known: &mut Known, schedule: &Schedule, now: Timestamp) -> bool {
        let over = schedule.is_over(now.max(known.over_at));
        if over {
            known.over_at = known.over_at.max(now);
            self.highest.store(LOOK_CLOSELY, Ordering::Release);
        }
        over
    }

    /// Whether this response is the one that deletes the cookie of a session ended by a handler.
    pub(crate) fn take_forget_cookie(&self, now: impl FnOnce() -> Duration) -> bool {
        self.forget_cookie_until.load(Ordering::Acquire) != 0
            && now() < Duration::from_millis(self.forget_cookie_until.swap(0, Ordering::AcqRel))
    }

    /// Lets the response to a handler that has just ended the session delete the cookie. One that
    /// comes late must not: a login may have set a new one meanwhile.
    pub(crate) fn forget_cookie(&self, now: Duration) {
        let until = (now + FORGET_WITHIN).as_millis();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        self.forget_cookie_until.store(until, Ordering::Release);
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_stands_by_what_is_known() {
        let pair = |generation, sequence| Pair { generation, sequence };
        let table = [
            // own, highest, has a result, spent -> standing
            (pair(0, 0), pair(0, 0), false, None, Standing::Own),
            (pair(1, 0), pair(0, 0), true, None, Standing::Own),
            (pair(0, 0), pair(1, 0), true, None, Standing::Result),
            (pair(1, 1), pair(1, 2), true, None, Standing::Result),
            (pair(0, 0), pair(1, 0), false, None, Standing::Overtaken),
            (pair(0, 0), pair(0, 0), false, Some(0), Standing::Spent),
            (pair(0, 1), pair(0, 0), false, Some(0), Standing::Spent),
            (pair(0, 0), pair(0, 1), false, Some(0), Standing::Spent),
            (pair(0, 0), pair(1, 0), false, Some(0), Standing::Overtaken),
            (pair(0, 0), pair(1, 0), false, Some(1), Standing::Spent),
            (pair(0, 0), pair(1, 0), true, Some(0), Standing::Result),
            (pair(1, 0), pair(0, 0), false, Some(0), Standing::Own),
        ];
        for (own, highest, has_result, spent, expected) in table {
            let found = standing(own, highest, has_result, spent);
            assert_eq!(found, expected, "{own:?} against {highest:?}, {has_result}, {spent:?}");
        }
    }
}
