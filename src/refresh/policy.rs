//! When a session is refreshed, re-sealed and over: from its times alone.

use std::time::Duration;

use crate::{
    clock::{Timestamp, millis},
    session::{Session, SessionId, Times},
};

/// An access token this near its end is refreshed first: longer than most requests run.
const REFRESH_AHEAD: Duration = Duration::from_secs(60);

/// Activity is written into the seal at most this often, so idle ends are exact to it.
const RESEAL_AFTER: Duration = Duration::from_secs(5 * 60);

/// With a short idle lifetime activity is written ten times within it.
const RESEALS_PER_IDLE: u64 = 10;

/// The configured lifetimes that a session is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// Without a request for this long the session ends.
    pub(crate) idle: Duration,
    /// The session ends this long after the login.
    pub(crate) absolute: Duration,
    /// Tokens older than this are due for a refresh.
    pub(crate) refresh_after: Duration,
}

/// What a session's tokens need before or beside a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// Nothing.
    Fresh,
    /// A refresh beside the handler.
    Due,
    /// A refresh before the handler.
    Expired,
}

/// The times at which something about a session changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    /// Before this time there is nothing to decide.
    pub(crate) quiet_until: Timestamp,
    /// From here on a refresh is due; `None` without a refresh token.
    due_at: Option<Timestamp>,
    /// From here on a refresh comes first.
    ahead_at: Option<Timestamp>,
    /// When activity is to be re-sealed.
    reseal_at: Timestamp,
    /// The true end of the access token.
    pub(crate) access_expires_at: Timestamp,
    /// The earlier of idle and absolute end; without a refresh token the access token's end counts
    /// too.
    pub(crate) ends_at: Timestamp,
}

impl Schedule {
    #[inline]
    pub(crate) fn new(session: &Session, lifetimes: &Lifetimes) -> Self {
        let Times { refreshed_at, access_expires_at, last_seen, absolute_end, .. } = session.times;
        let refreshable = session.tokens.has_refresh();
        let (idle, refresh_after) = (millis(lifetimes.idle), millis(lifetimes.refresh_after));
        let delay = jitter(session.id, session.pair.generation, refresh_after);
        let due_at = refreshed_at.plus_millis(refresh_after).plus_millis(delay);
        let life = access_expires_at.as_millis().saturating_sub(refreshed_at.as_millis());
        let ahead_at =
            access_expires_at.minus(REFRESH_AHEAD).max(access_expires_at.minus_millis(life / 2));
        let reseal_at = last_seen.plus_millis(millis(RESEAL_AFTER).min(idle / RESEALS_PER_IDLE));
        let mut ends_at = absolute_end.min(last_seen.plus_millis(idle));
        if !refreshable {
            ends_at = ends_at.min(access_expires_at);
        }
        let mut quiet_until = ends_at.min(reseal_at);
        if refreshable {
            quiet_until = quiet_until.min(due_at).min(ahead_at);
        }
        Self {
            quiet_until,
            due_at: refreshable.then_some(due_at),
            ahead_at: refreshable.then_some(ahead_at),
            reseal_at,
            access_expires_at,
            ends_at,
        }
    }

    pub(crate) fn freshness(&self, now: Timestamp) -> Freshness {
        let reached = |time: Option<Timestamp>| time.is_some_and(|time| now >= time);
        if reached(self.ahead_at) {
            Freshness::Expired
        } else if reached(self.due_at) {
            Freshness::Due
        } else {
            Freshness::Fresh
        }
    }

    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }

    pub(crate) fn access_token_lives(&self, now: Timestamp) -> bool {
        now < self.access_expires_at
    }

    pub(crate) fn wants_reseal(&self, now: Timestamp) -> bool {
        now >= self.reseal_at
    }
}

/// A delay of up to a tenth of `after`, both in milliseconds: spread evenly over sessions and different for
/// each generation, so that sessions of one second do not refresh in one second.
fn jitter(id: SessionId, generation: u32, after: u64) -> u64 {
    let spread =
        id.spread().wrapping_add(u64::from(generation).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let delay = (u128::from(spread) * u128::from(after / 10)) >> 64;
    u64::try_from(delay).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{sample, tokens_with};

    const HOUR: Duration = Duration::from_secs(3600);
    const LIFETIMES: Lifetimes = Lifetimes {
        idle: Duration::from_secs(8 * 3600),
        absolute: Duration::from_secs(24 * 3600),
        refresh_after: Duration::from_secs(1800),
    };

    fn schedule(session: &Session) -> Schedule {
        Schedule::new(session, &LIFETIMES)
    }

    #[test]
    fn a_session_goes_from_fresh_over_due_to_expired() {
        let session = sample();
        let start = session.times.refreshed_at;
        let schedule = schedule(&session);
        for (after, expected) in [
            (0, Freshness::Fresh),
            (1799, Freshness::Fresh),
            (1981, Freshness::Due),
            (8 * 3600 - 61, Freshness::Due),
            (8 * 3600 - 60, Freshness::Expired),
            (9 * 3600, Freshness::Expired),
        ] {
            let now = start.plus(Duration::from_secs(after));
            assert_eq!(schedule.freshness(now), expected, "after {after} s");
        }
    }

    /// F20.
    #[test]
    fn refresh_ahead_is_at_most_half_of_the_tokens_life() {
        let mut session = sample();
        session.times.access_expires_at = session.times.refreshed_at.plus(Duration::from_secs(5));
        let schedule = schedule(&session);
        let at = |millis| session.times.refreshed_at.plus(Duration::from_millis(millis));
        assert_eq!(schedule.freshness(at(2400)), Freshness::Fresh);
        assert_eq!(schedule.freshness(at(2500)), Freshness::Expired);
    }

    /// F31.
    #[test]
    fn jitter_spreads_a_thousand_sessions_and_only_delays() {
        let after = 1_800_000;
        let mut seconds = std::collections::HashSet::new();
        for _ in 0..1000 {
            let delay = jitter(SessionId::random(), 0, after);
            assert!(delay < 180_000);
            seconds.insert(delay / 1000);
        }
        assert!(seconds.len() > 150, "only {} different seconds", seconds.len());
        let id = SessionId::random();
        assert_ne!(jitter(id, 0, after), jitter(id, 1, after));
    }

    /// F33.
    #[test]
    fn without_a_refresh_token_nothing_is_ever_due() {
        let mut session = sample();
        session.tokens = tokens_with(None);
        session.times.access_expires_at = session.times.refreshed_at.plus(2 * HOUR);
        let schedule = schedule(&session);
        let now = session.times.refreshed_at.plus(HOUR);
        assert_eq!(schedule.freshness(now), Freshness::Fresh);
        assert!(!schedule.is_over(now));
        assert!(schedule.is_over(now.plus(HOUR)));
    }

    /// C30.
    #[test]
    fn the_earlier_of_idle_and_absolute_end_counts() {
        let mut session = sample();
        let login = session.times.authenticated_at;
        assert_eq!(schedule(&session).ends_at, login.plus(8 * HOUR));
        session.times.last_seen = login.plus(20 * HOUR);
        assert_eq!(schedule(&session).ends_at, session.times.absolute_end);
    }

    #[test]
    fn activity_is_sealed_every_five_minutes_or_ten_times_an_idle_life() {
        let session = sample();
        let seen = session.times.last_seen;
        let seconds = Duration::from_secs;
        assert!(!schedule(&session).wants_reseal(seen.plus(seconds(299))));
        assert!(schedule(&session).wants_reseal(seen.plus(seconds(300))));
        let short = Schedule::new(&session, &Lifetimes { idle: seconds(60), ..LIFETIMES });
        assert!(!short.wants_reseal(seen.plus(seconds(5))));
        assert!(short.wants_reseal(seen.plus(seconds(6))));
    }
}
