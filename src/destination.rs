//! Where a token of a client's may travel: over TLS or on this machine, and where it is bound to an
//! origin, there alone.

use http::{Uri, uri::Scheme};
use url::{Host, Url};

use crate::{
    loopback::{is_loopback, is_secure},
    site::is_origin,
};

/// A text that is no origin to which a token can be bound; see
/// [`LpSessionTokenLayer::origin`](crate::LpSessionTokenLayer::origin) and
/// [`LpAppTokenLayer::origin`](crate::LpAppTokenLayer::origin).
///
/// # Examples
///
/// ```
/// use tower_lp_auth::{LpSessionTokenLayer, SessionToken};
///
/// let layer = LpSessionTokenLayer::new(SessionToken::new("kept"));
/// for origin in ["https://app.example.com", "http://localhost:3000"] {
///     assert!(layer.clone().origin(origin).is_ok());
/// }
/// // Whoever is on the way could read it; and a path would promise what is not checked.
/// for origin in ["http://app.example.com", "https://app.example.com/api"] {
///     assert!(layer.clone().origin(origin).is_err());
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no origin: write `https://host` or `https://host:port`, plain http for a loopback host only"
)]
pub struct InvalidOrigin(());

/// Scheme, host and port (RFC 6454 §4).
#[derive(Debug)]
pub(crate) struct Origin {
    scheme: Scheme,
    /// An IPv6 address in its brackets, as in a URI.
    host: Box<str>,
    port: u16,
}

/// Whether a request may carry the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    Allowed,
    /// Whoever is on the way could read it.
    Insecure,
    /// The token is bound to another origin.
    Foreign,
}

impl Origin {
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let url = Url::parse(text).ok().filter(|url| is_secure(url) && is_origin(url));
        let url = url.ok_or(InvalidOrigin(()))?;
        let (scheme, port) = match url.scheme() {
            "https" => (Scheme::HTTPS, url.port().unwrap_or(443)),
            _ => (Scheme::HTTP, url.port().unwrap_or(80)),
        };
        let host = url.host_str().ok_or(InvalidOrigin(()))?.into();
        Ok(Self { scheme, host, port })
    }

    /// `host` and `port` are read as a connector does: without a port it takes the scheme's.
    fn is(&self, scheme: &Scheme, host: &str, port: Option<u16>) -> bool {
        let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        self.scheme == *scheme
            && self.host.eq_ignore_ascii_case(host)
            && self.port == port.unwrap_or(default)
    }
}

impl Destination {
    /// Without an authority it is whoever sends the request on that knows where to, as tonic's
    /// `Channel` does.
    pub(crate) fn of(uri: &Uri, bound_to: Option<&Origin>) -> Self {
        let Some(host) = uri.host() else { return Self::Allowed };
        let scheme = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => scheme,
            Some(scheme) if *scheme == Scheme::HTTP && is_this_machine(host) => scheme,
            _ => return Self::Insecure,
        };
        match bound_to {
            Some(origin) if !origin.is(scheme, host, uri.port_u16()) => Self::Foreign,
            _ => Self::Allowed,
        }
    }

    /// Why the token is withheld, in a word for the log.
    pub(crate) fn objection(self) -> Option<&'static str> {
        match self {
            Self::Allowed => None,
            Self::Insecure => Some("insecure"),
            Self::Foreign => Some("foreign_origin"),
        }
    }
}

fn is_this_machine(host: &str) -> bool {
    Host::parse(host).is_ok_and(|host| match host {
        Host::Domain(name) => is_loopback(Host::Domain(&name)),
        Host::Ipv4(address) => is_loopback(Host::Ipv4(address)),
        Host::Ipv6(address) => is_loopback(Host::Ipv6(address)),
    })
}

#[cfg(test)]
mod tests {
    use super::{Destination::*, *};

    #[test]
    fn a_token_travels_over_tls_or_on_this_machine() {
        for (uri, expected) in [
            ("https://app.example/me", Allowed),
            ("HTTPS://APP.EXAMPLE", Allowed),
            ("http://127.0.0.1:3000/me", Allowed),
            ("http://LocalHost/me", Allowed),
            ("http://[::1]:3000/me", Allowed),
            ("/me", Allowed),
            ("/package.Service/Method", Allowed),
            ("*", Allowed),
            ("http://app.example/me", Insecure),
            ("http://localhost.example/me", Insecure),
            ("http://localhost@app.example/me", Insecure),
            ("http://128.0.0.1/me", Insecure),
            ("http://0.0.0.0/me", Insecure),
            ("http://[::2]/me", Insecure),
            ("ws://localhost/me", Insecure),
            ("ftp://app.example/me", Insecure),
            ("localhost:3000", Insecure),
            ("app.example:443", Insecure),
        ] {
            assert_eq!(Destination::of(&uri.parse().unwrap(), None), expected, "{uri}");
        }
    }

    #[test]
    fn a_bound_token_goes_to_its_origin_alone() {
        let secure = "https://app.example";
        for (origin, uri, expected) in [
            (secure, "https://app.example/me", Allowed),
            (secure, "https://App.Example:443/me", Allowed),
            (secure, "/me", Allowed),
            ("https://App.example:443/", "https://app.example", Allowed),
            ("https://app.example:8443", "https://app.example:8443/me", Allowed),
            ("http://localhost:3000", "http://localhost:3000/me", Allowed),
            ("http://[::1]:3000", "http://[::1]:3000/me", Allowed),
            (secure, "https://app.example:8443/me", Foreign),
            (secure, "https://api.app.example/me", Foreign),
            (secure, "https://app.example.evil/me", Foreign),
            (secure, "https://app.example@evil/me", Foreign),
            (secure, "https://notapp.example/me", Foreign),
            (secure, "https://app.example./me", Foreign),
            (secure, "http://localhost/me", Foreign),
            (secure, "http://app.example/me", Insecure),
            (secure, "http://app.example:443/me", Insecure),
            ("http://localhost:3000", "https://localhost:3000/me", Foreign),
            ("http://localhost:3000", "http://localhost:3001/me", Foreign),
            ("http://localhost:3000", "http://127.0.0.1:3000/me", Foreign),
        ] {
            let bound_to = Origin::parse(origin).unwrap();
            let destination = Destination::of(&uri.parse().unwrap(), Some(&bound_to));
            assert_eq!(destination, expected, "{uri} of {origin}");
        }
    }

    #[test]
    fn only_what_a_token_may_travel_to_is_an_origin() {
        for text in [
            "",
            "app.example",
            "//app.example",
            "http://app.example",
            "ftp://app.example",
            "https://app.example/api",
            "https://app.example?x",
            "https://app.example#x",
            "https://user@app.example",
            "https://",
            "https://*.example/*",
            "null",
        ] {
            assert!(Origin::parse(text).is_err(), "accepted {text:?}");
        }
    }
}
