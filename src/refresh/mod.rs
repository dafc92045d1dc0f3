//! Tokens age: when a session is refreshed, by whom, and what an attempt can come to.
//!
//! [`beginning`] takes up what a login has made. [`policy`] says from times alone what a session needs, [`keeper`] weighs that for a request,
//! [`flight`] is one refresh with its many waiters, [`outcome`] what its answer means, [`forced`] whether one is sent that a caller asks for,
//! [`identity`] whose tokens it has brought; [`stored`] does all that where sessions are in a store.
//! [`survey`] looks at what a browser brings to our own paths, [`log_out`] ends it, [`revocation`] gives tokens back, and [`tasks`] lets a shutdown wait for what is under way.

mod beginning;
mod flight;
pub(crate) mod forced;
mod identity;
mod keeper;
mod log_out;
mod outcome;
mod policy;
mod revocation;
mod stored;
mod survey;
mod tasks;

pub use self::keeper::{EndReason, SessionEnd};
#[cfg(test)]
pub(crate) use self::stored::plan;
pub(crate) use self::{
    beginning::NewSession,
    flight::{Departure, Landing, whole_seconds},
    keeper::{Considered, Found, Keeper, OnSessionEnd},
    log_out::LoggedOut,
    policy::{Lifetimes, Schedule},
    stored::{Depot, EndedStored, LEASE, Ready, Tickets},
    survey::Brings,
    tasks::Tasks,
};
