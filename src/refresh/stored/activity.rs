//! Writes down that a session is used, beside the request that uses it.

use std::sync::Arc;

use crate::{
    clock::Timestamp,
    refresh::keeper::Keeper,
    session::{Held, Opened, Phase, Stored, Swap, Times, Version},
};

impl Keeper {
    /// Notes activity in the record, at most every five minutes, and seals it under today's key.
    ///
    /// A write that loses against another is dropped: the other has noted activity too.
    pub(super) fn note_activity(self: &Arc<Self>, held: &Held, now: Timestamp) {
        let Held { opened, track } = held;
        let due = opened.schedule.wants_reseal(now) || !opened.current_key;
        if !due || self.depot.is_none() || self.tasks.is_past_deadline() {
            return;
        }
        let mut known = track.lock();
        if known.writing || known.flight.is_some() || track.phase() != Phase::Live {
            return;
        }
        known.writing = true;
        drop(known);
        let writing = Writing { keeper: Arc::clone(self), held: held.clone() };
        self.tasks.spawn(writing.run(now));
    }
}

struct Writing {
    keeper: Arc<Keeper>,
    held: Held,
}

impl Writing {
    async fn run(self, now: Timestamp) {
        let Some(depot) = &self.keeper.depot else { return };
        let Some((old, next)) = touched(&self.held.opened, now) else { return };
        let next = depot.vault.opened(next.session, next.stored, true);
        let written = depot.vault.update(old, &next, now).await;
        if !matches!(written, Ok(Swap::Done)) {
            return;
        }
        let next = Arc::new(next);
        self.held.track.lock().replace_latest(old, Arc::clone(&next));
        // What the index says of the last use is for people to read: it may miss one.
        let _ = self.keeper.index(depot, &next).await;
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.held.track.lock().writing = false;
    }
}

struct Touched {
    session: crate::session::Session,
    stored: Stored,
}

/// The version that a record has, and what is written in its place.
fn touched(opened: &Opened, now: Timestamp) -> Option<(Version, Touched)> {
    let stored = opened.stored.as_ref()?;
    let mut session = opened.session.clone();
    session.pair = session.pair.resealed();
    session.times = Times { last_seen: now.max(session.times.last_seen), ..session.times };
    let next = Stored { version: Version::random(), ..stored.clone() };
    Some((stored.version, Touched { session, stored: next }))
}
