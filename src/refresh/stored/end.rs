//! Ends stored sessions: here at once, in the store as soon as it can be asked.

use std::{mem, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

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

/// A session that has ended here, and has to end in the store.
struct Deletion {
    ticket: Ticket,
    /// A result that the store does not have.
    unwritten: Option<Arc<Opened>>,
    /// What is told of it; `None` for nobody to be told.
    reason: Option<EndReason>,
}

impl Keeper {
    /// Ends the session of a ticket: in this process at once, then in the store. Without a reason
    /// nobody is told.
    pub(crate) async fn end_stored(
        self: &Arc<Self>,
        ticket: &Ticket,
        reason: Option<EndReason>,
    ) -> EndedStored {
        let ticket = &self.current(ticket);
        let Some(first) = ticket.track.begin_end() else {
            return EndedStored::Everywhere { newest: None };
        };
        let unwritten = self.end_here(&ticket.track);
        // In a task of its own: a client that hangs up now has logged out all the same.
        let (report, reported) = oneshot::channel();
        let deletion = Deletion { ticket: ticket.clone(), unwritten, reason };
        self.tasks.spawn(Arc::clone(self).delete_until_done(deletion, report, first));
        match reported.await {
            Ok(newest) => EndedStored::Everywhere { newest },
            Err(_) => EndedStored::HereAlone,
        }
    }

    /// The same for a session that a request holds.
    pub(crate) async fn end_held(
        self: &Arc<Self>,
        held: &Held,
        reason: Option<EndReason>,
    ) -> EndedStored {
        let Some(Stored { voucher, .. }) = &held.opened.stored else {
            return EndedStored::Everywhere { newest: None };
        };
        let (voucher, track) = (Arc::clone(voucher), Arc::clone(&held.track));
        self.end_stored(&Ticket { voucher, track, current_key: true }, reason).await
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

    /// Deletes a record; with `again` until that is done, or nothing is left to delete. Reports the
    /// first try, if it succeeds.
    async fn delete_until_done(
        self: Arc<Self>,
        deletion: Deletion,
        report: oneshot::Sender<Option<Arc<Opened>>>,
        again: bool,
    ) {
        let Some(depot) = &self.depot else { return };
        match self.delete(depot, &deletion).await {
            Ok(newest) => {
                if let Err(Some(newest)) = report.send(newest) {
                    // Who asked has gone: they would have revoked it.
                    self.revoke_if_chosen(&newest.session);
                }
                return;
            }
            Err(_) => drop(report),
        }
        let Ticket { voucher, track, .. } = &deletion.ticket;
        while again && self.now() < voucher.absolute_end {
            sleep(RETRY_EVERY).await;
            if !track.lock().undeleted {
                return;
            }
            if let Ok(newest) = self.delete(depot, &deletion).await {
                if let Some(newest) = newest {
                    self.revoke_if_chosen(&newest.session);
                }
                return;
            }
        }
    }

    /// Deletes record and index entry; returns the newest of the session, if it was this call that
    /// deleted it.
    async fn delete(
        self: &Arc<Self>,
        depot: &Depot,
        deletion: &Deletion,
    ) -> Result<Option<Arc<Opened>>, StoreError> {
        let Deletion { ticket, unwritten, reason } = deletion;
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
        let newest = unwritten.clone().or(found);
        if let Some(newest) = &newest {
            if let Some(reason) = reason {
                self.announce_end(&newest.session, *reason);
            }
            self.unindex(depot, &newest.session, &ticket.voucher.key).await;
        }
        Ok(newest)
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
