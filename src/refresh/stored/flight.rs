//! One refresh of a stored session: does what [`plan`](super::plan) decides.
//!
//! A task of its own: it ends when its result is in the store, or nothing is left to do.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::watch, time::sleep};

use super::plan::{Conclusion, Course, Event, Rules, Step, View};
use crate::{
    refresh::{
        depot::Depot,
        flight::{WAIT_AT_MOST, jitter, refreshed},
        identity::ForeignIdentity,
        keeper::{EndReason, Keeper},
        outcome::{FAILURE_MEMORY, Verdict, weigh},
        tasks::first_of,
    },
    secret::random_bytes,
    session::{
        Attempts, Held, Lease, LeaseOwner, Leased, Lookup, Minted, Opened, Phase, Session,
        StoreError, Stored, Swap, Version, Voucher,
    },
};

/// Notes of a lease: its holder works, or its attempt has failed.
const WORKING: u8 = 0;
const FAILED: u8 = 1;

/// How long a record is given that may be about to change.
const PAUSE: Duration = Duration::from_secs(2);

/// How often a waiter looks: between 10 and 20 ms.
const LOOK_AFTER: Duration = Duration::from_millis(10);

/// A write that has to succeed is repeated at first after this, then ever more slowly.
const RETRY_AFTER: Duration = Duration::from_millis(50);
const RETRY_AT_LEAST_EVERY: Duration = Duration::from_secs(1);

/// A lease renewed this short a time ago need not be renewed again; in parts of its length.
const FRESH_PART: u32 = 3;

/// A refresh under way.
pub(crate) struct StoredFlight {
    keeper: Arc<Keeper>,
    held: Held,
    voucher: Arc<Voucher>,
    course: Course<Version>,
    owner: LeaseOwner,
    /// The record as it was last read.
    record: Arc<Opened>,
    /// What Sentinel has answered, once it has.
    result: Option<Session>,
    /// Why the session ends, if it does.
    reason: EndReason,
    failure: Failure,
    /// When the lease was last taken or renewed, by the monotonic clock.
    leased_at: Option<Duration>,
    took_off: Duration,
    retry: Duration,
    concluded: bool,
    /// Dropped when waiters can be served.
    landed: Option<watch::Sender<()>>,
}

/// A failed attempt.
#[derive(Clone, Copy)]
struct Failure {
    pause: Duration,
    unknown: bool,
}

impl StoredFlight {
    /// A refresh of `held`, which stands in the record `stored`; the newest generation `seen` of it
    /// in this process may be higher.
    pub(crate) fn new(
        keeper: Arc<Keeper>,
        held: Held,
        stored: Stored,
        seen: u32,
        took_off: Duration,
        landed: watch::Sender<()>,
    ) -> Self {
        let Stored { voucher, version, presented, .. } = stored;
        let generation = held.pair().generation;
        let view = View { version, generation, presented };
        let course = Course { held: view, seen, mine: Version::random(), rules: Rules::ALL };
        Self {
            voucher,
            course,
            owner: random_bytes(),
            record: Arc::clone(&held.opened),
            result: None,
            reason: EndReason::RefreshRefused,
            failure: Failure { pause: FAILURE_MEMORY, unknown: false },
            leased_at: None,
            took_off,
            retry: RETRY_AFTER,
            concluded: false,
            landed: Some(landed),
            keeper,
            held,
        }
    }

    pub(crate) async fn run(mut self) {
        let keeper = Arc::clone(&self.keeper);
        let Some(depot) = &keeper.depot else { return };
        let mut patience = pin!(sleep(WAIT_AT_MOST));
        let mut step = self.course.start();
        loop {
            let event = match step {
                Step::Over(conclusion) => return self.conclude(depot, conclusion).await,
                Step::Follow => {
                    let pause = LOOK_AFTER.mul_f64(1.0 + jitter());
                    if first_of(sleep(pause), patience.as_mut()).await {
                        Event::Paused
                    } else {
                        Event::OutOfPatience
                    }
                }
                step => self.act(depot, step).await,
            };
            if event == Event::Fault && step.is_insistent() && !self.insist(depot, step).await {
                return self.conclude(depot, Conclusion::Gone).await;
            }
            step = self.course.next(step, event);
        }
    }

    /// Does one step.
    async fn act(&mut self, depot: &Depot, step: Step<Version>) -> Event<Version> {
        match step {
            Step::Doubt => self.pause().await,
            Step::Pause => {
                self.through(depot, sleep(PAUSE)).await;
                Event::Paused
            }
            Step::DoubtRead
            | Step::FollowRead
            | Step::Reread { .. }
            | Step::Merge { .. }
            | Step::Recheck { .. } => self.read(depot).await,
            Step::Lease => self.lease(depot).await,
            Step::KeepLease { .. } => self.keep_lease(depot).await,
            Step::Mark { base } => self.mark(depot, base, base.presented.saturating_add(1)).await,
            Step::Unmark { base } => self.mark(depot, base, base.presented.saturating_sub(1)).await,
            Step::Send { base } => self.send(depot, base).await,
            Step::Persist { base } => self.persist(depot, base).await,
            Step::End { base } => {
                let deleted = depot.vault.delete_if(&self.voucher, base.version).await;
                written(deleted, base.version)
            }
            Step::Remember => {
                let lease = Lease { owner: self.owner, note: FAILED };
                let kept = depot.vault.lease(&self.voucher, lease, self.failure.pause).await;
                kept.map_or(Event::Fault, |_| Event::Leased)
            }
            // `run` does these.
            Step::Follow | Step::Over(_) => Event::Fault,
        }
    }

    async fn pause(&self) -> Event<Version> {
        sleep(PAUSE).await;
        Event::Paused
    }

    async fn lease(&mut self, depot: &Depot) -> Event<Version> {
        let asked_at = self.keeper.clock.monotonic();
        let lease = Lease { owner: self.owner, note: WORKING };
        // A second try: the first may have been answered over a connection that has broken since.
        let mut leased = depot.vault.lease(&self.voucher, lease, depot.lease).await;
        if leased.is_err() {
            leased = depot.vault.lease(&self.voucher, lease, depot.lease).await;
        }
        match leased {
            Ok(Leased::Held) => {
                self.leased_at = Some(asked_at);
                Event::Leased
            }
            Ok(Leased::Other { note: FAILED, left }) => {
                self.failure.pause = left;
                Event::Barred
            }
            Ok(Leased::Other { .. }) if self.leased_at.is_some() => Event::LeaseLost,
            Ok(Leased::Other { .. }) => Event::Busy,
            Err(_) => {
                // It may be ours all the same: it is given back in the end.
                self.leased_at.get_or_insert(asked_at);
                Event::Fault
            }
        }
    }

    /// Makes sure of the lease: either it was taken a moment ago, or it is taken once more.
    async fn keep_lease(&mut self, depot: &Depot) -> Event<Version> {
        let now = self.keeper.clock.monotonic();
        let is_fresh = |at: Duration| now.saturating_sub(at) < depot.lease / FRESH_PART;
        if self.leased_at.is_some_and(is_fresh) {
            return Event::Leased;
        }
        match self.lease(depot).await {
            Event::Leased => Event::Retaken,
            event => event,
        }
    }

    async fn read(&mut self, depot: &Depot) -> Event<Version> {
        let loaded = self.keeper.load_caught_up(depot, &self.voucher, None).await;
        match loaded {
            Ok(Lookup::Found(opened)) => {
                let Some(view) = view(&opened) else { return Event::Read(None) };
                self.record = opened;
                Event::Read(Some(view))
            }
            Ok(Lookup::Absent) => Event::Read(None),
            // Written by an instance that has a newer key or version: it is that one's to refresh.
            Ok(Lookup::Foreign) => Event::Foreign,
            Ok(Lookup::Same) | Err(_) => Event::Fault,
        }
    }

    async fn mark(&mut self, depot: &Depot, base: View<Version>, presented: u32) -> Event<Version> {
        let Some(stored) = &self.record.stored else { return Event::Absent };
        let stored = Stored { version: Version::random(), presented, ..stored.clone() };
        let version = stored.version;
        let marked = depot.vault.opened(self.record.session.clone(), stored, true);
        let event =
            written(depot.vault.update(base.version, &marked, self.keeper.now()).await, version);
        if matches!(event, Event::Written(_)) {
            self.record = Arc::new(marked);
        }
        event
    }

    async fn send(&mut self, depot: &Depot, base: View<Version>) -> Event<Version> {
        let session = self.record.session.clone();
        let Some(token) = session.tokens.refresh() else {
            return Event::Failed { unspent: true };
        };
        let keeper = Arc::clone(&self.keeper);
        // Not when the flight began: it may have waited for another's lease.
        let sent_at = keeper.now();
        let call = keeper.sentinel.refresh(&session.account, &token);
        let answer = self.through(depot, call).await;
        let unknown_before = base.presented.saturating_sub(1);
        match weigh(answer, unknown_before, jitter()) {
            Verdict::Refreshed(tokens) => {
                let check = keeper.check_identity(&session, &tokens);
                match self.through(depot, check).await {
                    Ok(claims) => {
                        self.result = Some(refreshed(&self.record, tokens, claims, sent_at));
                        Event::Tokens
                    }
                    Err(ForeignIdentity) => {
                        self.reason = EndReason::IdentityChanged;
                        Event::Refused
                    }
                }
            }
            Verdict::Refused { rotation_lost } => {
                if rotation_lost {
                    self.reason = EndReason::RotationLost;
                }
                Event::Refused
            }
            Verdict::Failed { pause, unknown, misconfigured } => {
                keeper.refresh_failed(unknown, misconfigured);
                self.failure = Failure { pause, unknown };
                Event::Failed { unspent: !unknown }
            }
        }
    }

    async fn persist(&mut self, depot: &Depot, base: View<Version>) -> Event<Version> {
        // A logout in this process wins, whatever the store says.
        if self.held.track.phase() == Phase::Ended {
            return Event::Absent;
        }
        let Some(next) = self.result_on_record(depot) else { return Event::Absent };
        let update = depot.vault.update(base.version, &next, self.keeper.now()).await;
        written(update, self.course.mine)
    }

    /// The result as it is written in the place of the record.
    fn result_on_record(&self, depot: &Depot) -> Option<Opened> {
        let mut session = self.result.clone()?;
        session.times.last_seen = session.times.last_seen.max(self.record.session.times.last_seen);
        let stored = self.record.stored.clone()?;
        let stored = Stored { version: self.course.mine, presented: 0, ..stored };
        Some(depot.vault.opened(session, stored, true))
    }

    /// Waits a little before a step that has to succeed is repeated; `false` when it need not be.
    async fn insist(&mut self, depot: &Depot, step: Step<Version>) -> bool {
        if matches!(step, Step::Persist { .. } | Step::Merge { .. }) && self.landed.is_some() {
            tracing::error!(
                "the result of a refresh cannot be written to the session store: it is kept in \
                 memory, and written as soon as that is possible"
            );
            // Those who wait are served from memory.
            if let Some(next) = self.result_on_record(depot) {
                let next = Arc::new(next);
                let mut known = self.held.track.lock();
                if self.held.track.phase() == Phase::Live {
                    self.keeper.ledger.keep(&self.held.track, &mut known, next, None);
                }
                known.attempts = None;
                known.flight = None;
            }
            self.landed = None;
        }
        let over = self.keeper.now() >= self.voucher.absolute_end;
        if over || self.held.track.phase() == Phase::Ended {
            return false;
        }
        sleep(self.retry).await;
        self.retry = (self.retry * 2).min(RETRY_AT_LEAST_EVERY);
        true
    }

    /// Runs `work` to its end while the lease is renewed; a lease that is lost meanwhile changes
    /// nothing: what is written later depends on the record's version.
    async fn through<T>(&mut self, depot: &Depot, work: impl Future<Output = T>) -> T {
        let renew = async {
            loop {
                sleep(depot.lease / FRESH_PART).await;
                self.lease(depot).await;
            }
        };
        let (mut work, mut renew) = (pin!(work), pin!(renew));
        poll_fn(|cx| {
            let _: Poll<()> = renew.as_mut().poll(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    async fn conclude(mut self, depot: &Depot, conclusion: Conclusion) {
        let keeper = Arc::clone(&self.keeper);
        let track = Arc::clone(&self.held.track);
        let mut ended_here = None;
        match conclusion {
            Conclusion::Refreshed => self.keep_result(depot),
            Conclusion::Moved => {
                let mut known = track.lock();
                if view(&self.record).is_some_and(|v| v.generation > self.course.held.generation) {
                    if self.record.session.pair > known.highest {
                        track.adopt(&mut known, &self.record);
                    }
                    known.read(Arc::clone(&self.record));
                }
                keeper.ledger.drop_result(&mut known);
                known.attempts = None;
            }
            Conclusion::Gone => {
                let was_live = track.phase() == Phase::Live;
                keeper.end_here(&track);
                if was_live && self.result.is_some() {
                    tracing::info!("session ended elsewhere during its refresh");
                }
            }
            Conclusion::Ended => {
                keeper.note_deleted(depot, &self.voucher.key);
                track.lock().spent = Some(self.course.held.generation);
                if track.phase() == Phase::Live {
                    keeper.end_here(&track);
                    ended_here = Some(Arc::clone(&self.record));
                }
            }
            Conclusion::Failed => self.remember(self.failure),
            Conclusion::Barred => self.remember(Failure { unknown: false, ..self.failure }),
            Conclusion::NotSent => {
                keeper.refresh_failed(false, false);
                let pause = FAILURE_MEMORY.mul_f64(1.0 + jitter() / 10.0);
                self.remember(Failure { pause, unknown: false });
            }
            Conclusion::OutOfPatience => {}
        }
        if self.landed.is_some() {
            // Else it may be another's by now.
            track.lock().flight = None;
        }
        self.concluded = true;
        self.landed = None;
        if let Some(ended) = ended_here {
            keeper.announce_end(&ended.session, self.reason);
            keeper.unindex(depot, &ended.session, &self.voucher.key).await;
        }
        if let Some(result) = &self.result {
            let discarded = conclusion != Conclusion::Refreshed;
            keeper.telemetry.refreshed(discarded);
            if discarded {
                tracing::info!("tokens of an overtaken refresh discarded");
            }
            if conclusion == Conclusion::Gone {
                keeper.revoke_if_chosen(result);
            }
        }
        let keeps_lease = matches!(conclusion, Conclusion::Failed | Conclusion::Barred);
        if self.leased_at.is_some() && !keeps_lease {
            // A lease that cannot be given back runs out.
            let _ = depot.vault.release(&self.voucher, self.owner).await;
        }
    }

    /// The result is in the record.
    fn keep_result(&mut self, depot: &Depot) {
        let Some(result) = self.result_on_record(depot) else { return };
        let (keeper, track) = (&self.keeper, &self.held.track);
        let result = Arc::new(result);
        keeper.note_written(depot, &result);
        tracing::debug!(generation = result.session.pair.generation, "session refreshed");
        let mut known = track.lock();
        if track.phase() != Phase::Live {
            return;
        }
        if result.session.pair > known.highest {
            track.adopt(&mut known, &result);
        }
        known.read(result);
        known.attempts = None;
        let unwritten: Option<Minted> = keeper.ledger.drop_result(&mut known);
        if unwritten.is_some() {
            tracing::info!("the result of a refresh that was kept in memory is written");
        }
    }

    fn remember(&self, failure: Failure) {
        let not_before = self.keeper.clock.monotonic().saturating_add(failure.pause);
        let mut known = self.held.track.lock();
        let before = known.attempts.map_or(0, |attempts| attempts.unknown);
        let unknown = before.saturating_add(u32::from(failure.unknown));
        known.attempts = Some(Attempts { not_before, unknown });
    }
}

impl Drop for StoredFlight {
    /// A panic or the end of the runtime: whether the token was sent is unknown.
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        let not_before = self.took_off.saturating_add(FAILURE_MEMORY);
        let mut known = self.held.track.lock();
        let unknown = known.attempts.map_or(0, |attempts| attempts.unknown).saturating_add(1);
        known.attempts = Some(Attempts { not_before, unknown });
        if self.landed.is_some() {
            known.flight = None;
        }
        drop(known);
        if self.leased_at.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (keeper, voucher) = (Arc::clone(&self.keeper), Arc::clone(&self.voucher));
            let lease = Lease { owner: self.owner, note: FAILED };
            runtime.spawn(async move {
                if let Some(depot) = &keeper.depot {
                    // Else it runs out.
                    let _ = depot.vault.lease(&voucher, lease, FAILURE_MEMORY).await;
                }
            });
        }
    }
}

fn view(opened: &Opened) -> Option<View<Version>> {
    let Stored { version, presented, .. } = opened.stored.as_ref()?;
    let generation = opened.session.pair.generation;
    Some(View { version: *version, generation, presented: *presented })
}

/// What a write came to that leaves the record at `version`.
fn written(swap: Result<Swap, StoreError>, version: Version) -> Event<Version> {
    match swap {
        Ok(Swap::Done) => Event::Written(version),
        Ok(Swap::Changed) => Event::Changed,
        Ok(Swap::Absent) => Event::Absent,
        Err(_) => Event::Fault,
    }
}
