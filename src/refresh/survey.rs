//! What a browser brings to one of our own paths, where no request is let through by it.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    keeper::{Found, Keeper},
    stored::Recalled,
};
use crate::session::{Carrier, Held, StoreError};

/// The session of a browser, never refreshed for this.
#[derive(Debug)]
pub(crate) enum Brings {
    /// None.
    Nobody {
        /// There was a cookie, and it is worthless for good.
        dead: bool,
    },
    /// More than one.
    Ambiguous,
    /// One that is not over for good.
    Session(Held),
}

impl Keeper {
    /// Looks for the session among a request's cookies.
    ///
    /// # Errors
    ///
    /// A store that cannot say.
    pub(crate) async fn survey(
        self: &Arc<Self>,
        headers: &HeaderMap,
    ) -> Result<Brings, StoreError> {
        let now = self.now();
        let candidates = self.mint.names().session_candidates(headers);
        let Some(depot) = &self.depot else {
            return Ok(match self.find(Carrier::Cookie, &candidates, now) {
                Found::Nobody { dead } => Brings::Nobody { dead },
                Found::Ambiguous => Brings::Ambiguous,
                Found::Session(held) if self.is_dead(&held, now) => Brings::Nobody { dead: true },
                Found::Session(held) => Brings::Session(held),
            });
        };
        let tickets = self.tickets(depot, Carrier::Cookie, &candidates);
        Ok(match self.recall(depot, &tickets, now, false).await? {
            Recalled::Nobody { dead } => Brings::Nobody { dead },
            Recalled::Ambiguous => Brings::Ambiguous,
            Recalled::Session { held, .. } => Brings::Session(held),
        })
    }
}
