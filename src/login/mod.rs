//! Nobody yet: from the first redirect to a session, and back out again.
//!
//! [`start`] sends a browser to Sentinel and remembers the login in a sealed cookie ([`pending`],
//! [`pkce`], [`return_path`]); [`callback`] takes it back, [`exchange`] sees to it that its code is
//! presented once ([`claim`] in the whole cluster), [`arrival`] makes a session of it, asking the
//! application's [`hook`]; [`logout`] ends it.

mod arrival;
mod callback;
mod claim;
mod exchange;
mod hook;
mod logout;
mod pending;
mod pkce;
mod return_path;
mod start;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

#[cfg(test)]
pub(crate) use self::exchange::gets_outcome;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response};
use tokio::sync::Semaphore;

pub use self::hook::{LoginDecision, LoginHookError};
pub(crate) use self::{
    arrival::Arrival, claim::MAX_UNCLAIMING, exchange::Exchanges, hook::OnLogin,
    return_path::ReturnGuard,
};
use crate::{
    account::AccountId, caller::CsrfPolicy, refresh::Keeper, respond::RejectionReason,
    seal::Sealer, session::Version, site::Site,
};

use self::pending::StateHash;

/// Claims whose answers were lost, by the login that they are on.
pub(crate) type DoubtfulClaims = Mutex<HashMap<StateHash, Version>>;

/// When a failed login may fare better, in seconds.
const RETRY_AFTER: u64 = 5;

/// Everything that logging in and out needs, of one layer.
pub(crate) struct LoginDesk {
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) site: Site,
    pub(crate) guard: ReturnGuard,
    pub(crate) sealer: Sealer,
    pub(crate) account: AccountId,
    pub(crate) csrf: CsrfPolicy,
    pub(crate) pkce: bool,
    /// How long a login may take.
    pub(crate) patience: Duration,
    pub(crate) exchanges: Exchanges<Arrival>,
    /// Permits of claims that wait to be given back.
    pub(crate) unclaiming: Arc<Semaphore>,
    /// Those claims.
    pub(crate) doubtful_claims: DoubtfulClaims,
    pub(crate) on_login: Option<OnLogin>,
    /// Whether the store's index of a user says with which browser each session began.
    pub(crate) record_user_agent: bool,
}

/// What one of our own paths answers.
pub(crate) enum Reply {
    /// 303 (RFC 9110 §15.4.4), with what it sets and deletes.
    Redirect { location: String, set_cookies: Vec<HeaderValue> },
    /// 204: all is said and done.
    Done,
    /// A page that is no refusal of ours.
    Page { response: Response<Bytes>, set_cookies: Vec<HeaderValue> },
    /// A refusal.
    Reject(Refusal),
}

/// A refusal by one of our own paths.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: RejectionReason,
    pub(crate) set_cookies: Vec<HeaderValue>,
    /// External path and query that a new login comes back to.
    pub(crate) return_to: Option<String>,
    /// Seconds until another try may fare better.
    pub(crate) retry_after: Option<u64>,
    /// The same request may fare better: the way forward is to reload.
    pub(crate) again: bool,
    /// The methods that a 405 allows.
    pub(crate) allow: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(reason: RejectionReason) -> Self {
        Self {
            reason,
            set_cookies: Vec::new(),
            return_to: None,
            retry_after: None,
            again: false,
            allow: None,
        }
    }

    pub(crate) fn method(allow: &'static str) -> Self {
        Self { allow: Some(allow), ..Self::new(RejectionReason::MethodNotAllowed) }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Reject(refusal)
    }
}

impl fmt::Debug for LoginDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginDesk").finish_non_exhaustive()
    }
}
