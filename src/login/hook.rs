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
const PATIENCE: Duration = Duration::from_secs(2);

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

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    #[error(transparent)]
    Failed(LoginHookError),
    #[error("the login hook took longer than {} s", PATIENCE.as_secs())]
    TookTooLong,
    #[error("the login hook panicked")]
    Panicked,
}

/// Asks the hook, in a task of its own: a panic must not take the exchange along, whose callback
/// would be redirected like a repeated one, and a protected landing page would start it all again.
pub(crate) async fn ask(on_login: &OnLogin, user: LpUser) -> Result<LoginDecision, Undecided> {
    let on_login = Arc::clone(on_login);
    let mut asked = tokio::spawn(async move { on_login(user).await });
    match tokio::time::timeout(PATIENCE, &mut asked).await {
        Ok(Ok(decided)) => decided.map_err(Undecided::Failed),
        Ok(Err(_)) => Err(Undecided::Panicked),
        Err(_) => {
            asked.abort();
            Err(Undecided::TookTooLong)
        }
    }
}
