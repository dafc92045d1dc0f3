//! A service that calls, by an App-JWT of its own.

use std::{fmt, sync::Arc, time::SystemTime};

use crate::{
    account::AccountId,
    jwt::AppClaims,
    refresh::{Ended, Keeper},
};

/// The application that has made a request, known by its App-JWT (OAuth 2.0 client credentials,
/// RFC 6749 §4.4).
///
/// The layer puts it into the extensions of a request whose bearer token is an App-JWT of an
/// application that [`Builder::allow_app`](crate::Builder::allow_app) names. It is nobody's session:
/// there is no [`LpUser`](crate::LpUser) beside it. Cloning is cheap.
///
/// With the feature `axum` it is an extractor.
///
/// # Examples
///
/// ```
/// use http::Request;
/// use tower_lp_auth::LpApp;
///
/// fn may_read_history<B>(request: &Request<B>) -> bool {
///     let app = request.extensions().get::<LpApp>();
///     app.is_some_and(|app| app.has_scope("data.services.external.msghist"))
/// }
/// # assert!(!may_read_history(&Request::new(())));
/// ```
#[derive(Clone)]
pub struct LpApp {
    claims: Arc<AppClaims>,
    /// Absent in a handler's unit test.
    keeper: Option<Arc<Keeper>>,
}

impl LpApp {
    pub(crate) fn new(claims: Arc<AppClaims>, keeper: Arc<Keeper>) -> Self {
        Self { claims, keeper: Some(keeper) }
    }

    #[cfg(feature = "test-kit")]
    pub(crate) fn detached(claims: AppClaims) -> Self {
        Self { claims: Arc::new(claims), keeper: None }
    }

    /// Whether the layer of `keeper` vouches for it, or it is one of a unit test.
    pub(crate) fn counts_for(&self, keeper: &Arc<Keeper>) -> bool {
        self.keeper.as_ref().is_none_or(|own| Arc::ptr_eq(own, keeper))
    }

    /// The application's client id: the token's `azp`.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.claims.client_id
    }

    /// The account it acts in: the token's `aud`, which is the layer's account.
    #[must_use]
    pub fn account_id(&self) -> &AccountId {
        &self.claims.account
    }

    /// What LivePerson lets it do (RFC 6749 §3.3), in the token's order.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims.scopes.iter().map(|scope| &**scope)
    }

    /// Whether this scope is among them.
    #[must_use]
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> SystemTime {
        self.claims.expires_at.into()
    }

    /// Resolves when the token has ended: for streams and tasks that must not outlive it. For an
    /// application of `test_kit::app`, which has no layer, it never resolves.
    pub fn ended(&self) -> Ended {
        match &self.keeper {
            Some(keeper) => Ended::at(Arc::clone(keeper), self.claims.valid_until()),
            None => Ended::never(),
        }
    }
}

impl fmt::Debug for LpApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LpApp")
            .field("client_id", &self.client_id())
            .field("account", &self.account_id().as_str())
            .field("scopes", &self.claims.scopes)
            .finish_non_exhaustive()
    }
}
