//! The other end: programs that call an application behind the layer with a session token.
//!
//! [`layer`] is what such a program adds to its HTTP client, [`service`] what each of its requests
//! passes; [`newest`] keeps the token that all of them share, and [`destination`] decides which
//! requests may carry it.

mod destination;
mod layer;
mod newest;
mod service;

pub use self::{
    destination::InvalidOrigin,
    layer::LpSessionTokenLayer,
    service::{LpSessionToken, LpSessionTokenFuture},
};
