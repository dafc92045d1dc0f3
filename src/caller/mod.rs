//! Who is calling, and may they?
//!
//! [`kind`] reads how the request was made, [`credential`] what it brings, [`csrf`] whether a page
//! of somebody else made it, [`access`] which paths need a user, and [`require`] guards routes.

mod access;
mod credential;
mod csrf;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod kind;
mod presence;
mod require;

pub(crate) use self::{
    access::PathRules,
    credential::{Authorization, Brought, IgnoredSchemes},
    csrf::CsrfPolicy,
    kind::{GrpcFlavor, RequestKind, grpc_flavor, is_prefetch},
    presence::{Passed, Rank, Seen},
};
pub use self::{
    access::{Access, AccessPolicy},
    presence::SessionUnavailable,
    require::{Require, RequireFuture, RequireLayer},
};
