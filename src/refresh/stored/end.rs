//! Ends stored sessions: here at once, in the store as soon as it can be asked.

use std::{mem, sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{Depot, Ticket};
use crate::{
    refresh::keeper::{EndReason, Keeper},
    session::{Ending, Held, Lookup, Opened, Phase, Session, StoreError, Stored, Track},
};

/// A deletion that the store did not take is repeated this often.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// What ending a stored session comes to.
#[derive(Debug)]
pub(crate) enum EndedStored {
    /// It is over everywhere.
    Everywhere {
        /// The newest of it, if this call was the one that ended it: for a revocation.
        newest: Option<Arc<Opened>>,
    },
    /// It is over in this process. The store could not be asked; it is asked again until it can.
    HereAlone,
}

impl Keeper {
    /// Ends the session of a ticket: in this process at once, then in the store. Without a reason
    /// nobody is told.
    pub(crate) async fn end_stored(
        self: &Arc<Self>,
        depot: &Depot,
        ticket: &Ticket,
        reason: Option<EndReason>,
    ) -> EndedStored {
        let ticket = &self.current(ticket);
        let Some(first) = ticket.track.begin_end() else {
            return EndedStored::Everywhere { newest: None };
        };
        let unwritten = self.end_here(&ticket.track);
        match self.delete(depot, ticket, unwritten.clone(), reason).await {
            Ok(newest) => EndedStored::Everywhere { newest },
            Err(_) => {
                if first {
                    let later = Arc::clone(self).delete_later(ticket.clone(), unwritten, reason);
                    self.tasks.spawn(later);
                }
                EndedStored::HereAlone
            }
        }
    }

    /// The same for a session that a request holds.
    pub(crate) async fn end_held(
        self: &Arc<Self>,
        depot: &Depot,
        held: &Held,
        reason: Option<EndReason>,
    ) -> EndedStored {
        let Some(Stored { voucher, .. }) = &held.opened.stored else {
            return EndedStored::Everywhere { newest: None };
        };
        let (voucher, track) = (Arc::clone(voucher), Arc::clone(&held.track));
        self.end_stored(depot, &Ticket { voucher, track, current_key: true }, reason).await
    }

    /// Ends a session in this process; returns a result that the store does not have yet.
    pub(super) fn end_here(&self, track: &Track) -> Option<Arc<Opened>> {
        match self.ledger.end(track) {
            Ending::Now(unwritten) => unwritten,
            Ending::Before | Ending::NotHere => None,
        }
    }

    /// A ticket whose track the ledger still knows.
    fn current(&self, ticket: &Ticket) -> Ticket {
        if ticket.track.phase() != Phase::Dropped {
            return ticket.clone();
        }
        Ticket { track: self.track(&ticket.voucher), ..ticket.clone() }
    }

    /// Deletes record and index entry.
    async fn delete(
        self: &Arc<Self>,
        depot: &Depot,
        ticket: &Ticket,
        unwritten: Option<Arc<Opened>>,
        reason: Option<EndReason>,
    ) -> Result<Option<Arc<Opened>>, StoreError> {
        let found = match depot.vault.load(&ticket.voucher, None).await? {
            Lookup::Found(opened) => Some(opened),
            Lookup::Absent | Lookup::Foreign | Lookup::Same => None,
        };
        depot.vault.delete(&ticket.voucher).await?;
        self.note_deleted(depot, &ticket.voucher.key);
        if !mem::take(&mut ticket.track.lock().undeleted) {
            // Another call was faster.
            return Ok(None);
        }
        let newest = unwritten.or(found);
        if let Some(newest) = &newest {
            self.unindex(depot, &newest.session, &ticket.voucher.key).await;
            if let Some(reason) = reason {
                self.announce_end(&newest.session, reason);
            }
        }
        Ok(newest)
    }

    /// Repeats a deletion until it is done, or nothing is left to delete.
    async fn delete_later(
        self: Arc<Self>,
        ticket: Ticket,
        unwritten: Option<Arc<Opened>>,
        reason: Option<EndReason>,
    ) {
        let Some(depot) = &self.depot else { return };
        while self.now() < ticket.voucher.absolute_end {
            sleep(RETRY_EVERY).await;
            if !ticket.track.lock().undeleted {
                return;
            }
            if let Ok(newest) = self.delete(depot, &ticket, unwritten.clone(), reason).await {
                if let Some(newest) = newest {
                    self.revoke_if_chosen(&newest.session);
                }
                return;
            }
        }
    }

    /// Notes a session in the index of its user.
    pub(crate) async fn index(&self, depot: &Depot, opened: &Opened) -> Result<(), StoreError> {
        depot.vault.index(opened, self.now()).await
    }

    /// Takes a session out of the index of its user. What stays there names a record that is gone,
    /// and is not listed.
    async fn unindex(&self, depot: &Depot, session: &Session, key: &str) {
        let (account, subject) = (session.account.as_str(), &session.identity.subject);
        let _ = depot.vault.unindex(account, subject, key).await;
    }
}
