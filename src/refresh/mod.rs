//! Tokens age: when a session is refreshed, by whom, and what an attempt can come to.
//!
//! [`policy`] says from times alone what a session needs, [`keeper`] weighs that for a request,
//! [`flight`] is one refresh with its many waiters, [`outcome`] what its answer means,
//! [`revocation`] gives tokens back (again and again if need be: [`retry`], [`outbox`]), and
//! [`tasks`] lets a shutdown wait for what is under way.

mod flight;
mod keeper;
mod outbox;
mod outcome;
mod policy;
mod retry;
mod revocation;
mod tasks;

pub use self::keeper::{EndReason, SessionEnd};
pub(crate) use self::{
    flight::{Awaited, Departure, Landing, whole_seconds},
    keeper::{Considered, Found, Keeper, OnSessionEnd},
    outbox::{MAX_WAITING, Outbox},
    policy::{Lifetimes, Schedule},
    tasks::Tasks,
};
