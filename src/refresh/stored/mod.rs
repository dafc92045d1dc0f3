//! Sessions whose records are in a store: found, refreshed once in the whole cluster, and ended.
//!
//! [`recall`] finds the session of a request and [`ready`] makes it fit to serve; [`plan`] decides what
//! a refresh does next and [`flight`] does it; [`activity`] writes down that a session is used;
//! [`end`] ends sessions, [`listing`] knows all of a user, and [`recovery`] writes again what a
//! fail-over may have lost of the [`latest`] writes.

mod activity;
mod end;
mod flight;
mod latest;
mod listing;
pub(crate) mod plan;
mod ready;
mod recall;
mod recovery;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::{
    end::EndedStored,
    flight::StoredFlight,
    ready::Ready,
    recall::{Recalled, Tickets},
};

use self::recovery::Recovery;
use crate::session::{Cache, Track, Vault, Voucher};

/// What the sessions of a layer need that has a store.
pub(crate) struct Depot {
    pub(crate) vault: Vault,
    /// Cookies opened before.
    pub(super) tickets: Cache<Ticket>,
    recovery: Arc<Recovery>,
    /// How long a lease lasts that is not renewed.
    lease: Duration,
}

/// The cookie of a stored session, opened.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) voucher: Arc<Voucher>,
    pub(crate) track: Arc<Track>,
    /// Whether the key that seals today sealed the cookie.
    pub(crate) current_key: bool,
}

/// A holder that is killed is replaced after this long; it renews three times as often.
pub(crate) const LEASE: Duration = Duration::from_secs(12);

impl Depot {
    pub(crate) fn new(vault: Vault, tickets: usize, lease: Duration) -> Self {
        let recovery = Arc::new(Recovery::new(vault.epoch()));
        Self { vault, tickets: Cache::new(tickets), recovery, lease }
    }
}

impl fmt::Debug for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").finish_non_exhaustive()
    }
}
