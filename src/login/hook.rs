//! The application's word on a login.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;

use crate::{
    error::{BoxError, BoxFuture},
    user::LpUser,
};

/// The hook `on_login`, boxed.
pub(crate) type OnLogin =
    Arc<dyn Fn(LpUser) -> BoxFuture<'static, Result<LoginDecision, LoginHookError>> + Send + Sync>;

/// How long the hook may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What the application says of a user who has just signed in at LivePerson.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoginDecision {
    /// The user comes in.
    Allow,
    /// The user stays out and sees this page, or the layer's own (status 403).
    ///
    /// The layer adds `Cache-Control: no-store`.
    Deny(Option<Box<Response<Bytes>>>),
}

impl LoginDecision {
    /// Denies with the layer's own page.
    #[must_use]
    pub fn deny() -> Self {
        Self::Deny(None)
    }

    /// Denies with a page of the application's.
    #[must_use]
    pub fn deny_with(page: Response<Bytes>) -> Self {
        Self::Deny(Some(Box::new(page)))
    }
}

/// The hook could not decide: the login fails with 503.
#[derive(Debug, thiserror::Error)]
#[error("the login hook failed")]
pub struct LoginHookError(#[source] BoxError);

impl LoginHookError {
    /// Wraps what went wrong; it is logged.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self(source.into())
    }
}
