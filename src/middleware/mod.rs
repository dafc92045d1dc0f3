//! A request arrives.
//!
//! [`layer`] makes the [`service`], which sends each request its way by its [`route`]: to
//! [`admission`] with what its caller brings ([`bearer`] with a token), or to one of our own paths; [`future`] is that way,
//! [`outgoing`] what happens to the response, and [`body`] its body, which ends with the session if it
//! is one of [`streams`]. With [`keep_body`] it is of the inner service's type, if that can hold [any](any_body)
//! other. [`shared`] is what all clones of a layer have in common.

mod admission;
mod any_body;
mod bearer;
mod body;
mod future;
mod keep_body;
mod layer;
mod outgoing;
mod route;
mod service;
mod shared;
mod streams;

pub use self::{
    any_body::AnyBody,
    body::ResponseBody,
    future::ResponseFuture,
    keep_body::{KeepBody, KeepBodyFuture, KeepBodyLayer},
    layer::{Health, LpAuthLayer},
    service::LpAuth,
};
pub(crate) use self::{route::Routes, shared::Shared};
