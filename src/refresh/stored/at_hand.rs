//! The session of most requests: known here, unchanged in a store that says so at once, and with
//! nothing to do about it.

use std::sync::Arc;

use super::recall::Tickets;
use crate::{
    clock::Timestamp,
    refresh::{depot::Ticket, keeper::Keeper},
    session::{Held, Phase},
};

impl Keeper {
    /// The session of a request that can be served without waiting; `None` says only that
    /// [`Keeper::ready`] has to be asked, which comes to the same.
    pub(crate) fn at_hand(&self, tickets: &Tickets, now: Timestamp) -> Option<Held> {
        let Tickets::Some(tickets) = tickets else { return None };
        // Of several sessions, each has to be looked at; one under a former key is sealed anew.
        let [Ticket { voucher, track, current_key: true }] = &tickets[..] else { return None };
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
