//! What changed in this process: session id → [`Track`].
//!
//! Every session that is held has a track here, so that all who hold it learn of its end. Tracks
//! that nothing has happened to are dropped as soon as nobody holds them; the others (refreshed,
//! re-sealed, logged out) are kept until the session's absolute end, up to a limit.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{
    Held, Opened,
    id::SessionId,
    mint::Minted,
    track::{Change, Known, Phase, Sighting, Track},
};
use crate::clock::Timestamp;

/// How much the ledger keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LedgerLimits {
    /// Sessions that changed.
    pub(crate) entries: usize,
    /// Results of refreshes and re-seals.
    pub(crate) results: usize,
}

/// What ending a session comes to.
#[derive(Debug)]
pub(crate) enum Ending {
    /// It has ended; this result was newest of it, if it was kept here.
    Now(Option<Arc<Opened>>),
    /// It had ended before.
    Before,
    /// This track has given way: the session has to be taken up again to be ended.
    NotHere,
}

/// The ledger of one layer.
pub(crate) struct Ledger {
    shards: Box<[Mutex<Shard>]>,
    limits: LedgerLimits,
    /// Results kept, over all shards.
    results: AtomicUsize,
    order: AtomicU64,
    evicted_entries: AtomicU64,
    evicted_results: AtomicU64,
}

#[derive(Default)]
struct Shard {
    tracks: HashMap<SessionId, Arc<Track>>,
    /// After this monotonic time the shard is swept again.
    next_sweep: Duration,
}

/// Sessions per shard from which on a further shard pays.
const PER_SHARD: usize = 2048;
const MAX_SHARDS: usize = 1024;

/// Ended and unheld entries are swept out this often.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// When a limit is hit this part is freed at once, so that the search for victims is rare.
const BATCH: usize = 16;

impl Ledger {
    pub(crate) fn new(limits: LedgerLimits) -> Self {
        let shards = (limits.entries / PER_SHARD).clamp(1, MAX_SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            limits,
            results: AtomicUsize::new(0),
            order: AtomicU64::new(0),
            evicted_entries: AtomicU64::new(0),
            evicted_results: AtomicU64::new(0),
        }
    }

    /// How many entries and results have given way to newer ones.
    pub(crate) fn evictions(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.evicted_entries), read(&self.evicted_results))
    }

    /// The track of an opened session, new if nothing is known of it.
    pub(crate) fn hold(&self, opened: Arc<Opened>, now: Timestamp, monotonic: Duration) -> Held {
        let session = &opened.session;
        let sighting = Sighting::of(&opened);
        let track = self.track(sighting, now, monotonic);
        let mut known = track.lock();
        known.presented |= session.pair >= known.highest;
        drop(known);
        Held { opened, track }
    }

    /// The track of a session by its id, new if nothing is known of it.
    pub(crate) fn track(
        &self,
        sighting: Sighting,
        now: Timestamp,
        monotonic: Duration,
    ) -> Arc<Track> {
        let mut shard = self.shard(sighting.id);
        if monotonic >= shard.next_sweep {
            shard.next_sweep = monotonic.saturating_add(SWEEP_EVERY);
            self.sweep(&mut shard, now, monotonic);
        }
        let track = shard
            .tracks
            .entry(sighting.id)
            .or_insert_with(|| Arc::new(Track::new(sighting, (now, monotonic))));
        let track = Arc::clone(track);
        self.make_room(&mut shard, &track);
        track
    }

    /// The track of a session, if there is one.
    pub(crate) fn known(&self, id: SessionId) -> Option<Arc<Track>> {
        self.shard(id).tracks.get(&id).map(Arc::clone)
    }

    /// Ends a session in this process: from now on nothing of it is served or set.
    pub(crate) fn end(&self, track: &Track) -> Ending {
        let mut known = track.lock();
        match track.phase() {
            Phase::Live => {}
            Phase::Ended => return Ending::Before,
            Phase::Dropped => return Ending::NotHere,
        }
        track.set_phase(Phase::Ended);
        known.attempts = None;
        known.latest = None;
        known.wake_watchers();
        Ending::Now(self.drop_result(&mut known).map(|minted| minted.opened))
    }

    /// Keeps what the highest pair brought. On a track that has been dropped nothing is kept: no
    /// request would find it.
    pub(crate) fn keep(
        &self,
        track: &Track,
        known: &mut Known,
        opened: Arc<Opened>,
        set_cookie: Option<http::HeaderValue>,
    ) {
        if track.phase() == Phase::Dropped {
            return;
        }
        let order = self.order.fetch_add(1, Ordering::Relaxed);
        if opened.session.pair > known.highest {
            track.adopt(known, &opened);
        }
        let token = OnceLock::new();
        if known.result.replace(Minted { opened, set_cookie, token, order }).is_none() {
            self.results.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Frees results if there are too many; call it without holding any track's lock.
    pub(crate) fn trim_results(&self) {
        let kept = self.results.load(Ordering::Relaxed);
        if kept <= self.limits.results {
            return;
        }
        let mut all = Vec::with_capacity(kept);
        for shard in &self.shards {
            for track in lock(shard).tracks.values() {
                let known = track.lock();
                if let Some(result) = &known.result {
                    all.push((!known.presented, result.order, Arc::clone(track)));
                }
            }
        }
        let spare = kept - self.limits.results + self.limits.results / BATCH;
        all.sort_unstable_by_key(|(unpresented, order, _)| (*unpresented, *order));
        for (_, order, track) in all.into_iter().take(spare) {
            let mut known = track.lock();
            if known.result.as_ref().is_some_and(|result| result.order == order) {
                self.drop_result(&mut known);
                self.evicted_results.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Forgets a result, for instance because a higher pair came in from elsewhere.
    pub(crate) fn drop_result(&self, known: &mut Known) -> Option<Minted> {
        let result = known.result.take();
        if result.is_some() {
            self.results.fetch_sub(1, Ordering::Relaxed);
        }
        result
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        let shards = self.shards.len() as u64;
        let index = usize::try_from(id.spread() % shards).unwrap_or(0);
        lock(&self.shards[index])
    }

    /// Removes what is over and what nobody holds and nothing happened to.
    fn sweep(&self, shard: &mut Shard, now: Timestamp, monotonic: Duration) {
        shard.tracks.retain(|_, track| {
            let held = Arc::strong_count(track) > 1;
            // By both clocks: the wall clock may be wrong for a while, and set right then.
            let over = now >= track.absolute_end && monotonic >= track.kept_until;
            if held {
                return true;
            }
            if !over && weight(track) != Weight::Nothing {
                // The next request with it loads it anew.
                track.lock().latest = None;
                return true;
            }
            // Nobody else has it, and nobody can get it while the shard is locked.
            self.drop_result(&mut track.lock());
            false
        });
        if shard.tracks.capacity() > 4 * shard.tracks.len().max(64) {
            shard.tracks.shrink_to_fit();
        }
    }

    /// Keeps the shard within its part of the limit; `spared` has just been asked for.
    fn make_room(&self, shard: &mut Shard, spared: &Arc<Track>) {
        let limit = self.limits.entries.div_ceil(self.shards.len()).max(1);
        if shard.tracks.len() <= limit {
            return;
        }
        let mut candidates: Vec<_> = shard
            .tracks
            .values()
            .filter(|track| !Arc::ptr_eq(track, spared))
            .map(|track| (weight(track), track.absolute_end, track.id))
            .filter(|(weight, ..)| *weight != Weight::Needed)
            .collect();
        candidates.sort_unstable_by_key(|(weight, end, _)| (*weight, *end));
        let spare = shard.tracks.len() - limit + limit / BATCH;
        for (weight, _, id) in candidates.into_iter().take(spare) {
            let Entry::Occupied(entry) = shard.tracks.entry(id) else { continue };
            let track = Arc::clone(entry.get());
            let mut known = track.lock();
            if known.is_needed() {
                continue;
            }
            entry.remove();
            self.drop_result(&mut known);
            if track.phase() == Phase::Live {
                track.set_phase(Phase::Dropped);
            }
            if weight != Weight::Nothing {
                self.evicted_entries.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What would be lost with a track; the lightest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Nothing happened to the session here.
    Nothing,
    /// Re-sealed, or a refresh failed, or past its end.
    Resealed,
    /// Refreshed or logged out.
    Changed,
    /// A refresh is under way, or a stream waits for the session's end: not to be dropped at all.
    Needed,
}

fn weight(track: &Track) -> Weight {
    let known = track.lock();
    if known.is_needed() {
        Weight::Needed
    } else if track.phase() == Phase::Ended
        || known.spent.is_some()
        || known.change == Change::Refreshed
    {
        Weight::Changed
    } else if known.attempts.is_some()
        || known.change == Change::Resealed
        || known.over_at > Timestamp::default()
    {
        Weight::Resealed
    } else {
        Weight::Nothing
    }
}

#[cfg(test)]
mod tests;
