//! Ends what a browser brings, because its user says so.

use std::sync::Arc;

use http::HeaderMap;

use super::{
    keeper::{EndReason, Keeper},
    stored::{EndedStored, Tickets},
};
use crate::session::{Candidates, Opened};

/// What a logout comes to.
#[derive(Debug)]
pub(crate) enum LoggedOut {
    /// All sessions of the browser have ended; these by this call.
    Everywhere(Vec<Arc<Opened>>),
    /// They have ended in this process, and the store could not be asked yet.
    HereAlone,
    /// More cookies than are looked at.
    TooMany,
}

impl Keeper {
    /// Ends the sessions among a request's cookies, whatever their state.
    pub(crate) async fn log_out(self: &Arc<Self>, headers: &HeaderMap) -> LoggedOut {
        let candidates = self.mint.names().session_candidates(headers);
        match &self.depot {
            None => {
                let Candidates::Few(values) = candidates else { return LoggedOut::TooMany };
                let brought = self.find_all(&values, self.now());
                let end = |held| self.end(held, EndReason::Logout);
                LoggedOut::Everywhere(brought.iter().filter_map(end).collect())
            }
            Some(depot) => {
                let tickets = match self.tickets(depot, &candidates) {
                    Tickets::Nobody { .. } => Vec::new(),
                    Tickets::TooMany => return LoggedOut::TooMany,
                    Tickets::Some(tickets) => tickets,
                };
                let (mut ended, mut here_alone) = (Vec::new(), false);
                // All at once, so that a client that hangs up now has logged out of all.
                let end = |ticket| self.end_stored(ticket, Some(EndReason::Logout));
                let endings: Vec<_> = tickets.iter().map(end).collect();
                for ending in endings {
                    match ending.await {
                        EndedStored::Everywhere { newest } => ended.extend(newest),
                        EndedStored::HereAlone => here_alone = true,
                    }
                }
                if here_alone {
                    // What has ended everywhere is revoked all the same.
                    for session in ended {
                        self.revoke_if_chosen(&session.session);
                    }
                    return LoggedOut::HereAlone;
                }
                LoggedOut::Everywhere(ended)
            }
        }
    }
}
