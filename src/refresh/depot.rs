//! What the sessions of a layer need that has a store.

use std::{fmt, sync::Arc, time::Duration};

use super::latest::Recovery;
use crate::session::{Caches, Track, Vault, Voucher};

/// The records in the store, and what this process knows of them.
pub(crate) struct Depot {
    pub(crate) vault: Vault,
    /// Cookies and tokens opened before.
    pub(super) tickets: Caches<Ticket>,
    pub(super) recovery: Arc<Recovery>,
    /// How long a lease lasts that is not renewed.
    pub(super) lease: Duration,
}

/// The cookie or token of a stored session, opened.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) voucher: Arc<Voucher>,
    pub(crate) track: Arc<Track>,
    /// Whether the key that seals today sealed it.
    pub(crate) current_key: bool,
}

/// A holder that is killed is replaced after this long; it renews three times as often.
pub(crate) const LEASE: Duration = Duration::from_secs(12);

/// When a store that has failed may fare better, in seconds.
pub(crate) const STORE_RETRY_AFTER: u64 = 1;

impl Depot {
    pub(crate) fn new(vault: Vault, tickets: usize, lease: Duration) -> Self {
        let recovery = Arc::new(Recovery::new(vault.epoch()));
        Self { vault, tickets: Caches::new(tickets), recovery, lease }
    }
}

impl fmt::Debug for Depot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Depot").finish_non_exhaustive()
    }
}
