//! How a session travels: in a browser's cookie, or as a token that other clients keep.

use http::HeaderName;

/// How a session travels. What was sealed for one never opens as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The cookie: the browser sends it along by itself, whoever asks.
    Cookie,
    /// A bearer token (RFC 6750 §2.1): only who holds it sends it.
    Token,
}

/// The response header that hands out a renewed session token.
pub(crate) const TOKEN_HEADER: HeaderName = HeaderName::from_static("lp-session-token");
