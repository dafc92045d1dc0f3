//! What is known of a signed-in user.
//!
//! [`record`] is a session's content ([`subject`] whose it is, [`tokens`] what acts for them, [`packed`] as
//! they stand in a payload, [`wire`] how its bytes are read), [`id`] what names and orders it, [`cookie`]
//! how it travels, [`carrier`] in what, [`mint`] the one place where its Set-Cookie and its token are made,
//! [`caches`] spare opening it again, and [`ledger`] keeps what changed about it in this process ([`track`]
//! of one session). Where sessions are kept in a [`store`], the cookie holds a [`voucher`] for a record in
//! the [`vault`], and [`pulse`] knows whether the store does its work.

mod caches;
mod carrier;
mod cookie;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod id;
mod ledger;
mod mint;
mod packed;
mod pulse;
mod record;
pub(crate) mod store;
mod subject;
mod tokens;
mod track;
mod vault;
mod voucher;
mod wire;

pub(crate) use self::{
    caches::Caches,
    carrier::{Carrier, TOKEN_HEADER},
    cookie::{Candidates, CookieNames, Glance, MAX_CANDIDATES, MAX_LINE, Reading, Traces},
    id::{Pair, SessionId},
    ledger::{Ending, Ledger, LedgerLimits},
    mint::{Mint, Minted, Sealers, TooLarge},
    record::{Identity, LoginMark, Session, Times, issuer},
    store::{Lease, LeaseOwner, Leased, SessionStore, StoreError, Swap, Version},
    tokens::Tokens,
    track::{
        Attempts, Known, Phase, Sighting, Standing, Track, WIDEST_JUMP, may_present, standing,
    },
    vault::{IndexedSession, Lookup, Stored, Vault},
    voucher::{KeyNames, Voucher},
};
use crate::refresh::Schedule;
use std::sync::Arc;

#[cfg(test)]
pub(crate) use self::record::tests;

/// A session that has been opened, with what follows from its times.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) schedule: Schedule,
    /// Whether the key that seals today sealed it.
    pub(crate) current_key: bool,
    /// The record that it stands in, if the session is in a store.
    pub(crate) stored: Option<Stored>,
}

impl Opened {
    /// The version of a stored session's record.
    pub(crate) fn version(&self) -> Option<Version> {
        self.stored.as_ref().map(|stored| stored.version)
    }
}

/// A session as one request holds it: its content, and what this process knows of it meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) opened: Arc<Opened>,
    pub(crate) track: Arc<Track>,
}

impl Held {
    /// A session that belongs to no layer, for handlers' unit tests.
    #[cfg(feature = "test-kit")]
    pub(crate) fn detached(opened: Opened) -> Self {
        let seen = (opened.session.times.authenticated_at, std::time::Duration::ZERO);
        let track = Arc::new(Track::new(Sighting::of(&opened), seen));
        Self { opened: Arc::new(opened), track }
    }

    pub(crate) fn pair(&self) -> Pair {
        self.opened.session.pair
    }
}
