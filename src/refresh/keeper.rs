//! Keeps the sessions of one layer: finds them, weighs what they need, refreshes and ends them.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    depot::Depot,
    outbox::Outbox,
    policy::{Freshness, Lifetimes},
    tasks::Tasks,
};
use crate::{
    account::AccountId,
    caller::Rank,
    clock::{Clock, Timestamp},
    error::BoxFuture,
    jwt::{IdClaims, IdTokenError, IdTokenVerifier},
    seal::Unopenable,
    secret::AccessToken,
    sentinel::SentinelClient,
    session::{
        Caches, Candidates, Carrier, Ending, Held, Known, Ledger, Mint, Opened, Phase, Session,
        Standing, Times, standing,
    },
    telemetry::Telemetry,
};

/// Everything that the sessions of one layer need.
pub(crate) struct Keeper {
    pub(crate) rank: Rank,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) mint: Mint,
    /// Values opened before.
    pub(crate) opened: Caches<Held>,
    /// Whether session tokens are handed out and accepted.
    pub(crate) session_tokens: bool,
    pub(crate) ledger: Ledger,
    /// Where sessions are, if not in the browser.
    pub(crate) depot: Option<Depot>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) sentinel: Arc<SentinelClient>,
    pub(crate) verifier: IdTokenVerifier,
    pub(crate) revoke_on_logout: bool,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) on_session_end: Option<OnSessionEnd>,
    pub(crate) tasks: Tasks,
    pub(crate) telemetry: Telemetry,
}

/// The hook that is told of a session's end.
pub(crate) type OnSessionEnd = Arc<dyn Fn(SessionEnd) -> BoxFuture<'static, ()> + Send + Sync>;

/// A session that has just ended here, as the hook `on_session_end` is told.
#[derive(Clone, Debug)]
pub struct SessionEnd {
    reason: EndReason,
    user_id: Box<str>,
    account: AccountId,
}

/// Why a session ended.
///
/// A session that nobody uses until its idle or absolute end just stops opening: nothing in the
/// process notices, so that has no reason here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EndReason {
    /// The user logged out, or the application ended the session (`LpUser::end_session`,
    /// `Sessions`).
    Logout,
    /// The same browser signed in again.
    Replaced,
    /// Sentinel refused the refresh token: it was revoked, or has run out.
    RefreshRefused,
    /// Sentinel refused the refresh token after an attempt whose answer was lost: it had probably
    /// been rotated then.
    RotationLost,
    /// A refresh brought an id_token of somebody else, or a forged one.
    IdentityChanged,
}

impl EndReason {
    /// All of them, for metrics that are made ahead.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "for metrics"))]
    pub(crate) const ALL: &[Self] = &[
        Self::Logout,
        Self::Replaced,
        Self::RefreshRefused,
        Self::RotationLost,
        Self::IdentityChanged,
    ];

    /// The reason as it stands in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Replaced => "replaced",
            Self::RefreshRefused => "refresh_refused",
            Self::RotationLost => "rotation_lost",
            Self::IdentityChanged => "identity_changed",
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl SessionEnd {
    /// Why it ended.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        self.reason
    }

    /// Whose session it was: the id_token's `sub`.
    #[must_use]
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The account the user was signed in to.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.account
    }
}

/// What the cookies of a request, or its token, come to.
#[derive(Debug)]
pub(crate) enum Found {
    /// No session.
    Nobody {
        /// There was a cookie, and it is worthless for good.
        dead: bool,
    },
    /// Live cookies of different sessions, or too many to look at: never "the first wins".
    Ambiguous,
    /// One session; whether it may be served is [`Keeper::consider`]'s.
    Session(Held),
}

impl Found {
    fn one(opened: Result<Held, Unopenable>) -> Self {
        match opened {
            Ok(held) => Self::Session(held),
            Err(unopenable) => Self::Nobody { dead: unopenable.is_final() },
        }
    }
}

/// What a session needs before a request with it is forwarded.
#[derive(Debug)]
pub(crate) enum Considered {
    /// Nothing; `refresh` asks for a flight beside the handler.
    Serve { served: Held, refresh: bool },
    /// A refresh first.
    Wait { served: Held },
    /// It is over.
    Over {
        /// For good, so that its cookie may be deleted.
        dead: bool,
    },
}

impl Keeper {
    #[inline]
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now().into()
    }

    /// Finds the session among a request's cookies, or that of its token.
    pub(crate) fn find(
        &self,
        carrier: Carrier,
        candidates: &Candidates<'_>,
        now: Timestamp,
    ) -> Found {
        let values = match candidates {
            Candidates::Few(values) => &**values,
            // A login cannot change that either: it has to end in a page, not come back for more.
            Candidates::TooMany => return Found::Ambiguous,
        };
        if let [value] = values {
            return Found::one(self.open(carrier, value, now));
        }
        self.find_among(carrier, values, now)
    }

    /// The same for one value, which [`Keeper::recall_value`] does not know.
    pub(crate) fn find_unknown(&self, carrier: Carrier, value: &[u8], now: Timestamp) -> Found {
        Found::one(self.open_anew(carrier, value, now))
    }

    /// The same where there are none, or several.
    fn find_among(&self, carrier: Carrier, values: &[&[u8]], now: Timestamp) -> Found {
        let opened: Vec<_> = values.iter().map(|value| self.open(carrier, value, now)).collect();
        let dead = !opened.is_empty()
            && opened
                .iter()
                .all(|result| result.as_ref().err().is_none_or(|unopenable| unopenable.is_final()));
        let is_over = |held: &Held| held.track.phase() == Phase::Ended || is_over(held, now);
        let mut live = opened.into_iter().flatten().filter(|held| !is_over(held));
        let Some(mut best) = live.next() else { return Found::Nobody { dead } };
        for held in live {
            if held.track.id != best.track.id {
                return Found::Ambiguous;
            }
            if held.pair() > best.pair() {
                best = held;
            }
        }
        Found::Session(best)
    }

    /// All sessions among these values, whatever their state: for a logout.
    pub(crate) fn find_all(&self, carrier: Carrier, values: &[&[u8]], now: Timestamp) -> Vec<Held> {
        values.iter().filter_map(|value| self.open(carrier, value, now).ok()).collect()
    }

    /// Whether a session is over for good, so that its cookie may be deleted.
    pub(crate) fn is_dead(&self, held: &Held, now: Timestamp) -> bool {
        matches!(self.consider(held, now), Considered::Over { dead: true })
    }

    /// The session of a value that was opened before; `None` if that is not known.
    #[inline]
    pub(crate) fn recall_value(&self, carrier: Carrier, value: &[u8]) -> Option<Held> {
        self.opened.of(carrier).get(value).filter(|held| held.track.phase() != Phase::Dropped)
    }

    /// Opens one value, or finds it opened before.
    fn open(&self, carrier: Carrier, value: &[u8], now: Timestamp) -> Result<Held, Unopenable> {
        let known = self.recall_value(carrier, value);
        known.map_or_else(|| self.open_anew(carrier, value, now), Ok)
    }

    fn open_anew(
        &self,
        carrier: Carrier,
        value: &[u8],
        now: Timestamp,
    ) -> Result<Held, Unopenable> {
        let opened = self.mint.open(carrier, value).inspect_err(|unopenable| {
            self.count_unopenable(carrier, *unopenable);
        })?;
        let held = self.take_up(opened, now);
        self.opened.of(carrier).insert(value, held.clone());
        Ok(held)
    }

    /// Counts a cookie that does not open. What strangers put into an `Authorization` header says nothing
    /// of our keys.
    pub(super) fn count_unopenable(&self, carrier: Carrier, unopenable: Unopenable) {
        if carrier == Carrier::Cookie {
            self.telemetry.unopenable(unopenable);
        }
    }

    /// Takes up a session that was opened, or that a login has just made.
    pub(crate) fn take_up(&self, opened: Arc<Opened>, now: Timestamp) -> Held {
        self.ledger.hold(opened, now, || self.clock.monotonic())
    }

    /// Weighs what a session needs now; re-seals it if that is due.
    #[inline]
    pub(crate) fn consider(&self, held: &Held, now: Timestamp) -> Considered {
        let schedule = &held.opened.schedule;
        if now < schedule.quiet_until
            && held.opened.current_key
            && held.track.is_highest(held.pair())
            && held.track.phase() == Phase::Live
        {
            let served = held.clone();
            return Considered::Serve { served, refresh: false };
        }
        self.consider_closely(held, now, true)
    }

    /// The same for work beside requests: that the session is used is not noted.
    pub(super) fn consider_quietly(&self, held: &Held, now: Timestamp) -> Considered {
        self.consider_closely(held, now, false)
    }

    fn consider_closely(&self, held: &Held, now: Timestamp, used: bool) -> Considered {
        let mut known = held.track.lock();
        match held.track.phase() {
            Phase::Live => {}
            Phase::Ended => return Considered::Over { dead: !known.undeleted },
            Phase::Dropped => {
                drop(known);
                let held = self.take_up(Arc::clone(&held.opened), now);
                return self.consider_closely(&held, now, used);
            }
        }
        if held.opened.stored.is_some() {
            return self.consider_stored(held, &mut known, now);
        }
        if held.pair() > known.highest {
            self.ledger.drop_result(&mut known);
            held.track.adopt(&mut known, &held.opened);
        }
        if held.pair() == known.highest {
            self.ledger.note_presented(&mut known);
        }
        let opened = match standing(held.pair(), known.highest, known.result.is_some(), known.spent)
        {
            Standing::Own => Arc::clone(&held.opened),
            Standing::Result => match &known.result {
                Some(result) => Arc::clone(&result.opened),
                None => return Considered::Over { dead: false },
            },
            Standing::Spent => return Considered::Over { dead: true },
            Standing::Overtaken => {
                let schedule = &held.opened.schedule;
                let over = held.track.is_over(&mut known, schedule, now);
                if over || !schedule.access_token_lives(now) {
                    return Considered::Over { dead: over };
                }
                return Considered::Serve { served: held.clone(), refresh: false };
            }
        };
        if held.track.is_over(&mut known, &opened.schedule, now)
            || known.spent.is_some_and(|spent| opened.session.pair.generation <= spent)
        {
            return Considered::Over { dead: true };
        }
        let wants_reseal = used && (opened.schedule.wants_reseal(now) || !opened.current_key);
        let opened = if wants_reseal { self.reseal(held, &mut known, opened, now) } else { opened };
        let freshness = opened.schedule.freshness(now);
        drop(known);
        if wants_reseal {
            self.ledger.trim_results();
        }
        freshness.of(Held { opened, track: Arc::clone(&held.track) })
    }

    /// The same for a session in a store, by what this process knows of it since.
    fn consider_stored(&self, held: &Held, known: &mut Known, now: Timestamp) -> Considered {
        let opened = Self::newest(held, known);
        let is_spent = |spent| opened.session.pair.generation <= spent;
        if held.track.is_over(known, &opened.schedule, now) || known.spent.is_some_and(is_spent) {
            return Considered::Over { dead: true };
        }
        let freshness = opened.schedule.freshness(now);
        freshness.of(Held { opened, track: Arc::clone(&held.track) })
    }

    /// Makes the next sequence of a session: its activity is noted, under the key that seals today.
    fn reseal(
        &self,
        held: &Held,
        known: &mut Known,
        opened: Arc<Opened>,
        now: Timestamp,
    ) -> Arc<Opened> {
        let session = opened.session.used(now);
        match self.mint.set_cookie(&session, now) {
            Ok(set_cookie) => {
                let resealed = self.mint.opened(session);
                self.ledger.keep(&held.track, known, Arc::clone(&resealed), Some(set_cookie));
                resealed
            }
            Err(too_large) => {
                tracing::warn!(error = %too_large, "session cannot be re-sealed");
                opened
            }
        }
    }

    /// Verifies an id_token that has come from the token endpoint with this access token.
    ///
    /// # Errors
    ///
    /// [`IdTokenError`]; a Sentinel that is not known counts as keys that cannot be had.
    pub(crate) async fn verify(
        &self,
        account: &AccountId,
        id_token: &str,
        access: &AccessToken,
    ) -> Result<IdClaims, IdTokenError> {
        let host = self.sentinel.host(account).await;
        let host = host.map_err(|error| IdTokenError::KeysUnavailable(error.into()))?;
        let access = Some(access.expose_secret());
        self.verifier.verify(host.as_str(), id_token, access).await
    }

    /// A new session's times.
    pub(crate) fn times_at_login(&self, now: Timestamp, expires_in: Option<Duration>) -> Times {
        Times {
            authenticated_at: now,
            refreshed_at: now,
            access_expires_at: access_end(now, expires_in),
            last_seen: now,
            absolute_end: now.plus(self.lifetimes.absolute),
        }
    }

    /// Ends a session in this process, once.
    ///
    /// Returns what was newest of it, for a revocation; `None` if it had ended before.
    pub(crate) fn end(&self, held: &Held, reason: EndReason) -> Option<Arc<Opened>> {
        let newest = self.end_quietly(held)?;
        self.announce_end(&newest.session, reason);
        Some(newest)
    }

    pub(super) fn end_quietly(&self, held: &Held) -> Option<Arc<Opened>> {
        let mut held = held.clone();
        loop {
            match self.ledger.end(&held.track) {
                Ending::Now(result) => {
                    return Some(result.unwrap_or_else(|| Arc::clone(&held.opened)));
                }
                Ending::Before => return None,
                Ending::NotHere => held = self.take_up(Arc::clone(&held.opened), self.now()),
            }
        }
    }

    /// Tells log and metric that an attempt to refresh has failed.
    pub(super) fn refresh_failed(&self, unknown: bool, misconfigured: bool) {
        self.telemetry.refresh_failed(unknown, misconfigured);
        if misconfigured {
            tracing::error!(
                reason = "misconfigured",
                "sentinel refuses this application's credentials: check client_id and \
                 client_secret (LP_CLIENT_ID, LP_CLIENT_SECRET)"
            );
        }
    }

    /// Tells log, metric and hook that a session has ended.
    pub(super) fn announce_end(&self, session: &Session, reason: EndReason) {
        self.announce(&session.identity.subject, &session.account, reason);
    }

    pub(super) fn announce(&self, user: &str, account: &AccountId, reason: EndReason) {
        tracing::info!(reason = reason.as_str(), "session ended");
        self.telemetry.session_ended(reason);
        if let Some(hook) = &self.on_session_end {
            let end = SessionEnd { reason, user_id: user.into(), account: account.clone() };
            self.tasks.spawn(hook(end));
        }
    }
}

impl Freshness {
    /// What a session of this freshness needs.
    fn of(self, served: Held) -> Considered {
        match self {
            Self::Fresh => Considered::Serve { served, refresh: false },
            Self::Due => Considered::Serve { served, refresh: true },
            Self::Expired => Considered::Wait { served },
        }
    }
}

/// Whether a session is past its end, judged on the newest of it that is known.
fn is_over(held: &Held, now: Timestamp) -> bool {
    let known = held.track.lock();
    let newest = match &known.result {
        Some(result) if held.pair() < known.highest => &result.opened,
        _ => &held.opened,
    };
    newest.schedule.is_over(now.max(known.over_at))
}

/// The access token's life when Sentinel does not say: 8 hours, as it documents.
const ASSUMED_LIFE: Duration = Duration::from_secs(8 * 3600);

/// A token whose life is said to be zero, or longer than any cookie, gets the nearest of these.
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const LONGEST_LIFE: Duration = Duration::from_secs(400 * 24 * 3600);

/// When an access token ends that came at `now` with this `expires_in`.
pub(super) fn access_end(now: Timestamp, expires_in: Option<Duration>) -> Timestamp {
    now.plus(expires_in.unwrap_or(ASSUMED_LIFE).clamp(SHORTEST_LIFE, LONGEST_LIFE))
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
