//! Writes down that a session is used, beside the request that uses it.

use std::sync::Arc;

use super::Depot;
use crate::{
    clock::Timestamp,
    refresh::keeper::Keeper,
    session::{Held, Lookup, Opened, Phase, Stored, Swap, Times, Version},
};

impl Keeper {
    /// Notes activity in the record, at most every five minutes, and seals it under today's key.
    ///
    /// A write that meets another reads again: what a refresh marks says nothing of the last use.
    pub(super) fn note_activity(self: &Arc<Self>, held: &Held, now: Timestamp) {
        let Held { opened, track } = held;
        if !is_wanted(opened, now) || self.depot.is_none() || self.tasks.is_past_deadline() {
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
        let mut found = Arc::clone(&self.held.opened);
        let (old, next) = loop {
            let Some((old, next)) = touched(&found, now) else { return };
            let next = depot.vault.opened(next.session, next.stored, true);
            match depot.vault.update(old, &next, now).await {
                Ok(Swap::Done) => break (old, Arc::new(next)),
                Ok(Swap::Changed) => {}
                _ => return,
            }
            found = match self.read_again(depot).await {
                Some(newer) if is_wanted(&newer, now) => newer,
                // Another has noted it.
                _ => return,
            };
        };
        self.held.track.lock().replace_latest(old, Arc::clone(&next));
        // What the index says of the last use is for people to read: it may miss one.
        let _ = self.keeper.index(depot, &next).await;
    }

    /// The record that has come in the place of the one which was read, while the session lives here.
    async fn read_again(&self, depot: &Depot) -> Option<Arc<Opened>> {
        let voucher = &self.held.opened.stored.as_ref()?.voucher;
        let Ok(Lookup::Found(newer)) = depot.vault.load(voucher, None).await else { return None };
        (self.held.track.phase() == Phase::Live).then_some(newer)
    }
}

/// Whether activity is to be noted, or the record to be sealed under today's key.
fn is_wanted(opened: &Opened, now: Timestamp) -> bool {
    opened.schedule.wants_reseal(now) || !opened.current_key
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
