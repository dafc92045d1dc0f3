//! Writes down that a session is used, beside the request that uses it.

use std::{sync::Arc, time::Duration};

use crate::{
    clock::Timestamp,
    refresh::{depot::Depot, keeper::Keeper},
    session::{Held, Lookup, Opened, Phase, Stored, Swap, Version},
};

/// A write that has failed is not repeated by every request; nor is one under today's key, where the
/// instances do not agree which that is.
const WRITE_EVERY: Duration = Duration::from_secs(10);

/// A record that keeps changing is left alone after so many tries.
const MOST_ROUNDS: usize = 5;

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
        let monotonic = self.clock.monotonic();
        let is_blocked = monotonic < known.not_written_before;
        if known.writing || is_blocked || track.phase() != Phase::Live {
            return;
        }
        known.writing = true;
        known.not_written_before = monotonic.saturating_add(WRITE_EVERY);
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
        let mut written = None;
        for _ in 0..MOST_ROUNDS {
            let Some((old, next)) = touched(depot, &found, now) else { return };
            match depot.vault.update(old, &next, now).await {
                Ok(Swap::Done) => {
                    written = Some((old, Arc::new(next)));
                    break;
                }
                Ok(Swap::Changed) => {}
                _ => return,
            }
            found = match self.read_again(depot).await {
                Some(newer) if is_wanted(&newer, now) => newer,
                // Another has noted it.
                _ => return,
            };
        }
        let Some((old, next)) = written else { return };
        let track = &self.held.track;
        track.lock().replace_latest(old, Arc::clone(&next));
        if track.phase() != Phase::Live {
            return;
        }
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

/// The version that a record has, and what is written in its place.
fn touched(depot: &Depot, opened: &Opened, now: Timestamp) -> Option<(Version, Opened)> {
    let stored = opened.stored.as_ref()?;
    let next = Stored { version: Version::random(), ..stored.clone() };
    Some((stored.version, depot.vault.opened(opened.session.used(now), next, true)))
}
