//! The session of most requests: known here, unchanged in a store that says so at once, and with
//! nothing to do about it.

use std::sync::Arc;

use super::recall::Tickets;
use crate::{
    clock::Timestamp,
    refresh::{
        depot::{Depot, Ticket},
        keeper::Keeper,
    },
    session::{Carrier, Held, Phase},
};

impl Keeper {
    /// The session of a request that can be served without waiting; `None` says only that
    /// [`Keeper::ready`] has to be asked, which comes to the same.
    pub(crate) fn at_hand(&self, tickets: &Tickets, now: Timestamp) -> Option<Held> {
        match tickets {
            // Of several sessions, each has to be looked at.
            Tickets::Some(tickets) if tickets.len() == 1 => self.ticket_at_hand(&tickets[0], now),
            _ => None,
        }
    }

    /// The same for the value of a cookie, if it was opened before.
    pub(crate) fn value_at_hand(
        &self,
        depot: &Depot,
        carrier: Carrier,
        value: &[u8],
        now: Timestamp,
    ) -> Option<Held> {
        // Of a store elsewhere nothing is known at once.
        if !depot.vault.stays_in_process() {
            return None;
        }
        self.ticket_at_hand(&depot.tickets.of(carrier).get(value)?, now)
    }

    fn ticket_at_hand(&self, ticket: &Ticket, now: Timestamp) -> Option<Held> {
        // One under a former key is sealed anew.
        let Ticket { voucher, track, current_key: true } = ticket else { return None };
        let opened = track.lock().settled()?;
        let schedule = &opened.schedule;
        let is_quiet = now < schedule.quiet_until && now < voucher.absolute_end;
        if !is_quiet || !opened.current_key || !track.is_highest(opened.session.pair) {
            return None;
        }
        if !self.is_unchanged(voucher, opened.version()?) {
            return None;
        }
        // Not before: what ends a session here marks the track first, and the record follows.
        if track.phase() != Phase::Live {
            return None;
        }
        Some(Held { opened, track: Arc::clone(track) })
    }
}
