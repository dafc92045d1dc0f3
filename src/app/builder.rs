//! Collects the settings of a source.

use std::{fmt, time::Duration};

use crate::{clock::Clock, config::Builder};

/// The settings of an [`AppTokenSource`](crate::AppTokenSource); `build` checks the whole.
///
/// Needed are the account, client id and client secret of the installation. They mean what they mean
/// for a [layer](crate::Builder), and are checked as strictly.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::AppTokenSource;
///
/// let source = AppTokenSource::builder()
///     .account("12345678")
///     .client_id("e9d8b7a6-0000-4000-8000-123456789abc")
///     .client_secret("the secret of the installation")
///     .request_timeout(Duration::from_secs(3))
///     .build()?;
/// # Ok::<(), tower_lp_auth::ConfigError>(())
/// ```
#[must_use]
pub struct AppTokenSourceBuilder {
    /// Those of a layer that signs nobody in.
    pub(super) settings: Builder,
}

impl AppTokenSourceBuilder {
    pub(super) fn new() -> Self {
        Self { settings: Builder::new() }
    }

    /// The account (site) id: the token is good in this account alone.
    pub fn account(self, id: impl Into<String>) -> Self {
        self.with(|settings| settings.account(id))
    }

    /// The client id that LivePerson shows where the application is installed.
    pub fn client_id(self, id: impl Into<String>) -> Self {
        self.with(|settings| settings.client_id(id))
    }

    /// The client secret that LivePerson shows where the application is installed.
    pub fn client_secret(self, secret: impl Into<String>) -> Self {
        self.with(|settings| settings.client_secret(secret))
    }

    /// The origin of Sentinel, where it is known: the Domain API is then not asked.
    pub fn sentinel_url(self, origin: impl Into<String>) -> Self {
        self.with(|settings| settings.sentinel_url(origin))
    }

    /// The origin of the Domain API; by default `https://api.liveperson.net`.
    pub fn domain_api_url(self, origin: impl Into<String>) -> Self {
        self.with(|settings| settings.domain_api_url(origin))
    }

    /// Adds a domain that may host Sentinel, itself or a host below it. The first call replaces the
    /// defaults, `liveperson.net` and `liveperson.com`.
    pub fn sentinel_host_suffix(self, domain: impl Into<String>) -> Self {
        self.with(|settings| settings.sentinel_host_suffix(domain))
    }

    /// Adds a certificate authority (PEM) that calls to LivePerson trust besides the system's.
    pub fn ca_certificate(self, pem: impl Into<Vec<u8>>) -> Self {
        self.with(|settings| settings.ca_certificate(pem))
    }

    /// The proxy for calls to LivePerson, in place of the environment's. Calls to loopback never use
    /// one.
    pub fn proxy(self, url: impl Into<String>) -> Self {
        self.with(|settings| settings.proxy(url))
    }

    /// How long connecting to LivePerson may take, TLS included; by default 2 seconds.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.connect_timeout(timeout))
    }

    /// How long a whole call to LivePerson may take; by default 5 seconds. A fetch is two calls where
    /// the Domain API is asked first.
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.with(|settings| settings.request_timeout(timeout))
    }

    /// The source of time, for tests.
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|settings| settings.clock(clock))
    }

    fn with(self, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self { settings: change(self.settings) }
    }
}

impl fmt::Debug for AppTokenSourceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppTokenSourceBuilder").finish_non_exhaustive()
    }
}
