//! What changed in this process: session id → [`Track`].
//!
//! Every session that is held has a track here, so that all who hold it learn of its end. Tracks
//! that nothing has happened to are dropped soon after nobody holds them any more; the others
//! (refreshed, re-sealed, logged out) are kept until the session's absolute end, up to a limit. Tracks
//! are looked through a few at a call, so that a call costs the same however many there are.

mod results;

use std::{
    collections::{HashMap, hash_map::Entry},
    mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use self::results::Results;
use super::{
    Held, Opened,
    id::{BuildIdHasher, SessionId},
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
    /// How many tracks there may be.
    entries: usize,
    results: Results,
    evicted_entries: AtomicU64,
    evicted_results: AtomicU64,
}

#[derive(Default)]
struct Shard {
    tracks: HashMap<SessionId, Arc<Track>, BuildIdHasher>,
    /// The same tracks once more, in the order in which a sweep looks at them: backwards.
    swept: Vec<Arc<Track>>,
    /// So many of them the sweep under way has still to look at.
    unswept: usize,
    /// When the last sweep began.
    swept_at: Timestamp,
}

/// Sessions per shard from which on a further shard pays.
const PER_SHARD: usize = 2048;
const MAX_SHARDS: usize = 1024;

/// Ended and unheld entries are swept out this often.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// So many tracks one call looks at while a sweep is under way: what it costs does not grow with their
/// number.
const SWEEP_STEP: usize = 8;

/// Who holds a track that nobody else does: the map and the list of its shard.
const UNHELD: usize = 2;

/// When a shard is full this part of it is freed at once, so that the search for victims is rare.
const BATCH: usize = 16;

impl Ledger {
    pub(crate) fn new(limits: LedgerLimits) -> Self {
        let shards = (limits.entries / PER_SHARD).clamp(1, MAX_SHARDS);
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            entries: limits.entries,
            results: Results::new(limits.results),
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
    ///
    /// If its pair is the highest, a browser has got that: the requests that follow find the session
    /// opened and need not note it. The clock is read only if need be.
    pub(crate) fn hold(
        &self,
        opened: Arc<Opened>,
        now: Timestamp,
        monotonic: impl Fn() -> Duration,
    ) -> Held {
        let track = self.find_track(Sighting::of(&opened), now, monotonic);
        let mut known = track.lock();
        if opened.session.pair >= known.highest {
            self.note_presented(&mut known);
        }
        drop(known);
        Held { opened, track }
    }

    /// A request has presented the highest pair: what it brought is no longer urgent.
    pub(crate) fn note_presented(&self, known: &mut Known) {
        let was_presented = mem::replace(&mut known.presented, true);
        if let Some(result) = known.result.as_ref().filter(|_| !was_presented) {
            self.results.note_presented(result.order);
        }
    }

    /// The track of a session by its id, new if nothing is known of it.
    pub(crate) fn track(
        &self,
        sighting: Sighting,
        now: Timestamp,
        monotonic: Duration,
    ) -> Arc<Track> {
        self.find_track(sighting, now, || monotonic)
    }

    #[inline]
    fn find_track(
        &self,
        sighting: Sighting,
        now: Timestamp,
        monotonic: impl Fn() -> Duration,
    ) -> Arc<Track> {
        let mut shard = self.shard(sighting.id);
        if shard.wants_sweep(now) {
            self.sweep(&mut shard, now, &monotonic);
        }
        if let Some(track) = shard.tracks.get(&sighting.id) {
            return Arc::clone(track);
        }
        let track = Arc::new(Track::new(sighting, (now, monotonic())));
        shard.insert(&track);
        if shard.tracks.len() > self.limit() {
            self.make_room(&mut shard, &track, now, &monotonic);
        }
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
        self.drop_result(known);
        if opened.session.pair > known.highest {
            track.adopt(known, &opened);
        }
        let order = self.results.add(track.id);
        known.result = Some(Minted { opened, set_cookie, token: OnceLock::new(), order });
    }

    /// Frees results if there are too many; call it without holding any track's lock.
    pub(crate) fn trim_results(&self) {
        for (order, session) in self.results.take_excess() {
            let Some(track) = self.known(session) else { continue };
            let mut known = track.lock();
            if known.result.as_ref().is_some_and(|result| result.order == order) {
                known.result = None;
                self.evicted_results.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Forgets a result, for instance because a higher pair came in from elsewhere.
    pub(crate) fn drop_result(&self, known: &mut Known) -> Option<Minted> {
        let result = known.result.take()?;
        self.results.remove(result.order);
        Some(result)
    }

    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        let shards = self.shards.len() as u64;
        let index = usize::try_from(id.spread() % shards).unwrap_or(0);
        lock(&self.shards[index])
    }

    /// How many entries a shard has at most.
    fn limit(&self) -> usize {
        self.entries.div_ceil(self.shards.len()).max(1)
    }

    /// Looks at the next few tracks, and removes what is over and what nobody holds and nothing
    /// happened to.
    fn sweep(&self, shard: &mut Shard, now: Timestamp, monotonic: impl Fn() -> Duration) {
        for _ in 0..SWEEP_STEP.min(shard.unswept) {
            shard.unswept -= 1;
            let track = &shard.swept[shard.unswept];
            if Arc::strong_count(track) > UNHELD {
                continue;
            }
            let mut known = track.lock();
            // By both clocks: the wall clock may be wrong for a while, and set right then.
            let over = now >= track.absolute_end && monotonic() >= track.kept_until;
            if !over && weight(track, &known) != Weight::Nothing {
                // The next request with it loads it anew.
                known.latest = None;
                continue;
            }
            // Nobody else has it, and nobody can get it while the shard is locked.
            self.drop_result(&mut known);
            drop(known);
            shard.tracks.remove(&track.id);
            // The last one takes its place: it has been looked at.
            shard.swept.swap_remove(shard.unswept);
        }
        if shard.unswept == 0 {
            shard.shrink();
        }
    }

    /// Keeps a shard that is full within its part of the limit; `spared` has just been asked for.
    fn make_room(
        &self,
        shard: &mut Shard,
        spared: &Arc<Track>,
        now: Timestamp,
        monotonic: impl Fn() -> Duration,
    ) {
        if shard.unswept == 0 {
            shard.begin_sweep(now);
        }
        self.sweep(shard, now, monotonic);
        let limit = self.limit();
        let Some(excess) = shard.tracks.len().checked_sub(limit).filter(|excess| *excess > 0)
        else {
            return;
        };
        let mut candidates: Vec<_> = shard
            .swept
            .iter()
            .filter(|track| !Arc::ptr_eq(track, spared))
            .map(|track| (weight(track, &track.lock()), track.absolute_end, track.id))
            .filter(|(weight, ..)| *weight != Weight::Needed)
            .collect();
        let spare = excess + limit / BATCH;
        if spare < candidates.len() {
            candidates.select_nth_unstable_by_key(spare, |(weight, end, _)| (*weight, *end));
        }
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
        shard.swept.retain(|track| shard.tracks.contains_key(&track.id));
        shard.unswept = shard.unswept.min(shard.swept.len());
    }
}

impl Shard {
    fn insert(&mut self, track: &Arc<Track>) {
        self.tracks.insert(track.id, Arc::clone(track));
        self.swept.push(Arc::clone(track));
    }

    /// Whether a sweep is under way, or time has come for one.
    #[inline]
    fn wants_sweep(&mut self, now: Timestamp) -> bool {
        // A wall clock will do: one that is set back brings the next sweep forward, no more. One that is
        // under way is finished first, or it would never come to the tracks that it sees last.
        let elapsed = now.since(self.swept_at).max(self.swept_at.since(now));
        if self.unswept == 0 && elapsed >= SWEEP_EVERY {
            self.begin_sweep(now);
        }
        self.unswept > 0
    }

    fn begin_sweep(&mut self, now: Timestamp) {
        self.swept_at = now;
        self.unswept = self.swept.len();
    }

    /// Gives back memory after many tracks have gone.
    fn shrink(&mut self) {
        let few = 4 * self.tracks.len().max(64);
        if self.tracks.capacity() > few {
            self.tracks.shrink_to_fit();
        }
        if self.swept.capacity() > few {
            self.swept.shrink_to_fit();
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

fn weight(track: &Track, known: &Known) -> Weight {
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
