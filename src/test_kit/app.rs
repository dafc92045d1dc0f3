//! Applications for the unit tests of handlers.

use std::time::Duration;

use crate::{
    account::AccountId,
    clock::{Clock, SystemClock, Timestamp},
    jwt::AppClaims,
    user::LpApp,
};

/// Starts an [`LpApp`] for a handler's unit test: an application that calls in the account `12345678`.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit;
///
/// let app = test_kit::app("a-client").scope("users.read").build();
/// assert!(app.has_scope("users.read") && !app.has_scope("users.write"));
/// ```
pub fn app(client_id: impl Into<String>) -> AppBuilder {
    AppBuilder { client_id: client_id.into(), scopes: Vec::new() }
}

/// Builds an [`LpApp`] without a layer; see [`app`].
#[derive(Clone, Debug)]
#[must_use]
pub struct AppBuilder {
    client_id: String,
    scopes: Vec<Box<str>>,
}

impl AppBuilder {
    /// Adds a scope.
    pub fn scope(mut self, scope: &str) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Makes the application.
    #[must_use]
    pub fn build(self) -> LpApp {
        let now = Timestamp::from(SystemClock::default().now());
        LpApp::detached(AppClaims {
            client_id: self.client_id.into(),
            account: AccountId::example(),
            scopes: self.scopes.into(),
            issued_at: now,
            expires_at: now.plus(Duration::from_secs(60 * 60)),
        })
    }
}
