//! One refresh of one session, and all who wait for it.
//!
//! A flight is a task of its own from before the request is sent until its result is kept: a
//! client that hangs up or a cancelled future never ends it.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    identity::ForeignIdentity,
    keeper::{Considered, EndReason, Keeper, access_end},
    outcome::{FAILURE_MEMORY, Verdict, weigh},
    stored::StoredFlight,
    tasks::first_of,
};
use crate::{
    clock::Timestamp,
    jwt::IdClaims,
    secret::{RefreshToken, random_bytes},
    sentinel::TokenSet,
    session::{Attempts, Held, Identity, Opened, Pair, Phase, Session, Times, Tokens, may_present},
};

/// How long a request waits for a refresh that comes first.
pub(super) const WAIT_AT_MOST: Duration = Duration::from_secs(6);

/// How long the head of the response that started a flight waits for its cookie.
const LINGER_AT_MOST: Duration = Duration::from_millis(250);

/// Resolves when a flight has landed: its channel closes.
pub(crate) type Landing = watch::Receiver<()>;

/// What asking for a refresh comes to.
#[derive(Debug)]
pub(crate) enum Departure {
    /// This request has started the flight.
    Started(Landing),
    /// A flight was under way.
    Joined(Landing),
    /// The last attempt failed too recently, or the process stops; the next is allowed after this
    /// time.
    Blocked(Duration),
    /// Nothing to refresh any more: weigh the session again.
    Moved,
}

/// Whether a request may go on after waiting.
#[derive(Debug)]
pub(crate) enum Awaited {
    Serve(Held),
    /// Not now; whole seconds until the next attempt.
    Unavailable(u64),
    Over {
        dead: bool,
    },
}

impl Keeper {
    /// Asks for a refresh of what `served` holds.
    pub(crate) fn refresh(self: &Arc<Self>, served: &Held) -> Departure {
        let session = &served.opened.session;
        // Read before a flight is noted: whatever a clock does then leaves no flight that never lands.
        let (started_at, took_off) = (self.now(), self.clock.monotonic());
        let mut known = served.track.lock();
        let newest = match &served.opened.stored {
            None => known.highest.generation,
            Some(_) => Self::newest(served, &known).session.pair.generation,
        };
        let may_present = may_present(session.pair.generation, newest, known.spent);
        if served.track.phase() != Phase::Live || !may_present {
            return Departure::Moved;
        }
        if let Some(landing) = &known.flight {
            return Departure::Joined(landing.clone());
        }
        if self.tasks.is_past_deadline() {
            return Departure::Blocked(Duration::ZERO);
        }
        if let Some(attempts) = known.attempts {
            let left = attempts.not_before.saturating_sub(took_off);
            if !left.is_zero() {
                return Departure::Blocked(left);
            }
        }
        let Some(token) = session.tokens.refresh() else { return Departure::Moved };
        let (landed, landing) = watch::channel(());
        known.flight = Some(landing.clone());
        let seen = known.highest.generation;
        drop(known);
        let (keeper, held) = (Arc::clone(self), served.clone());
        match &served.opened.stored {
            Some(stored) => {
                let flight =
                    StoredFlight::new(keeper, held, stored.clone(), seen, took_off, landed);
                self.tasks.spawn(flight.run());
            }
            None => {
                let flight = Flight {
                    keeper,
                    held,
                    started_at,
                    took_off,
                    concluded: false,
                    _landed: landed,
                };
                self.tasks.spawn(flight.run(token));
            }
        }
        Departure::Started(landing)
    }

    /// Gives a session what it needs, where nobody waits for a new cookie: a refresh beside, whose
    /// result is the next caller's, or one that comes first.
    pub(super) async fn settle(self: &Arc<Self>, held: &Held, considered: Considered) -> Awaited {
        match considered {
            Considered::Serve { served, refresh } => {
                if refresh && !self.tasks.is_shutting_down() {
                    self.refresh(&served);
                }
                Awaited::Serve(served)
            }
            // Boxed, since it is rare.
            Considered::Wait { served } => Box::pin(self.refresh_first(held, served)).await,
            Considered::Over { dead } => Awaited::Over { dead },
        }
    }

    /// Waits for the refresh of an expired session, at most 6 s, and weighs it again.
    ///
    /// # Cancel safety
    ///
    /// The flight goes on.
    pub(crate) async fn refresh_first(self: &Arc<Self>, held: &Held, mut served: Held) -> Awaited {
        let patience = first_of(sleep(WAIT_AT_MOST), self.tasks.shutdown_deadline());
        let mut patience = pin!(patience);
        loop {
            match self.refresh(&served) {
                Departure::Moved => {}
                Departure::Blocked(left) => return self.last_resort(served, left),
                Departure::Started(mut landing) | Departure::Joined(mut landing) => {
                    // The channel closes when the flight has landed.
                    if !first_of(landing.changed(), patience.as_mut()).await {
                        return self.last_resort(served, Duration::ZERO);
                    }
                }
            }
            match self.consider_quietly(held, self.now()) {
                Considered::Serve { served, .. } => return Awaited::Serve(served),
                Considered::Over { dead } => return Awaited::Over { dead },
                Considered::Wait { served: next } => {
                    // New tokens that are as good as expired when they come would be followed by
                    // newer ones without end: while they live, they serve.
                    if next.pair().generation > served.pair().generation {
                        return self.last_resort(next, Duration::ZERO);
                    }
                    served = next;
                }
            }
        }
    }

    /// Until its true end the old access token serves; then there is nothing to serve with.
    fn last_resort(&self, served: Held, left: Duration) -> Awaited {
        if served.opened.schedule.access_token_lives(self.now()) {
            return Awaited::Serve(served);
        }
        Awaited::Unavailable(whole_seconds(left))
    }

    /// Waits for a flight, at most 6 s.
    pub(super) async fn await_landing(&self, landing: &mut Landing) {
        let patience = first_of(sleep(WAIT_AT_MOST), self.tasks.shutdown_deadline());
        // The channel closes when the flight has landed.
        first_of(landing.changed(), patience).await;
    }

    /// Lets a response's head wait for its session's new cookie.
    pub(crate) async fn linger(&self, mut landing: Landing) {
        // Either way the flight goes on; an error only says that it has landed.
        if timeout(LINGER_AT_MOST, landing.changed()).await.is_err()
            && self.tasks.is_shutting_down()
        {
            first_of(landing.changed(), self.tasks.shutdown_deadline()).await;
        }
    }
}

/// A wait in whole seconds, rounded up, at least 1, for `Retry-After`.
pub(crate) fn whole_seconds(left: Duration) -> u64 {
    (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1)
}

/// A refresh under way.
struct Flight {
    keeper: Arc<Keeper>,
    held: Held,
    started_at: Timestamp,
    /// The same by the monotonic clock.
    took_off: Duration,
    concluded: bool,
    /// Dropped when all is kept: that is what waiters wait for.
    _landed: watch::Sender<()>,
}

impl Flight {
    async fn run(mut self, token: RefreshToken) {
        let session = &self.held.opened.session;
        let answer = self.keeper.sentinel.refresh(&session.account, &token).await;
        let unknown_before = self.held.track.lock().attempts.map_or(0, |attempts| attempts.unknown);
        match weigh(answer, unknown_before, jitter()) {
            Verdict::Refreshed(tokens) => self.arrive(tokens).await,
            Verdict::Refused { rotation_lost: true } => self.end(EndReason::RotationLost),
            Verdict::Refused { rotation_lost: false } => self.end(EndReason::RefreshRefused),
            Verdict::Failed { pause, unknown, misconfigured } => {
                self.keeper.refresh_failed(unknown, misconfigured);
                self.fail(pause, unknown);
            }
        }
    }

    /// New tokens have come: they are kept, unless they are somebody else's or come too late.
    async fn arrive(&mut self, tokens: TokenSet) {
        let session = &self.held.opened.session;
        let claims = match self.keeper.check_identity(session, &tokens).await {
            Ok(claims) => claims,
            Err(ForeignIdentity) => return self.end(EndReason::IdentityChanged),
        };
        let keeper = Arc::clone(&self.keeper);
        let track = Arc::clone(&self.held.track);
        let mut known = track.lock();
        let base = match &known.result {
            Some(result) if known.highest.generation == self.generation() => {
                Arc::clone(&result.opened)
            }
            _ => Arc::clone(&self.held.opened),
        };
        let session = refreshed(&base, tokens, claims, self.started_at);
        let discarded = track.phase() == Phase::Ended || session.pair <= known.highest;
        if !discarded {
            let set_cookie = keeper
                .mint
                .set_cookie(&session, keeper.now())
                .inspect_err(|error| tracing::error!(%error, "refreshed session stays in memory: a session store has room for it"))
                .ok();
            let opened = keeper.mint.opened(session.clone());
            keeper.ledger.keep(&track, &mut known, opened, set_cookie);
            known.attempts = None;
        }
        known.flight = None;
        self.concluded = true;
        let ended = track.phase() == Phase::Ended;
        drop(known);
        if discarded {
            tracing::info!(ended, "tokens of an overtaken refresh discarded");
            if ended {
                keeper.revoke_if_chosen(&session);
            }
        } else {
            tracing::debug!(generation = session.pair.generation, "session refreshed");
            keeper.ledger.trim_results();
        }
        keeper.telemetry.refreshed(discarded);
    }

    /// The session is over, as far as this generation knows.
    fn end(&mut self, reason: EndReason) {
        let mut known = self.held.track.lock();
        known.spent = Some(self.generation());
        known.attempts = None;
        known.flight = None;
        self.concluded = true;
        let overtaken = known.highest.generation > self.generation();
        if !overtaken {
            self.keeper.ledger.drop_result(&mut known);
        }
        known.wake_watchers();
        let ended = self.held.track.phase() == Phase::Ended;
        drop(known);
        if !ended && !overtaken {
            self.keeper.announce_end(&self.held.opened.session, reason);
        }
    }

    fn fail(&mut self, pause: Duration, unknown: bool) {
        let not_before = self.keeper.clock.monotonic().saturating_add(pause);
        let mut known = self.held.track.lock();
        known.flight = None;
        self.concluded = true;
        if known.highest.generation > self.generation() {
            // Another instance has refreshed meanwhile: this failure says nothing of its token.
            return;
        }
        let before = known.attempts.map_or(0, |attempts| attempts.unknown);
        known.attempts =
            Some(Attempts { not_before, unknown: before.saturating_add(u32::from(unknown)) });
    }

    fn generation(&self) -> u32 {
        self.held.opened.session.pair.generation
    }
}

impl Drop for Flight {
    /// A panic or the end of the runtime: whether the token was sent is unknown.
    fn drop(&mut self) {
        if !self.concluded {
            let not_before = self.took_off.saturating_add(FAILURE_MEMORY);
            let mut known = self.held.track.lock();
            let before = known.attempts.unwrap_or(Attempts { not_before, unknown: 0 });
            known.attempts = Some(Attempts {
                not_before: before.not_before.max(not_before),
                unknown: before.unknown.saturating_add(1),
            });
            known.flight = None;
        }
    }
}

/// The session after a refresh; what the answer leaves out stays as it was.
pub(super) fn refreshed(
    base: &Opened,
    tokens: TokenSet,
    claims: Option<IdClaims>,
    sent_at: Timestamp,
) -> Session {
    let old = &base.session;
    let pair: Pair = old.pair.refreshed();
    let identity = claims.map_or_else(
        || old.identity.clone(),
        |claims| Identity {
            is_admin: claims.is_admin,
            is_lpa: claims.is_lpa,
            ..old.identity.clone()
        },
    );
    Session {
        id: old.id,
        pair,
        account: old.account.clone(),
        identity,
        tokens: Tokens::new(
            tokens.access_token,
            tokens.refresh_token.or_else(|| old.tokens.refresh()).as_ref(),
            tokens.scope.as_deref().or_else(|| old.tokens.scope()),
        ),
        times: Times {
            refreshed_at: sent_at,
            access_expires_at: access_end(sent_at, tokens.expires_in),
            // A refresh is no activity: the request that asks for it is.
            ..old.times
        },
        login: old.login,
    }
}

/// A random number from 0 to 1.
pub(super) fn jitter() -> f64 {
    f64::from(u32::from_le_bytes(random_bytes())) / f64::from(u32::MAX)
}
