//! LivePerson's OAuth server "Sentinel", played by a real HTTP server on this machine.
//!
//! A request is read whole (`request`), its URL picks the endpoint (`routes`), and a fault may come
//! between (`faults`, acted out by `server`, `reply` and `wire`). The endpoints are `directory`,
//! `authorize` (with `pages`), `grants` and `app_token`; what they remember is `state`, above all the
//! codes and tokens of `tokens`; what they sign is made of `id_token` or `app_jwt` with a key of
//! `keys`. The handle reads and switches it (`switches`, `counters`).

mod app_jwt;
mod app_token;
mod authorize;
mod builder;
mod counters;
mod directory;
mod faults;
mod grants;
mod id_token;
mod keys;
mod pages;
mod random;
mod reply;
mod request;
mod routes;
mod server;
mod state;
mod switches;
mod tokens;
mod users;
mod wire;

use std::{fmt, io, mem, sync::Arc};

pub use app_jwt::AppTokenBuilder;
pub use builder::MockSentinelBuilder;
pub use counters::{Call, Counts, Endpoint};
pub use faults::Fault;
pub use switches::ExpiresIn;
pub use users::MockUser;

use server::Server;
use state::{Client, Shared};

use crate::{AppTokenSource, AppTokenSourceBuilder, Builder, LpAuthLayer, SessionKey};

/// A stand-in for LivePerson: Domain API and Sentinel in one server on `127.0.0.1`.
///
/// Browsers and HTTP clients use it like the real ones: they are sent to a login page with users to
/// choose from, redirected back with a code, and given tokens that rotate at each refresh. Tests
/// read what it was asked ([`counts`](Self::counts), [`calls`](Self::calls)), switch its habits
/// (`set_…`) and let it fail ([`inject`](Self::inject)).
///
/// Clones are handles to the same server. It stops with the last of them, or with the runtime that
/// it was started on.
///
/// | URL | Plays |
/// |---|---|
/// | `GET /api/account/{account}/service/[{service}/]baseURI.json` | the Domain API |
/// | `GET /sentinel/api/account/{account}/authorize` | where a login begins |
/// | `GET`, `POST /login` | the login page |
/// | `GET /sentinel/forget` | a way to sign in as somebody else, see [`forget_url`](Self::forget_url) |
/// | `POST /sentinel/api/account/{account}/token` | code exchange and refresh |
/// | `POST /sentinel/api/account/{account}/token/revoke` | revocation |
/// | `POST /sentinel/api/v2/account/{account}/app/token` | App-JWTs (version 2) |
/// | `GET /sentinel/well-known/jwks` | the public keys |
/// | `GET /api/account/{account}/configuration/le-users/users/me` | an API that wants an access token |
///
/// # Examples
///
/// ```
/// use tower_lp_auth::test_kit::{Endpoint, Fault, MockSentinel};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::start().await?;
/// let agent = &sentinel.users()[0];
/// sentinel.auto_login(Some(agent.id())); // no page: as if signed in at LivePerson already
/// sentinel.inject(Endpoint::Token, Fault::status(503));
///
/// println!("point your application at {}", sentinel.url());
/// assert_eq!(sentinel.counts().exchanges, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MockSentinel {
    shared: Arc<Shared>,
    _server: Arc<Server>,
}

/// Starting it, and how to reach it.
impl MockSentinel {
    /// Starts a server with all defaults on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If no port is free.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Begins a server that differs from the defaults.
    pub fn builder() -> MockSentinelBuilder {
        MockSentinelBuilder::new()
    }

    /// The origin of all its URLs: `http://127.0.0.1:` and the port.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.authority)
    }

    /// The account that users sign in to.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.client().account
    }

    /// The id of the registered application.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client().id
    }

    /// The secret of the registered application.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        &self.client().secret
    }

    /// The settings of a layer whose users sign in here, for an application at `redirect_uri`; add
    /// paths and build it.
    ///
    /// Its session key is drawn at random.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_lp_auth::test_kit::MockSentinel;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sentinel = MockSentinel::start().await?;
    /// let auth = sentinel.layer_builder("http://127.0.0.1:3000/callback").public("/healthz").build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer_builder(&self, redirect_uri: impl Into<String>) -> Builder {
        LpAuthLayer::builder()
            .account(self.account_id())
            .client_id(self.client_id())
            .client_secret(self.client_secret())
            .sentinel_url(self.url())
            .redirect_uri(redirect_uri)
            .session_key(SessionKey::random())
    }

    /// The settings of a source of App-JWTs from here; build it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_lp_auth::test_kit::MockSentinel;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sentinel = MockSentinel::start().await?;
    /// let token = sentinel.app_token_source().build()?.token().await?;
    /// assert_eq!(sentinel.counts().app_tokens, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn app_token_source(&self) -> AppTokenSourceBuilder {
        AppTokenSource::builder()
            .account(self.account_id())
            .client_id(self.client_id())
            .client_secret(self.client_secret())
            .sentinel_url(self.url())
    }

    /// Where a browser goes that shall be asked again who it is: the mock forgets its user and sends
    /// it to `back`, a URL on this machine.
    #[must_use]
    pub fn forget_url(&self, back: &str) -> String {
        let mut url = format!("{}/sentinel/forget?", self.url());
        let start = url.len();
        url::form_urlencoded::Serializer::for_suffix(&mut url, start).append_pair("back", back);
        url
    }

    /// Who can sign in: at first an agent, an administrator and one of LivePerson's staff.
    #[must_use]
    pub fn users(&self) -> Vec<MockUser> {
        self.shared.lock().users.clone()
    }

    fn client(&self) -> &Client {
        &self.shared.clients[0]
    }
}

/// Letting it fail.
impl MockSentinel {
    /// Lets the next call of an endpoint go wrong; several faults wait in line.
    pub fn inject(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.lock().faults.queue(endpoint, fault);
    }

    /// Lets every call of an endpoint go wrong that none of [`inject`](Self::inject) meets.
    pub fn inject_always(&self, endpoint: Endpoint, fault: Fault) {
        self.shared.lock().faults.stand(endpoint, fault);
    }

    /// Forgets all faults that have not happened yet.
    pub fn clear_faults(&self) {
        mem::take(&mut self.shared.lock().faults);
    }
}

/// Watching it, and acting as LivePerson's administrator.
impl MockSentinel {
    /// How often each endpoint was asked so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().log.counts()
    }

    /// The last 10,000 requests, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().log.calls()
    }

    /// Whether an access token would be accepted now.
    #[must_use]
    pub fn is_live_access_token(&self, access_token: &str) -> bool {
        let now = self.shared.now();
        self.shared.lock().tokens.bearer(access_token, now).is_some()
    }

    /// How many browsers would get past the login page on their cookie.
    #[must_use]
    pub fn live_sso_sessions(&self) -> usize {
        self.shared.lock().sso.len()
    }

    /// Ends all tokens of one login, named by any of its access or refresh tokens. One that was
    /// never issued ends nothing.
    pub fn revoke_family_of(&self, token: &str) {
        let tokens = &mut self.shared.lock().tokens;
        if let Some(family) = tokens.family_of(token) {
            tokens.kill(family);
        }
    }

    /// Ends all tokens of a user and signs them out of LivePerson.
    pub fn end_user_sessions(&self, user_id: &str) {
        let state = &mut *self.shared.lock();
        state.tokens.kill_user(user_id);
        state.end_sso(user_id);
    }
}

impl fmt::Debug for MockSentinel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockSentinel").field("url", &self.url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
