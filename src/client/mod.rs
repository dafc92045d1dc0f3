//! The other end: programs that call an application behind the layer with a session token.
//!
//! [`layer`] is what such a program adds to its HTTP client, [`service`] what each of its requests
//! passes with its [`credential`]; [`newest`] keeps the token that all of them share. Which requests may carry it
//! [`destination`](crate::destination) decides.

mod credential;
mod layer;
mod newest;
mod service;

pub use self::{
    layer::LpSessionTokenLayer,
    service::{LpSessionToken, LpSessionTokenFuture},
};
