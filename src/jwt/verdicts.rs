//! Bearer tokens believed before: spares the signature for the requests that follow.
//!
//! Only believed tokens enter, so strangers fill nothing. The whole token is the key; all else that
//! a verdict rests on (audience, issuer, accepted clients) never changes for one verifier, and the
//! host's keys are asked again when they may have changed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::bearer_claims::BearerClaims;
use crate::{cache::Cache, clock::Timestamp};

/// More callers than one instance serves in the hour that a token lives.
const CAPACITY: usize = 10_000;

/// Sentinel's tokens have under 1 KiB. Longer ones are verified each time, so that no more than some
/// 40 MiB of tokens are ever kept.
const MAX_KEPT_LEN: usize = 4 * 1024;

/// The verdicts of one verifier.
pub(super) struct Verdicts {
    entries: Cache<Arc<Verdict>>,
}

/// What is known of a token before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or nothing that still counts: it is to be verified.
    Nothing,
    /// It was believed, and still is.
    Good(Arc<BearerClaims>),
    /// It was believed, and has been seen past its end since.
    Over,
}

/// That one token was believed.
#[derive(Debug)]
struct Verdict {
    claims: Arc<BearerClaims>,
    /// When the signature is to be checked again: a monotonic reading in milliseconds.
    good_until: AtomicU64,
    /// Somebody has looked after the token's end: a clock that is set back does not revive it.
    is_over: AtomicBool,
}

impl Verdicts {
    pub(super) fn new() -> Self {
        Self { entries: Cache::new(CAPACITY) }
    }

    /// Looks a token up. `monotonic` is the reading that belongs to `now`.
    pub(super) fn look_up(&self, token: &str, now: Timestamp, monotonic: Duration) -> Known {
        let verdict = self.entries.get(token.as_bytes());
        verdict.map_or(Known::Nothing, |verdict| verdict.look(now, monotonic))
    }

    /// Notes that a token was believed, by keys that are good until then (a monotonic reading).
    pub(super) fn keep(&self, token: &str, claims: &Arc<BearerClaims>, good_until: Duration) {
        if token.len() > MAX_KEPT_LEN {
            return;
        }
        match self.entries.get(token.as_bytes()) {
            // The entry stays, for it may know that the token is over.
            Some(verdict) => verdict.good_until.store(millis(good_until), Ordering::Relaxed),
            None => {
                let verdict = Arc::new(Verdict::new(claims.clone(), good_until));
                self.entries.insert(token.as_bytes(), verdict);
            }
        }
    }
}

impl Verdict {
    fn new(claims: Arc<BearerClaims>, good_until: Duration) -> Self {
        Self {
            claims,
            good_until: AtomicU64::new(millis(good_until)),
            is_over: AtomicBool::new(false),
        }
    }

    fn look(&self, now: Timestamp, monotonic: Duration) -> Known {
        if self.is_over.load(Ordering::Relaxed) {
            Known::Over
        } else if self.claims.valid_until() <= now {
            self.is_over.store(true, Ordering::Relaxed);
            Known::Over
        } else if self.good_until.load(Ordering::Relaxed) <= millis(monotonic) {
            Known::Nothing
        } else {
            Known::Good(self.claims.clone())
        }
    }
}

fn millis(reading: Duration) -> u64 {
    u64::try_from(reading.as_millis()).unwrap_or(u64::MAX)
}
