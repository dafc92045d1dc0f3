//! What the application says of its server, checked before anything is connected.

use std::{fmt, time::Duration};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{
    RedisStore,
    address::{RedisConfigError, is_tls, parse},
    server::Server,
};

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
