//! Ends what a browser or another client brings, because its user says so.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    keeper::{EndReason, Keeper},
    stored::{EndedStored, Tickets},
};
use crate::session::{Candidates, Carrier};

/// What a logout comes to.
#[derive(Debug)]
pub(crate) enum LoggedOut {
    /// There was none.
    Nobody,
    /// All sessions of the caller have ended.
    Everywhere {
        /// A revocation that is under way, where that is chosen.
        revocation: Option<watch::Receiver<()>>,
    },
    /// They have ended in this process, and the store could not be asked yet.
    HereAlone,
    /// More cookies than are looked at.
    TooMany,
}

impl Keeper {
    /// Ends the sessions among a request's cookies, or that of its token, whatever their state.
    pub(crate) async fn log_out(
        self: &Arc<Self>,
        carrier: Carrier,
        candidates: Candidates<'_>,
    ) -> LoggedOut {
        match &self.depot {
            None => {
                let Candidates::Few(values) = candidates else { return LoggedOut::TooMany };
                let brought = self.find_all(carrier, &values, self.now());
                if brought.is_empty() {
                    return LoggedOut::Nobody;
                }
                let mut revocation = None;
                for held in &brought {
                    if let Some(newest) = self.end(held, EndReason::Logout) {
                        revocation = self.revoke_if_chosen(&newest.session).or(revocation);
                    }
                }
                LoggedOut::Everywhere { revocation }
            }
            Some(depot) => {
                let tickets = match self.tickets(depot, carrier, &candidates) {
                    // One that this instance cannot open may be another's: it cannot be ended here.
                    Tickets::Nobody { dead: false } if !candidates.is_empty() => {
                        return LoggedOut::HereAlone;
                    }
                    Tickets::Nobody { .. } => return LoggedOut::Nobody,
                    Tickets::TooMany => return LoggedOut::TooMany,
                    Tickets::Some(tickets) => tickets,
                };
                // All at once, so that a client that hangs up now has logged out of all.
                let end = |ticket| self.end_stored(ticket, Some(EndReason::Logout));
                let endings: Vec<_> = tickets.iter().map(end).collect();
                let (mut revocations, mut here_alone) = (None, false);
                for ending in endings {
                    match ending.await {
                        EndedStored::Everywhere { revocation } => {
                            revocations = revocation.or(revocations);
                        }
                        EndedStored::HereAlone => here_alone = true,
                    }
                }
                if here_alone {
                    return LoggedOut::HereAlone;
                }
                LoggedOut::Everywhere { revocation: revocations }
            }
        }
    }
}
