//! Ends stored sessions: here at once, in the store as soon as it can be asked.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    time::sleep,
};

use crate::{
    refresh::depot::{Depot, Ticket},
    refresh::keeper::{EndReason, Keeper},
    session::{
        Ending as EndedHere, Held, Lookup, Opened, Phase, Session, StoreError, Stored, Swap, Track,
    },
};

/// A deletion that the store did not take is repeated this often.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// A record that keeps changing is read so often before it is deleted as it is.
const MOST_ROUNDS: usize = 3;

/// What ending a stored session comes to.
#[derive(Debug)]
pub(crate) enum EndedStored {
    /// It is over everywhere.
    Everywhere {
        /// The revocation of its tokens, if that is chosen and this call ended it.
        revocation: Option<watch::Receiver<()>>,
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
        let begun = self.begin_end(ticket.clone()).map(|(ticket, unwritten, first)| {
            let ending = Ending { keeper: Arc::clone(self), ticket, unwritten, reason };
            let (sender, outcome) = oneshot::channel();
            self.tasks.spawn(ending.run(first, sender));
            outcome
        });
        async move {
            match begun {
                // A task that is lost has not ended anything for certain.
                Some(outcome) => outcome.await.unwrap_or(EndedStored::HereAlone),
                None => EndedStored::Everywhere { revocation: None },
            }
        }
    }

    /// The same for a session that a request holds.
    pub(crate) fn end_held(
        self: &Arc<Self>,
        held: &Held,
        reason: Option<EndReason>,
    ) -> impl Future<Output = EndedStored> + Send + use<> {
        let stored = held.opened.stored.as_ref();
        let ending = stored.map(|Stored { voucher, .. }| {
            let (voucher, track) = (Arc::clone(voucher), Arc::clone(&held.track));
            self.end_stored(&Ticket { voucher, track, current_key: true }, reason)
        });
        async move {
            match ending {
                Some(ending) => ending.await,
                None => EndedStored::Everywhere { revocation: None },
            }
        }
    }

    /// Ends a session in this process, with a result that the store does not have yet, and says
    /// whether this is the first call to; `None` if it is known to be deleted.
    fn begin_end(&self, mut ticket: Ticket) -> Option<(Ticket, Option<Arc<Opened>>, bool)> {
        loop {
            if ticket.track.phase() == Phase::Dropped {
                ticket.track = self.track(&ticket.voucher);
            }
            let first = ticket.track.begin_end()?;
            match self.ledger.end(&ticket.track) {
                EndedHere::Now(unwritten) => return Some((ticket, unwritten, first)),
                EndedHere::Before => return Some((ticket, None, first)),
                // The ledger has dropped it meanwhile.
                EndedHere::NotHere => {}
            }
        }
    }

    /// Ends a session in this process; returns a result that the store does not have yet.
    pub(super) fn end_here(&self, track: &Track) -> Option<Arc<Opened>> {
        match self.ledger.end(track) {
            EndedHere::Now(unwritten) => unwritten,
            EndedHere::Before | EndedHere::NotHere => None,
        }
    }

    /// Notes a session in the index of its user.
    pub(crate) async fn index(&self, depot: &Depot, opened: &Opened) -> Result<(), StoreError> {
        depot.vault.index(opened, self.now()).await
    }

    /// Takes a session out of the index of its user. What stays there names a record that is gone,
    /// and is not listed.
    pub(super) async fn unindex(&self, depot: &Depot, session: &Session, key: &str) {
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
                let revocation = self.revoke(newest);
                // Whoever asked for it may have gone.
                let _ = outcome.send(EndedStored::Everywhere { revocation });
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

    /// Gives the tokens of a session back that its user has logged out of, if that is chosen.
    fn revoke(&self, newest: Option<Arc<Opened>>) -> Option<watch::Receiver<()>> {
        let newest = newest.filter(|_| self.reason == Some(EndReason::Logout))?;
        self.keeper.revoke_if_chosen(&newest.session)
    }

    /// Deletes record and index entry; returns the newest of the session, if this call deleted it.
    async fn delete(&self, depot: &Depot) -> Result<Option<Arc<Opened>>, StoreError> {
        let Ticket { voucher, track, .. } = &self.ticket;
        // Noted first: a deletion whose answer is lost may be lost itself.
        self.keeper.note_deleted(depot, &voucher.key);
        let found = self.delete_newest(depot).await?;
        if !track.deleted() {
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

    /// Deletes the record as it was just read, so that it is the newest tokens that are known; after
    /// some rounds whatever is there.
    async fn delete_newest(&self, depot: &Depot) -> Result<Option<Arc<Opened>>, StoreError> {
        let voucher = &self.ticket.voucher;
        let mut last = None;
        for _ in 0..MOST_ROUNDS {
            let found = match depot.vault.load(voucher, None).await? {
                Lookup::Found(opened) => opened,
                Lookup::Absent => return Ok(last),
                Lookup::Foreign | Lookup::Same => break,
            };
            let Some(version) = found.version() else { break };
            last = Some(found);
            match depot.vault.delete_if(voucher, version).await? {
                Swap::Changed => {}
                Swap::Done | Swap::Absent => return Ok(last),
            }
        }
        depot.vault.delete(voucher).await?;
        Ok(last)
    }

    /// Repeats a deletion until it is done, or nothing is left to delete.
    async fn delete_later(&self, depot: &Depot) {
        while self.keeper.now() < self.ticket.voucher.absolute_end {
            sleep(RETRY_EVERY).await;
            if !self.ticket.track.lock().undeleted {
                return;
            }
            if let Ok(newest) = self.delete(depot).await {
                self.revoke(newest);
                return;
            }
        }
    }
}
