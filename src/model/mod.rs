//! The protocol of a session's life, explored: every order in which requests, refreshes, logouts,
//! crashes and faults can meet, within bounds.
//!
//! What is decided here is decided by the functions that production code calls: a model supplies
//! events only. [`explore`] visits all states; [`store`] is a session in a store, [`sealed`] one in
//! the browser, [`jar`] who deletes its cookie, [`login`] how it begins, [`reload`]
//! which callback gets it, and [`forced`] a refresh that an upstream asks for.

mod explore;
mod forced;
mod jar;
mod login;
mod reload;
mod sealed;
mod store;
