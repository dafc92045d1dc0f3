//! The application's own token (App-JWT), for calls that no user stands behind.
//!
//! [`source`] is the handle that hands tokens out, [`stock`] what it shares: the token at hand, the
//! last failure and the one fetch under way. What to do is decided by pure functions: [`plan`] for
//! who asks, [`yields`] for what an answer of Sentinel's brings, [`expiry`] for how long a token
//! lives, by the clocks' [`reading`]s. [`builder`] collects settings and [`assemble`] checks them.
//! [`layer`], [`service`] and [`future`] put the token on requests of a tower client; [`error`] says
//! why there is none.

mod assemble;
mod builder;
mod error;
mod expiry;
mod future;
mod layer;
mod plan;
mod reading;
mod service;
mod source;
mod stock;
mod yields;

pub use self::{
    builder::AppTokenSourceBuilder, error::AppTokenError, future::LpAppTokenFuture,
    layer::LpAppTokenLayer, service::LpAppToken, source::AppTokenSource,
};
