//! Sessions whose records are in a store: found, refreshed once in the whole cluster, and ended.
//!
//! [`recall`] finds the session of a request, or has it [`at_hand`], and [`ready`] makes it fit to
//! serve; [`plan`] decides what
//! a refresh does next and [`flight`] does it; [`activity`] writes down that a session is used;
//! [`end`] ends sessions, [`listing`] knows all of a user, and [`recovery`] writes again what a
//! fail-over may have lost.

mod activity;
mod at_hand;
mod end;
mod flight;
mod listing;
pub(crate) mod plan;
mod ready;
mod recall;
mod recovery;

pub(crate) use self::{
    end::EndedStored,
    flight::StoredFlight,
    ready::Ready,
    recall::{Recalled, Tickets},
};
