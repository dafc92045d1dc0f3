//! What a failed call means: for the token or code it carried, and for whoever asks again.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::StatusCode;

use super::endpoint::InvalidServerOrigin;

/// What lies beneath an error; shared, since one call has many waiters.
pub(crate) type Cause = Arc<dyn StdError + Send + Sync>;

/// Why Sentinel gave no tokens, or did not revoke one.
///
/// The variants differ in what is known of the code or token that the call carried: see
/// [`is_unspent`](Self::is_unspent). No text holds a secret, a body or a URL.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum TokenError {
    /// Sentinel answered with a 4xx, mostly an OAuth error (RFC 6749 §5.2).
    #[error("sentinel refused the request with status {status}: {error}")]
    Refused { error: OAuthErrorCode, status: StatusCode },
    /// Sentinel answered with a 5xx, or with a status that this endpoint should never have.
    #[error("sentinel answered with status {status}")]
    Server { status: StatusCode, retry_after: Option<Duration> },
    /// The token was not presented: no host, no connection, no TLS.
    #[error("sentinel could not be reached")]
    NotSent(#[source] Cause),
    /// The request went out, and no whole answer came back.
    #[error("sentinel's answer did not arrive")]
    Unknown(#[source] Cause),
    /// A success without usable tokens.
    #[error("sentinel's answer is not usable")]
    Malformed(#[source] MalformedAnswer),
    /// Sentinel asks for patience (429), now or at an earlier call of the same grant.
    #[error("sentinel asked for a pause of {} s", retry_after.as_secs())]
    Throttled { retry_after: Duration },
}

impl TokenError {
    /// Whether the code or token is certainly as good as before the call.
    #[cfg(test)]
    pub(crate) const fn is_unspent(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::Server { .. } | Self::Throttled { .. } => true,
            Self::Refused { error, .. } => !matches!(error, OAuthErrorCode::InvalidGrant),
            Self::Unknown(_) | Self::Malformed(_) => false,
        }
    }

    /// Whether Sentinel refuses our own credentials: nothing helps but an operator.
    pub(crate) const fn is_misconfiguration(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                error: OAuthErrorCode::InvalidClient | OAuthErrorCode::UnauthorizedClient,
                ..
            }
        )
    }

    /// How long Sentinel wants to be left alone, from 1 to 60 s, if it said so.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after } => Some(*retry_after),
            Self::Server { retry_after, .. } => *retry_after,
            Self::Refused { .. } | Self::NotSent(_) | Self::Unknown(_) | Self::Malformed(_) => None,
        }
    }

    /// The variant's name, for logs and metrics.
    pub(crate) const fn class(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::Server { .. } => "server",
            Self::NotSent(_) => "not_sent",
            Self::Unknown(_) => "unknown",
            Self::Malformed(_) => "malformed",
            Self::Throttled { .. } => "throttled",
        }
    }

    pub(super) const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } | Self::Server { status, .. } => Some(*status),
            Self::Throttled { .. } => Some(StatusCode::TOO_MANY_REQUESTS),
            Self::NotSent(_) | Self::Unknown(_) | Self::Malformed(_) => None,
        }
    }
}

/// The `error` of an answer of Sentinel's (RFC 6749 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OAuthErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    /// Of a revocation (RFC 7009 §2.2.1).
    UnsupportedTokenType,
    /// A code that the RFC does not list.
    Other,
    /// The body names no code.
    Missing,
}

impl OAuthErrorCode {
    pub(super) fn from_code(code: &str) -> Self {
        match code {
            "invalid_request" => Self::InvalidRequest,
            "invalid_client" => Self::InvalidClient,
            "invalid_grant" => Self::InvalidGrant,
            "unauthorized_client" => Self::UnauthorizedClient,
            "unsupported_grant_type" => Self::UnsupportedGrantType,
            "invalid_scope" => Self::InvalidScope,
            "unsupported_token_type" => Self::UnsupportedTokenType,
            "" => Self::Missing,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for OAuthErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::UnsupportedTokenType => "unsupported_token_type",
            Self::Other => "an unlisted error code",
            Self::Missing => "no error code",
        })
    }
}

/// Why a success holds no usable tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MalformedAnswer {
    #[error("the answer is no JSON object, or names a member twice")]
    NotJson,
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer has a status of success and carries an error")]
    Error,
    #[error("the answer has no access token of visible ASCII and at most 8 KiB")]
    AccessToken,
    #[error("the answer's refresh token is no text of printable ASCII and at most 8 KiB")]
    RefreshToken,
}

/// Why a host or a set of keys could not be fetched.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FetchError {
    /// No connection, or no whole answer in time.
    #[error("no answer came")]
    Unreachable(#[source] Cause),
    /// TLS cannot be set up on this machine.
    #[error("no https call can be made")]
    Tls(#[source] MissingCaCertificates),
    /// A status that is no success.
    #[error("the answer has status {0}")]
    Status(StatusCode),
    /// The answer is longer than any good one.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The Domain API's answer names no Sentinel that may be asked.
    #[error("the domain API's answer is refused")]
    Host(#[source] InvalidHostAnswer),
    /// What was to be asked is no server's origin.
    #[error("the server's name is refused")]
    Origin(#[source] InvalidServerOrigin),
}

impl FetchError {
    pub(crate) const fn class(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Status(_) => "status",
            Self::TooLarge(_) => "too_large",
            Self::Host(_) => "host",
            Self::Origin(_) => "origin",
        }
    }

    pub(super) const fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(status) => Some(*status),
            _ => None,
        }
    }
}

/// Why an answer of the Domain API is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidHostAnswer {
    #[error("it is no JSON object with a `baseURI`")]
    Syntax,
    #[error("it names no service `sentinel`")]
    Service,
    #[error("it speaks of another account")]
    Account,
    #[error("its `baseURI` is no `host[:port]`")]
    BaseUri,
    #[error("its host is under none of the configured suffixes")]
    Suffix,
}

/// There are no CA certificates to verify servers with.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no CA certificates were found: install the package `ca-certificates`, or give the builder \
     yours with `ca_certificate`"
)]
pub(crate) struct MissingCaCertificates(#[source] pub(super) Arc<reqwest::Error>);

/// The HTTP client's settings cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpSetupError {
    #[error("the CA certificate is not PEM: give the text from `-----BEGIN CERTIFICATE-----` on")]
    CaCertificate,
    #[error("the proxy is no URL of a proxy: write `http://host:port`")]
    Proxy,
    #[error("a time-out of the HTTP client is zero")]
    Timeout,
}

/// The innermost cause of an error: what an operator wants to read.
pub(super) fn root_cause<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause() -> Cause {
        Arc::new(fmt::Error)
    }

    /// F08 to F12: what may be presented again without a second thought.
    #[test]
    fn only_a_token_that_was_not_taken_counts_as_unspent() {
        let refused = |error| TokenError::Refused { error, status: StatusCode::BAD_REQUEST };
        let server = TokenError::Server { status: StatusCode::BAD_GATEWAY, retry_after: None };
        let throttled = TokenError::Throttled { retry_after: Duration::from_secs(3) };
        for (error, unspent) in [
            (refused(OAuthErrorCode::InvalidGrant), false),
            (refused(OAuthErrorCode::InvalidClient), true),
            (refused(OAuthErrorCode::Other), true),
            (refused(OAuthErrorCode::Missing), true),
            (server, true),
            (throttled, true),
            (TokenError::NotSent(cause()), true),
            (TokenError::Unknown(cause()), false),
            (TokenError::Malformed(MalformedAnswer::NotJson), false),
        ] {
            assert_eq!(error.is_unspent(), unspent, "for {error:?}");
        }
    }
}
