//! Finds the session of a request: opens its cookie, asks the store, weighs what is there.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    clock::Timestamp,
    refresh::depot::{Depot, Ticket},
    refresh::keeper::{Considered, Keeper},
    seal::Unopenable,
    session::{
        Candidates, Carrier, Held, Known, Lookup, Opened, Pair, Phase, Sighting, StoreError, Track,
        Voucher,
    },
};

/// What a request's cookies come to in the store.
#[derive(Debug)]
pub(crate) enum Recalled {
    /// No session.
    Nobody {
        /// There was a cookie, and it is worthless for good.
        dead: bool,
    },
    /// Live sessions that are not one: never "the first wins".
    Ambiguous,
    Session {
        held: Held,
        considered: Considered,
        /// The cookie was sealed by a former key: it is to be set anew.
        renew: Option<Ticket>,
    },
}

/// The cookies of a request, opened without asking the store.
#[derive(Debug)]
pub(crate) enum Tickets {
    Nobody {
        dead: bool,
    },
    TooMany,
    /// Nearly always it is one.
    Some(SmallVec<[Ticket; 1]>),
}

/// One session in the store.
enum Found {
    Gone { dead: bool },
    Here(Held),
}

impl Keeper {
    /// Opens the session cookies of a request, each session once, or its token.
    pub(crate) fn tickets(
        &self,
        depot: &Depot,
        carrier: Carrier,
        candidates: &Candidates<'_>,
    ) -> Tickets {
        let values = match candidates {
            Candidates::Few(values) => &**values,
            Candidates::TooMany => return Tickets::TooMany,
        };
        let mut tickets = SmallVec::<[Ticket; 1]>::new();
        let mut dead = !values.is_empty();
        for value in values {
            match self.ticket(depot, carrier, value) {
                Ok(ticket) => {
                    if !tickets.iter().any(|known| known.voucher.id == ticket.voucher.id) {
                        tickets.push(ticket);
                    }
                }
                Err(unopenable) => dead &= unopenable.is_final(),
            }
        }
        if tickets.is_empty() { Tickets::Nobody { dead } } else { Tickets::Some(tickets) }
    }

    fn ticket(&self, depot: &Depot, carrier: Carrier, value: &[u8]) -> Result<Ticket, Unopenable> {
        let opened = depot.tickets.of(carrier);
        if let Some(ticket) = opened.get(value) {
            if ticket.track.phase() != Phase::Dropped {
                return Ok(ticket);
            }
            opened.remove(value);
        }
        let (voucher, current_key) = self
            .mint
            .open_voucher(carrier, value, &depot.vault.names)
            .inspect_err(|unopenable| self.count_unopenable(carrier, *unopenable))?;
        let track = self.track(&voucher);
        let ticket = Ticket { voucher: Arc::new(voucher), track, current_key };
        opened.insert(value, ticket.clone());
        Ok(ticket)
    }

    /// What this process knows of a stored session.
    pub(in crate::refresh) fn track(&self, voucher: &Voucher) -> Arc<Track> {
        let (now, monotonic) = (self.now(), self.clock.monotonic());
        let Voucher { id, absolute_end, .. } = *voucher;
        let sighting = Sighting { id, pair: Pair::default(), absolute_end, ends_at: absolute_end };
        self.ledger.track(sighting, now, monotonic)
    }

    /// Asks the store for the sessions of a request; with `used` that counts as activity.
    ///
    /// # Errors
    ///
    /// A store that cannot say: nobody knows who calls.
    pub(crate) async fn recall(
        self: &Arc<Self>,
        depot: &Depot,
        tickets: &Tickets,
        now: Timestamp,
        used: bool,
    ) -> Result<Recalled, StoreError> {
        let tickets = match tickets {
            Tickets::Some(tickets) => tickets,
            Tickets::Nobody { dead } => return Ok(Recalled::Nobody { dead: *dead }),
            Tickets::TooMany => return Ok(Recalled::Ambiguous),
        };
        let mut all_dead = true;
        let mut found = None;
        for ticket in tickets {
            match self.look_up(depot, ticket, now).await? {
                Found::Gone { dead } => all_dead &= dead,
                Found::Here(held) => match self.consider(&held, now) {
                    Considered::Over { dead } => all_dead &= dead,
                    considered => {
                        if used {
                            self.note_activity(&held, now);
                        }
                        let renew = (!ticket.current_key).then(|| ticket.clone());
                        if found.replace((held, considered, renew)).is_some() {
                            return Ok(Recalled::Ambiguous);
                        }
                    }
                },
            }
        }
        Ok(match found {
            Some((held, considered, renew)) => Recalled::Session { held, considered, renew },
            None => Recalled::Nobody { dead: all_dead },
        })
    }

    /// What the store has of one session now; `None` if it is over.
    pub(in crate::refresh) async fn look_again(
        self: &Arc<Self>,
        held: &Held,
    ) -> Result<Option<Held>, StoreError> {
        let (Some(depot), Some(stored)) = (&self.depot, &held.opened.stored) else {
            return Ok(Some(held.clone()));
        };
        let voucher = Arc::clone(&stored.voucher);
        let ticket = Ticket { voucher, track: Arc::clone(&held.track), current_key: true };
        Ok(match self.look_up(depot, &ticket, self.now()).await? {
            Found::Here(held) => Some(held),
            Found::Gone { .. } => None,
        })
    }

    async fn look_up(
        self: &Arc<Self>,
        depot: &Depot,
        ticket: &Ticket,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        let Ticket { voucher, track, .. } = ticket;
        let gone = |known: &Known| Found::Gone { dead: !known.undeleted };
        if track.phase() == Phase::Ended {
            return Ok(gone(&track.lock()));
        }
        if now >= voucher.absolute_end {
            return Ok(Found::Gone { dead: true });
        }
        let known_version = track.lock().latest.as_ref().and_then(|latest| latest.version());
        let lookup = self.load_caught_up(depot, voucher, known_version).await?;
        let mut known = track.lock();
        // Without anybody who watches for the session's end nobody looks at it.
        if known.is_watched() {
            known.asked_at = self.clock.monotonic();
        }
        if track.phase() == Phase::Ended {
            return Ok(gone(&known));
        }
        let opened = match lookup {
            Lookup::Absent => {
                drop(known);
                // Ended elsewhere: nothing that is kept here of it serves again.
                self.end_here(track);
                return Ok(Found::Gone { dead: true });
            }
            Lookup::Foreign => return Ok(Found::Gone { dead: false }),
            Lookup::Found(opened) => match &known.latest {
                // Written or read while this answer was on its way.
                Some(latest)
                    if latest.version() != known_version
                        && latest.session.pair > opened.session.pair =>
                {
                    Arc::clone(latest)
                }
                _ => {
                    known.read(Arc::clone(&opened));
                    opened
                }
            },
            Lookup::Same => match &known.latest {
                Some(latest) => Arc::clone(latest),
                // Nothing takes it away while a session lives.
                None => return Ok(Found::Gone { dead: false }),
            },
        };
        if opened.session.pair > known.highest {
            track.adopt(&mut known, &opened);
        }
        let overtaken = known.result.as_ref().is_some_and(|result| {
            result.opened.session.pair.generation <= opened.session.pair.generation
        });
        if overtaken {
            self.ledger.drop_result(&mut known);
        }
        drop(known);
        Ok(Found::Here(Held { opened, track: Arc::clone(track) }))
    }

    /// The newest that this process has of a stored session.
    pub(in crate::refresh) fn newest(held: &Held, known: &Known) -> Arc<Opened> {
        let generation = |opened: &Opened| opened.session.pair.generation;
        let result = known.result.as_ref().map(|result| &result.opened);
        [result, known.latest.as_ref()]
            .into_iter()
            .flatten()
            .fold(
                &held.opened,
                |best, other| {
                    if generation(other) > generation(best) { other } else { best }
                },
            )
            .clone()
    }
}
