//! One session in a store, and the instances that refresh it.
//!
//! Each instance goes through [`Course::next`](crate::refresh::plan::Course::next), which is what
//! production code does. [`state`] is what there is, [`moves`] what may happen, [`flight`] a
//! refresh among it, [`flaws`] what must not be.
//!
//! Time is there as relations alone: a lease outlasts a call; a pause is longer than the time
//! between two tries to write a result; nobody forgets a failed attempt while another one lasts.

mod flaws;
mod flight;
mod moves;
mod state;

mod tests;
