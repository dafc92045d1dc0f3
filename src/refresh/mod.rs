//! Tokens age: when a session is refreshed, by whom, and what an attempt can come to.
//!
//! [`policy`] says from times alone what a session needs, [`keeper`] weighs that for a request,
//! [`flight`] is one refresh with its many waiters, [`outcome`] what its answer means,
//! [`ended`] tells those who live as long as a session, [`revocation`] gives tokens back, and [`tasks`] lets a shutdown wait for what is under way.

mod ended;
mod flight;
mod keeper;
mod outcome;
mod policy;
mod revocation;
mod tasks;

pub use self::{
    ended::Ended,
    keeper::{EndReason, SessionEnd},
};
pub(crate) use self::{
    flight::{Awaited, Departure, Landing, whole_seconds},
    keeper::{Considered, Found, Keeper, OnSessionEnd},
    policy::{Lifetimes, Schedule},
    tasks::Tasks,
};
