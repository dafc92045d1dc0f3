//! Ends stored sessions: here at once, in the store as soon as it can be asked.

use std::{future::Future, mem, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::sleep};

use super::{Depot, Ticket};
use crate::{
    refresh::keeper::{EndReason, Keeper},
    session::{
        Ending as EndedHere, Held, Lookup, Opened, Phase, Session, StoreError, Stored, Track,
    },
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
    ///
    /// # Cancel safety
    ///
    /// All is begun by the call, and goes on in a task of its own.
    pub(crate) fn end_stored(
        self: &Arc<Self>,
        ticket: &Ticket,
        reason: Option<EndReason>,
    ) -> impl Future<Output = EndedStored> + Send + use<> {
        let ticket = self.current(ticket);
        let begun = ticket.track.begin_end().map(|first| {
            let unwritten = self.end_here(&ticket.track);
            let ending = Ending { keeper: Arc::clone(self), ticket, unwritten, reason };
            let (sender, outcome) = oneshot::channel();
            self.tasks.spawn(ending.run(first, sender));
            outcome
        });
        async move {
            match begun {
                // A task that is lost has not ended anything for certain.
                Some(outcome) => outcome.await.unwrap_or(EndedStored::HereAlone),
                None => EndedStored::Everywhere { newest: None },
            }
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
            EndedHere::Now(unwritten) => unwritten,
            EndedHere::Before | EndedHere::NotHere => None,
        }
    }

    /// A ticket whose track the ledger still knows.
    fn current(&self, ticket: &Ticket) -> Ticket {
        if ticket.track.phase() != Phase::Dropped {
            return ticket.clone();
        }
        Ticket { track: self.track(&ticket.voucher), ..ticket.clone() }
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

/// The end of one session in the store.
struct Ending {
    keeper: Arc<Keeper>,
    ticket: Ticket,
    /// A result that the store never had.
    unwritten: Option<Arc<Opened>>,
    reason: Option<EndReason>,
}

impl Ending {
    /// Deletes once, and tells what came of it; the first to end a session goes on until it is done.
    async fn run(self, first: bool, outcome: oneshot::Sender<EndedStored>) {
        let Some(depot) = &self.keeper.depot else { return };
        match self.delete(depot).await {
            Ok(newest) => {
                let told = outcome.send(EndedStored::Everywhere { newest });
                if let Err(EndedStored::Everywhere { newest: Some(newest) }) = told {
                    // Whoever asked for it has gone.
                    self.keeper.revoke_if_chosen(&newest.session);
                }
            }
            Err(_) => {
                // Gone or not: there is nothing that they had to do.
                let _ = outcome.send(EndedStored::HereAlone);
                if first {
                    self.delete_later(depot).await;
                }
            }
        }
    }

    /// Deletes record and index entry.
    async fn delete(&self, depot: &Depot) -> Result<Option<Arc<Opened>>, StoreError> {
        let Ticket { voucher, track, .. } = &self.ticket;
        let found = match depot.vault.load(voucher, None).await? {
            Lookup::Found(opened) => Some(opened),
            Lookup::Absent | Lookup::Foreign | Lookup::Same => None,
        };
        depot.vault.delete(voucher).await?;
        self.keeper.note_deleted(depot, &voucher.key);
        if !mem::take(&mut track.lock().undeleted) {
            // Another call was faster.
            return Ok(None);
        }
        let newest = self.unwritten.clone().or(found);
        if let Some(newest) = &newest {
            self.keeper.unindex(depot, &newest.session, &voucher.key).await;
            if let Some(reason) = self.reason {
                self.keeper.announce_end(&newest.session, reason);
            }
        }
        Ok(newest)
    }

    /// Repeats a deletion until it is done, or nothing is left to delete.
    async fn delete_later(&self, depot: &Depot) {
        while self.keeper.now() < self.ticket.voucher.absolute_end {
            sleep(RETRY_EVERY).await;
            if !self.ticket.track.lock().undeleted {
                return;
            }
            if let Ok(newest) = self.delete(depot).await {
                if let Some(newest) = newest {
                    self.keeper.revoke_if_chosen(&newest.session);
                }
                return;
            }
        }
    }
}
