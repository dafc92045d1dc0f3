//! A request arrives.
//!
//! [`layer`] makes the [`service`], which sends each request its way by its [`route`]: to
//! [`admission`] with what its caller brings ([`bearer`] with a token), or to one of our own paths; [`future`] is that way,
//! [`outgoing`] what happens to the response, and [`body`] its body, which ends with the session if it
//! is one of [`streams`]. [`shared`] is what all clones of a layer have in common.

mod admission;
mod bearer;
mod body;
mod future;
mod layer;
mod outgoing;
mod route;
mod service;
mod shared;
mod streams;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::{Health, LpAuthLayer},
    service::LpAuth,
};
pub(crate) use self::{route::Routes, shared::Shared};
