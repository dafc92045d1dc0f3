//! What is fixed when the mock starts.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::net::TcpListener;

use super::{
    MockSentinel, MockUser, random,
    server::Server,
    state::{Client, Shared, State},
    users::default_users,
};
use crate::{Clock, SystemClock};

const ACCOUNT: &str = "12345678";

/// Shaped like an app install's id.
const CLIENT_ID: &str = "5f0d3c9e-8f4b-4c57-9f0a-2b6c1d7e8a90";

/// Sets up a [`MockSentinel`]; made by [`MockSentinel::builder`].
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::test_kit::{MockSentinel, MockUser};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let sentinel = MockSentinel::builder()
///     .account("87654321")
///     .client("my-client-id", "my-client-secret")
///     .redirect_uri("http://127.0.0.1:3000/callback")
///     .user(MockUser::new("42", "Robin Manager").admin(true))
///     .access_token_lifetime(Duration::from_secs(60))
///     .start()
///     .await?;
/// assert_eq!(sentinel.account_id(), "87654321");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct MockSentinelBuilder {
    port: u16,
    main: Client,
    others: Vec<Client>,
    redirect_uris: Vec<String>,
    clock: Arc<dyn Clock>,
    state: State,
}

impl MockSentinelBuilder {
    pub(super) fn new() -> Self {
        let main = Client {
            account: ACCOUNT.to_owned(),
            id: CLIENT_ID.to_owned(),
            secret: random::client_secret(),
        };
        let state = State { users: default_users(), ..State::default() };
        Self {
            port: 0,
            main,
            others: Vec::new(),
            redirect_uris: Vec::new(),
            clock: Arc::new(SystemClock),
            state,
        }
    }

    /// The account (`12345678` by default).
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.main.account = account.into();
        self
    }

    /// The application's id and secret (by default a fixed UUID, and a secret drawn at each start).
    pub fn client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.main.id = id.into();
        self.main.secret = secret.into();
        self
    }

    /// One more account, with the application's id and secret there. All accounts have the same
    /// users.
    pub fn another_account(
        mut self,
        account: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
    ) -> Self {
        self.others.push(Client {
            account: account.into(),
            id: client_id.into(),
            secret: client_secret.into(),
        });
        self
    }

    /// Registers a redirect URI, of which there can be several; only these are accepted then, to
    /// the letter. Without any, every http or https URL is.
    pub fn redirect_uri(mut self, uri: impl Into<String>) -> Self {
        self.redirect_uris.push(uri.into());
        self
    }

    /// Adds a user to the three that are there by default.
    pub fn user(mut self, user: MockUser) -> Self {
        self.state.users.push(user);
        self
    }

    /// Replaces all users.
    pub fn users(mut self, users: impl IntoIterator<Item = MockUser>) -> Self {
        self.state.users = users.into_iter().collect();
        self
    }

    /// Where the mock reads the time by which codes and tokens expire (the system's clocks by
    /// default). Delays of faults are real time, whatever the clock.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// How long access tokens live (eight hours by default).
    pub fn access_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.state.settings.access_token_lifetime = lifetime;
        self
    }

    /// How long App-JWTs live (an hour by default).
    pub fn app_token_lifetime(mut self, lifetime: Duration) -> Self {
        self.state.settings.app_token_lifetime = lifetime;
        self
    }

    /// The scopes of App-JWTs (`users.read` and `faas.lambda.invoke` by default).
    pub fn app_token_scopes<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.state.settings.app_token_scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// The port on 127.0.0.1 (a free one by default).
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(self) -> io::Result<MockSentinel> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await?;
        let mut clients = vec![self.main];
        clients.extend(self.others);
        let shared = Arc::new(Shared {
            authority: listener.local_addr()?.to_string(),
            clients,
            redirect_uris: self.redirect_uris,
            clock: self.clock,
            state: Mutex::new(self.state),
        });
        let server = Arc::new(Server::spawn(listener, Arc::clone(&shared)));
        Ok(MockSentinel { shared, _server: server })
    }
}
