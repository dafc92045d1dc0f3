//! The layer: a cheap handle to all that its services share.

use std::{sync::Arc, time::Duration};

use tower_layer::Layer;

use super::{keep_body::KeepBodyLayer, service::LpAuth, shared::Shared};
use crate::{
    caller::RequireLayer,
    config::{Builder, ConfigError},
    user::{LpUser, Sessions},
};

/// Signs users in with LivePerson Conversational Cloud and puts an [`LpUser`] into the extensions
/// of every request it lets through.
///
/// Cloning is cheap, and all clones share caches, sessions and refreshes. Every path that is not
/// declared public or optional is protected. The layer also serves its own paths: login, callback
/// (the redirect URI's path) and logout.
///
/// # Order
///
/// The layer comes last on a router: routes and fallbacks added after `.layer(auth)` are not behind
/// it, and a fallback added later takes the callback away. Around a finished router, axum 0.8's
/// `serve` wants a router again: `Router::new().fallback_service(auth.layer(router))`, since this does
/// not compile:
///
/// ```compile_fail
/// # async fn run(listener: tokio::net::TcpListener, auth: tower_lp_auth::LpAuthLayer, router: axum::Router) {
/// use tower::Layer;
///
/// axum::serve(listener, auth.layer(router)).await.unwrap();
/// # }
/// ```
///
/// # Examples
///
/// ```
/// use tower_lp_auth::{LpAuthLayer, SessionKey};
/// # use axum::{Router, routing::get};
/// use tower_lp_auth::LpUser;
///
/// # fn app() -> Result<Router, Box<dyn std::error::Error>> {
/// let auth = LpAuthLayer::builder()
///     .account("12345678")
///     .client_id("e9d8b7a6-0000-4000-8000-123456789abc")
///     .client_secret("the secret of the installation")
///     .redirect_uri("https://app.example.com/callback")
///     .session_key(SessionKey::random())
///     .public("/healthz")
///     .build()?;
///
/// async fn me(user: LpUser) -> String {
///     format!("hello {}", user.id())
/// }
///
/// let app = Router::new().route("/me", get(me)).layer(auth);
/// # Ok(app)
/// # }
/// # app().unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LpAuthLayer {
    shared: Arc<Shared>,
}

/// How a layer is doing, for a probe.
///
/// A Sentinel that does not answer is no reason to take an instance out of service: its users stay
/// signed in, and another instance would fare no better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Whether requests should be sent here: not after [`LpAuthLayer::shutdown`] has been called.
    pub ready: bool,
    /// Whether the account's Sentinel is known, so that a login can start without a look-up.
    pub sentinel_known: bool,
    /// Whether sessions can be read from the session store, as far as is known; `true` without a
    /// store. While they cannot, requests with a session are answered with 503: where other instances
    /// may reach it, take this one out of service. The store is asked every second then, without
    /// requests too, so that this tells when it answers again.
    pub store_answers: bool,
    /// Sessions and results that gave way because a limit was reached: raise the limit.
    pub evicted_entries: u64,
    /// See [`Health::evicted_entries`].
    pub evicted_results: u64,
    /// Revocations that have failed and will be tried again, where `revoke_on_logout` is switched on.
    pub waiting_revocations: usize,
}

impl LpAuthLayer {
    /// Starts the configuration of a layer.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Starts the configuration of a layer with what the `LP_*` variables of the environment say.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the variable whose value cannot be used, and the remedy.
    pub fn builder_from_env() -> Result<Builder, ConfigError> {
        Builder::from_env()
    }

    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// A new session of `user`'s that is in no store yet, for tests.
    #[cfg(feature = "test-kit")]
    pub(crate) fn begin_session(&self, user: &LpUser) -> Option<crate::refresh::NewSession> {
        let mut session = user.session()?.clone();
        session.account = self.shared.desk.account.clone();
        session.id = crate::session::SessionId::random();
        let keeper = &self.shared.keeper;
        keeper.begin(session, None, keeper.now()).ok()
    }

    /// It as a token, for whoever has it already.
    #[cfg(feature = "test-kit")]
    pub(crate) fn token_of(
        &self,
        new: &crate::refresh::NewSession,
    ) -> Result<crate::SessionToken, crate::SessionTokenError> {
        self.shared.keeper.session_token(&new.held)
    }

    /// Stores it, where there is a store.
    #[cfg(feature = "test-kit")]
    pub(crate) async fn deposit(
        &self,
        new: &crate::refresh::NewSession,
    ) -> Result<(), crate::store::StoreError> {
        self.shared.keeper.deposit(&new.held).await
    }

    /// The path and query, on this application's origin, of a page that starts a login and comes
    /// back to `return_to`.
    ///
    /// `return_to` is a path and query as the browser sees it. What would leave this origin is
    /// ignored: the login then comes back to the landing page.
    #[must_use]
    pub fn login_url(&self, return_to: &str) -> String {
        let desk = &self.shared.desk;
        let path = desk.guard.check(return_to);
        desk.site.login_link(path.as_ref().map(|path| path.as_str()))
    }

    /// The application's origin, as its users' browsers see it: that of the redirect URI, such as
    /// `https://app.example.com`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.desk.site.origin
    }

    /// The path, on this application's origin, of the logout: a form posts to it.
    #[must_use]
    pub fn logout_url(&self) -> String {
        self.shared.desk.site.logout_link(None)
    }

    /// The same layer for inner services whose response body can hold any other ([`AnyBody`](crate::AnyBody)),
    /// such as axum's with the feature `axum`: their responses keep its type.
    ///
    /// That spares a box: axum's `Router::layer` puts each body that is not its own into one that is, which
    /// takes an allocation, and another step for each frame.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "axum")]
    /// # fn app(auth: tower_lp_auth::LpAuthLayer) -> axum::Router {
    /// # use axum::{Router, routing::get};
    /// # use tower_lp_auth::LpUser;
    /// # async fn me(user: LpUser) -> String { user.id().to_owned() }
    /// Router::new().route("/me", get(me)).layer(auth.keep_body())
    /// # }
    /// ```
    pub fn keep_body(&self) -> KeepBodyLayer {
        KeepBodyLayer::new(Arc::clone(&self.shared))
    }

    /// A layer for routes that need a signed-in user, beneath this one.
    pub fn require_user(&self) -> RequireLayer {
        RequireLayer::user(Arc::clone(&self.shared.keeper))
    }

    /// A layer for routes that need an admin, beneath this one.
    ///
    /// `is_admin` is as old as the login; [`RequireLayer::max_age`] bounds that.
    pub fn require_admin(&self) -> RequireLayer {
        RequireLayer::admin(Arc::clone(&self.shared.keeper))
    }

    /// A layer for routes that are open to the users of whom `condition` is true, beneath this one.
    pub fn require_if(
        &self,
        condition: impl Fn(&LpUser) -> bool + Send + Sync + 'static,
    ) -> RequireLayer {
        RequireLayer::only_if(Arc::clone(&self.shared.keeper), condition)
    }

    /// A layer for routes that are for applications whose App-JWT has this scope, beneath this one;
    /// see [`Builder::allow_app`](crate::Builder::allow_app).
    ///
    /// A user is refused with 403, an application without the scope with 403 `insufficient_scope`
    /// (RFC 6750 §3.1). On a protected path a person without a session is first sent to the login, and
    /// then refused.
    pub fn require_app(&self, scope: &str) -> RequireLayer {
        RequireLayer::app(Arc::clone(&self.shared.keeper), scope)
    }

    /// All sessions of a user, on whatever device: with a session store they can be listed and ended.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        Sessions::new(Arc::clone(&self.shared.keeper))
    }

    /// How the layer is doing. Does no I/O.
    #[must_use]
    pub fn health(&self) -> Health {
        let keeper = &self.shared.keeper;
        let (evicted_entries, evicted_results) = keeper.ledger.evictions();
        Health {
            ready: !keeper.tasks.is_shutting_down(),
            sentinel_known: keeper.sentinel.known_host(&self.shared.desk.account).is_some(),
            store_answers: keeper.depot.as_ref().is_none_or(|depot| depot.vault.answers()),
            evicted_entries,
            evicted_results,
            waiting_revocations: keeper.outbox.waiting(),
        }
    }

    /// Lets refreshes, code exchanges, revocations and hooks under way finish, for at most
    /// `deadline`.
    ///
    /// Call it when the signal to stop comes, not after the server has returned: from then on no
    /// refresh starts that could wait, and the heads of responses wait for refreshes under way, so
    /// that no rotated token is lost. A request that still waits for its refresh at the deadline is
    /// answered with 503. Revocations that wait for another try are tried at once, and again until
    /// the deadline; what is left then is given up, with a warning in the log that says how many.
    ///
    /// Returns whether everything has finished.
    ///
    /// # Cancel safety
    ///
    /// What is under way goes on, and the deadline stands.
    pub async fn shutdown(&self, deadline: Duration) -> bool {
        self.shared.keeper.shutdown(deadline).await
    }
}

impl<S> Layer<S> for LpAuthLayer {
    type Service = LpAuth<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LpAuth::new(inner, Arc::clone(&self.shared))
    }
}
