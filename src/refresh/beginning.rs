//! A session begins: in a cookie, or in a record that a cookie finds.

use std::{future::Future, sync::Arc};

use http::{HeaderMap, HeaderValue};

use super::{
    keeper::{EndReason, Found, Keeper},
    stored::{EndedStored, Tickets},
};
use crate::{
    clock::Timestamp,
    session::{Carrier, Held, Session, StoreError, Stored, TooLarge, Version, Voucher},
};

/// A session that no browser has yet.
pub(crate) struct NewSession {
    pub(crate) held: Held,
    pub(crate) set_cookie: HeaderValue,
}

/// A browser has session cookies that no new one can replace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conflict;

impl Keeper {
    /// Takes up what a login has made; its id is chosen here. A store learns of it by
    /// [`Keeper::deposit`].
    ///
    /// # Errors
    ///
    /// [`TooLarge`] if there is no store and the session does not fit into a cookie.
    pub(crate) fn begin(
        &self,
        mut session: Session,
        user_agent: Option<Arc<str>>,
        now: Timestamp,
    ) -> Result<NewSession, TooLarge> {
        let Some(depot) = &self.depot else {
            let set_cookie = self.mint.set_cookie(&session, now)?;
            let held = self.take_up(self.mint.opened(session), now);
            return Ok(NewSession { held, set_cookie });
        };
        let voucher = Arc::new(Voucher::random(&depot.vault.names, session.times.absolute_end));
        session.id = voucher.id;
        let set_cookie = self.mint.voucher_cookie(&voucher, now);
        let track = self.track(&voucher);
        let stored = Stored { voucher, version: Version::random(), presented: 0, user_agent };
        let opened = Arc::new(depot.vault.opened(session, stored, true));
        Ok(NewSession { held: Held { opened, track }, set_cookie })
    }

    /// Stores a session that has begun: the record first, then its entry in the user's index. Only
    /// after both may a browser get the cookie; else a sign-out of all sessions could miss it.
    pub(crate) async fn deposit(self: &Arc<Self>, held: &Held) -> Result<(), StoreError> {
        let Some(depot) = &self.depot else { return Ok(()) };
        depot.vault.create(&held.opened, self.now()).await?;
        depot.vault.index(&held.opened, self.now()).await
    }

    /// Ends the sessions that the browser has brought, now that it gets `new`.
    ///
    /// # Errors
    ///
    /// [`Conflict`] if the browser has cookies which the new one does not replace.
    pub(crate) fn replace(
        self: &Arc<Self>,
        headers: &HeaderMap,
        new: &Held,
    ) -> Result<(), Conflict> {
        let candidates = self.mint.names().session_candidates(headers);
        let Some(depot) = &self.depot else {
            match self.find(Carrier::Cookie, &candidates, self.now()) {
                Found::Session(old) if old.track.id != new.track.id => {
                    self.end(&old, EndReason::Replaced);
                }
                Found::Ambiguous => return Err(Conflict),
                _ => {}
            }
            return Ok(());
        };
        let tickets = match self.tickets(depot, Carrier::Cookie, &candidates) {
            Tickets::Nobody { .. } => return Ok(()),
            Tickets::TooMany => return Err(Conflict),
            Tickets::Some(tickets) => tickets,
        };
        for old in tickets.iter().filter(|old| old.voucher.id != new.track.id) {
            // Over here at once, and in the store as soon as it can be: the new login does not wait.
            drop(self.end_stored(old, Some(EndReason::Replaced)));
        }
        Ok(())
    }

    /// Ends a session that no browser has got: nobody needs to be told. All is begun by the call;
    /// the future says when the store has been asked.
    pub(crate) fn discard(
        self: &Arc<Self>,
        held: &Held,
    ) -> impl Future<Output = ()> + Send + use<> {
        let ending = match &self.depot {
            None => {
                self.end_quietly(held);
                None
            }
            Some(_) => Some(self.end_held(held, None)),
        };
        async move {
            if let Some(ending) = ending {
                // What cannot be deleted now is deleted later.
                let _: EndedStored = ending.await;
            }
        }
    }
}
