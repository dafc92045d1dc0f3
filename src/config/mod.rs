//! Set up.
//!
//! [`builder`] collects settings, [`env`] reads them from the environment, [`validate`] checks the
//! whole, and [`assemble`] makes a layer of it, or a client for calls of the application's own.
//! [`manifest`] is what LivePerson needs to know of an application before it has a client id.

mod assemble;
mod builder;
mod env;
mod error;
mod manifest;
mod validate;

pub(crate) use self::assemble::AppClient;
pub use self::{
    builder::Builder,
    error::{ConfigError, Setting},
    manifest::{AppManifest, AppManifestBuilder, ManifestError},
};
