//! Tokens age: when a session is refreshed, by whom, and what an attempt can come to.
//!
//! [`beginning`] takes up what a login has made. [`policy`] says from times alone what a session
//! needs, [`keeper`] weighs that for a request, [`flight`] is one refresh with its many waiters,
//! [`outcome`] what its answer means, [`identity`] whose tokens it has brought; [`stored`] does all
//! that where sessions are in a store ([`depot`], with its [`latest`] writes). [`fresh`] gives long-lived work a live token ([`forced`] where
//! one was refused), [`ended`] tells it of the session's end. [`survey`] looks at what a browser
//! brings to our own paths, [`log_out`] ends it, [`handing_out`] makes a token of it, [`revocation`] gives tokens back (again and again if
//! need be: [`retry`], [`outbox`]), and [`tasks`] lets a shutdown wait for what is under way.

mod beginning;
mod depot;
mod ended;
mod flight;
pub(crate) mod forced;
mod fresh;
mod handing_out;
mod identity;
mod keeper;
mod latest;
mod log_out;
mod outbox;
mod outcome;
mod policy;
mod retry;
mod revocation;
mod stored;
mod survey;
mod tasks;

#[cfg(test)]
pub(crate) use self::stored::plan;
pub(crate) use self::{
    beginning::NewSession,
    depot::{Depot, LEASE, STORE_RETRY_AFTER},
    flight::{Departure, Landing, whole_seconds},
    fresh::Fresh,
    keeper::{Considered, Found, Keeper, OnSessionEnd},
    log_out::LoggedOut,
    outbox::{MAX_WAITING, Outbox},
    policy::{Lifetimes, Schedule},
    stored::{EndedStored, Ready, Tickets},
    survey::Brings,
    tasks::Tasks,
};
pub use self::{
    ended::Ended,
    handing_out::SessionTokenError,
    keeper::{EndReason, SessionEnd},
};
