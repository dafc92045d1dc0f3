//! Set up.
//!
//! [`builder`] collects settings, [`env`] reads them from the environment, [`validate`] checks the
//! whole, and [`assemble`] makes a layer of it. [`manifest`] is what LivePerson needs to know of an
//! application before it has a client id.

mod assemble;
mod builder;
mod env;
mod error;
mod manifest;
mod validate;

pub use self::{
    builder::Builder,
    error::{ConfigError, Setting},
    manifest::{AppManifest, AppManifestBuilder, ManifestError},
};
