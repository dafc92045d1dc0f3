//! Which servers may be asked, and how the URLs of their endpoints read.

use std::{fmt, str::FromStr, sync::Arc};

use url::{Host, Url, form_urlencoded};

use crate::{AccountId, loopback::is_loopback};

/// The version of Sentinel's token endpoint that codes and refresh tokens are sent to.
///
/// LivePerson's older pages and most of its code say `2.0`, the newest pages `1.0`. The authorize
/// and revoke endpoints know `1.0` alone.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::TokenApiVersion;
///
/// assert_eq!("1.0".parse(), Ok(TokenApiVersion::V1));
/// assert_eq!(TokenApiVersion::default().to_string(), "2.0");
/// assert!("3".parse::<TokenApiVersion>().is_err());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenApiVersion {
    /// `v=1.0`.
    V1,
    /// `v=2.0`, the default.
    #[default]
    V2,
}

/// The text is not a [`TokenApiVersion`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version of the token API: use `2.0` or `1.0`")]
pub struct InvalidTokenApiVersion(());

impl TokenApiVersion {
    const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "1.0",
            Self::V2 => "2.0",
        }
    }
}

impl FromStr for TokenApiVersion {
    type Err = InvalidTokenApiVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1.0" => Ok(Self::V1),
            "2.0" => Ok(Self::V2),
            _ => Err(InvalidTokenApiVersion(())),
        }
    }
}

impl fmt::Display for TokenApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Scheme, host and port of a server that secrets may be sent to.
///
/// Always https, unless the host is this machine (127.0.0.0/8, `[::1]`, `localhost`,
/// `*.localhost`).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServerOrigin {
    url: Url,
}

/// Why a text is no [`ServerOrigin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidServerOrigin {
    #[error("not the origin of a server: write `https://host` or `https://host:port`")]
    Syntax,
    #[error("an origin has no path, query or fragment: write only `https://host[:port]`")]
    Path,
    #[error("an origin has no user name or password: write only `https://host[:port]`")]
    UserInfo,
    #[error("plain http is for loopback hosts alone: write `https://`")]
    PlainHttp,
}

impl ServerOrigin {
    /// The origin without a slash at its end; the port is left out if it is the scheme's own.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    pub(super) fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.host().is_some_and(is_loopback)
    }

    pub(super) fn host(&self) -> Option<Host<&str>> {
        self.url.host()
    }

    /// Reads `host[:port]` as the origin of a server that speaks `scheme`.
    pub(super) fn from_authority(scheme: &str, text: &str) -> Result<Self, InvalidServerOrigin> {
        if text.contains('@') {
            return Err(InvalidServerOrigin::UserInfo);
        }
        if text.contains(['/', '\\', '?', '#']) {
            return Err(InvalidServerOrigin::Path);
        }
        // The URL parser would decode `%` and drop tabs and line breaks without a word.
        if text.contains(|c: char| c == '%' || c.is_whitespace() || c.is_control()) {
            return Err(InvalidServerOrigin::Syntax);
        }
        let url =
            Url::parse(&format!("{scheme}://{text}/")).map_err(|_| InvalidServerOrigin::Syntax)?;
        let origin = Self { url };
        match origin.url.scheme() {
            "https" => Ok(origin),
            "http" if origin.is_loopback() => Ok(origin),
            "http" => Err(InvalidServerOrigin::PlainHttp),
            _ => Err(InvalidServerOrigin::Syntax),
        }
    }
}

impl FromStr for ServerOrigin {
    type Err = InvalidServerOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidServerOrigin::Syntax)?;
        if !["https", "http"].contains(&scheme) {
            return Err(InvalidServerOrigin::Syntax);
        }
        Self::from_authority(scheme, rest.strip_suffix('/').unwrap_or(rest))
    }
}

impl fmt::Display for ServerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ServerOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerOrigin({self})")
    }
}

/// The Sentinel server of an account; its text is its origin and serves as a cache's key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SentinelHost(Arc<ServerOrigin>);

impl SentinelHost {
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn origin(&self) -> &ServerOrigin {
        &self.0
    }
}

impl From<ServerOrigin> for SentinelHost {
    fn from(origin: ServerOrigin) -> Self {
        Self(Arc::new(origin))
    }
}

impl fmt::Display for SentinelHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SentinelHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SentinelHost({self})")
    }
}

/// The service's name at the Domain API, which is case-sensitive.
pub(super) const SENTINEL: &str = "sentinel";

pub(super) fn base_uri_url(domain_api: &ServerOrigin, account: &AccountId) -> String {
    format!("{domain_api}/api/account/{account}/service/{SENTINEL}/baseURI.json?version=1.0")
}

pub(super) fn token_url(
    host: &SentinelHost,
    account: &AccountId,
    version: TokenApiVersion,
) -> String {
    format!("{host}/sentinel/api/account/{account}/token?v={version}")
}

/// Version 2, whose tokens are signed with a key of the key set; it takes no `v`.
pub(super) fn app_token_url(host: &SentinelHost, account: &AccountId) -> String {
    format!("{host}/sentinel/api/v2/account/{account}/app/token")
}

/// The documentation prints `?v1.0` beside a table that requires `v`: the table is followed.
pub(super) fn revoke_url(host: &SentinelHost, account: &AccountId) -> String {
    format!("{host}/sentinel/api/account/{account}/token/revoke?v=1.0")
}

/// There is no dot before `well-known`, and no account.
pub(super) fn jwks_url(origin: &ServerOrigin) -> String {
    format!("{origin}/sentinel/well-known/jwks")
}

pub(super) fn authorize_url(
    host: &SentinelHost,
    account: &AccountId,
    parameters: &[(&str, &str)],
) -> String {
    let base = format!("{host}/sentinel/api/account/{account}/authorize?");
    let start = base.len();
    form_urlencoded::Serializer::for_suffix(base, start).extend_pairs(parameters).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_a_port() {
        for (text, expected) in [
            ("https://api.liveperson.net", "https://api.liveperson.net"),
            ("https://API.liveperson.net/", "https://api.liveperson.net"),
            ("https://a.example:8443/", "https://a.example:8443"),
            ("https://a.example:443", "https://a.example"),
            ("https://10.0.0.1", "https://10.0.0.1"),
            ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://[::1]:3000/", "http://[::1]:3000"),
            ("http://localhost", "http://localhost"),
            ("http://mock.localhost:1", "http://mock.localhost:1"),
        ] {
            let origin: ServerOrigin = text.parse().expect(text);
            assert_eq!(origin.as_str(), expected);
        }
    }

    /// N04.
    #[test]
    fn what_is_no_origin_is_refused_with_its_reason() {
        use InvalidServerOrigin::{Path, PlainHttp, Syntax, UserInfo};
        for (text, expected) in [
            ("", Syntax),
            ("api.liveperson.net", Syntax),
            ("https:api.liveperson.net", Syntax),
            ("https://", Syntax),
            ("https:///", Syntax),
            ("https://a b", Syntax),
            ("https://a\n.example", Syntax),
            (" https://a.example", Syntax),
            ("https://a.example ", Syntax),
            ("https://%61.example", Syntax),
            ("https://a.example:99999", Syntax),
            ("ftp://a.example", Syntax),
            ("https://a.example//", Path),
            ("https://a.example/x", Path),
            ("https://a.example/./", Path),
            ("https://a.example?", Path),
            ("https://a.example/#", Path),
            ("https://a.example\\x", Path),
            ("https://u@a.example", UserInfo),
            ("https://u:p@a.example", UserInfo),
            ("http://a.example", PlainHttp),
            ("http://10.0.0.1", PlainHttp),
            ("http://0.0.0.0", PlainHttp),
            ("http://notlocalhost", PlainHttp),
            ("http://localhost.example", PlainHttp),
            ("http://[::2]", PlainHttp),
        ] {
            assert_eq!(text.parse::<ServerOrigin>(), Err(expected), "for {text:?}");
        }
    }

    #[test]
    fn endpoints_are_the_documented_ones() {
        let host = SentinelHost::from("https://va.example".parse::<ServerOrigin>().unwrap());
        let account = "12345678".parse().unwrap();
        assert_eq!(
            base_uri_url(host.origin(), &account),
            "https://va.example/api/account/12345678/service/sentinel/baseURI.json?version=1.0"
        );
        assert_eq!(
            token_url(&host, &account, TokenApiVersion::V1),
            "https://va.example/sentinel/api/account/12345678/token?v=1.0"
        );
        assert_eq!(
            app_token_url(&host, &account),
            "https://va.example/sentinel/api/v2/account/12345678/app/token"
        );
        assert_eq!(
            revoke_url(&host, &account),
            "https://va.example/sentinel/api/account/12345678/token/revoke?v=1.0"
        );
        assert_eq!(jwks_url(host.origin()), "https://va.example/sentinel/well-known/jwks");
    }
}
