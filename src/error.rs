//! What the crate's errors have in common.

use std::{error::Error as StdError, future::Future, pin::Pin};

/// An error of any type, as tower's services pass it on.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// A boxed future, as the verbs of object-safe traits return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
