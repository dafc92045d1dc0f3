//! What the application says of its server, checked before anything is connected.

use std::{fmt, time::Duration};

use ::redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion, io::tcp::TcpSettings};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use url::Url;

use super::{RedisStore, server::Server};

/// Long enough for a TLS handshake over a continent; short enough that a server which is back is
/// noticed soon, although the attempt before got no answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sets up a [`RedisStore`]; made by [`RedisStore::builder`].
///
/// # Examples
///
/// ```
/// use tower_lp_auth::RedisStore;
///
/// let store = RedisStore::builder("redis://node-1.example.com:6379")
///     .cluster(["redis://node-2.example.com:6379"])
///     .build()?;
/// # Ok::<(), tower_lp_auth::RedisConfigError>(())
/// ```
#[must_use]
pub struct RedisStoreBuilder {
    urls: Vec<String>,
    is_cluster: bool,
    ca_certificate: Option<Vec<u8>>,
    connect_timeout: Duration,
}

impl RedisStoreBuilder {
    pub(super) fn new(url: String) -> Self {
        Self {
            urls: vec![url],
            is_cluster: false,
            ca_certificate: None,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }

    /// The server belongs to a Redis Cluster, and so do these; there may be none. The other nodes are
    /// learnt from whichever of them answers. User, password and TLS are the same for all nodes.
    pub fn cluster(mut self, urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.urls.extend(urls.into_iter().map(Into::into));
        self.is_cluster = true;
        self
    }

    /// The certificates, in PEM, of the authorities that alone vouch for the server of a `rediss://`
    /// URL; without it the system's trust store is used.
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_certificate = Some(pem.into());
        self
    }

    /// How long an attempt to connect may take, TLS and the greeting included; a second unless set.
    pub const fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Makes the store, without connecting.
    ///
    /// # Errors
    ///
    /// [`RedisConfigError`] says which setting cannot be used, and what would do.
    pub fn build(self) -> Result<RedisStore, RedisConfigError> {
        let mut servers: Vec<_> =
            self.urls.iter().map(|url| parse(url)).collect::<Result<_, _>>()?;
        let encrypted = self.urls.iter().filter(|url| is_tls(url)).count();
        if let Some(pem) = &self.ca_certificate {
            if encrypted != self.urls.len() {
                return Err(RedisConfigError::CaWithoutTls);
            }
            check_certificates(pem)?;
        }
        if encrypted > 0 {
            install_crypto_provider();
        }
        let server = if self.is_cluster {
            Server::cluster(servers, self.ca_certificate, self.connect_timeout)?
        } else {
            let server = servers.swap_remove(0); // `new` has put one there
            Server::single(server, self.ca_certificate, self.connect_timeout)?
        };
        Ok(RedisStore::from_server(server))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("servers", &self.urls.len())
            .field("is_cluster", &self.is_cluster)
            .finish_non_exhaustive()
    }
}

/// Why no store can be made of these settings. No variant repeats a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// The text is no URL.
    #[error(
        "the Redis URL cannot be read: write redis://user:password@host:6379/0 and percent-encode user and password"
    )]
    NotAUrl,
    /// It is the URL of something else.
    #[error("the Redis URL begins with another scheme: write redis://, or rediss:// for TLS")]
    Scheme,
    /// There is no host that could be connected to.
    #[error("the Redis URL names no host to connect to")]
    Host,
    /// The path is no database number.
    #[error(
        "the path of the Redis URL is no database: write its number, as in redis://host:6379/0, or nothing"
    )]
    Database,
    /// User or password are not UTF-8 when they are decoded.
    #[error("user or password of the Redis URL are no text: percent-encode them as UTF-8")]
    Credentials,
    /// A query or a fragment would be ignored.
    #[error(
        "the Redis URL has a query or a fragment, which mean nothing here: leave them out (a server with a certificate of its own needs `ca_certificate`)"
    )]
    Parameters,
    /// The certificates cannot be read.
    #[error(
        "`ca_certificate` holds no certificate that can be read: give it the PEM of the authority"
    )]
    CaCertificate,
    /// A certificate without TLS.
    #[error("`ca_certificate` needs TLS: write rediss:// in all Redis URLs")]
    CaWithoutTls,
    /// The nodes of a cluster are reached in different ways.
    #[error(
        "the URLs of a cluster differ: give all of them the same scheme, user, password and database"
    )]
    MixedCluster,
}

fn parse(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let url = Url::parse(url).map_err(|error| match error {
        url::ParseError::EmptyHost => RedisConfigError::Host,
        _ => RedisConfigError::NotAUrl,
    })?;
    if !matches!(url.scheme(), "redis" | "rediss" | "valkey" | "valkeys") {
        return Err(RedisConfigError::Scheme);
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(RedisConfigError::Host);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(RedisConfigError::Parameters);
    }
    let database = url.path().trim_matches('/');
    if !database.is_empty() && database.parse::<u16>().is_err() {
        return Err(RedisConfigError::Database);
    }
    let has_credentials = url.password().is_some() || !url.username().is_empty();
    let info = url.into_connection_info().map_err(|_| {
        if has_credentials { RedisConfigError::Credentials } else { RedisConfigError::Host }
    })?;
    // RESP3, since its greeting says whether the server is the primary, and since the library
    // tells of a lost connection only then.
    let greeting = info
        .redis_settings()
        .clone()
        .set_protocol(ProtocolVersion::RESP3)
        .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    Ok(info.set_redis_settings(greeting).set_tcp_settings(tcp_settings()))
}

pub(super) fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    // What the other side's kernel has not acknowledged for so long will not be answered either.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}

fn is_tls(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "rediss" | "valkeys"))
}

fn check_certificates(pem: &[u8]) -> Result<(), RedisConfigError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err(RedisConfigError::CaCertificate),
    }
}

/// rustls takes its cryptography from a process-wide provider, and cannot choose one where a build
/// has two of them.
fn install_crypto_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been first: then there is one.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
