//! Where a server is, from its URL; what cannot be used is said before anything is connected.

#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
use std::time::Duration;

use ::redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion, io::tcp::TcpSettings};
use url::Url;

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

/// Reads the URL of a server.
pub(super) fn parse(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
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

/// How every connection is kept.
pub(super) fn tcp_settings() -> TcpSettings {
    let settings = TcpSettings::default().set_nodelay(true);
    // What the other side's kernel has not acknowledged for so long will not be answered either.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(Duration::from_secs(2));
    settings
}

/// Whether a URL asks for TLS.
pub(super) fn is_tls(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "rediss" | "valkeys"))
}
