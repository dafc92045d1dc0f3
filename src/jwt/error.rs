//! Why a token was not believed.

use std::fmt;

use crate::error::BoxError;

/// No claims came of an id_token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdTokenError {
    /// The host's keys are needed and cannot be had; asking again may help.
    #[error("the keys that verify id_tokens could not be fetched")]
    KeysUnavailable(#[source] BoxError),
    /// The token is not to be believed; asking again with it will not help.
    #[error("the id_token was refused: {0}")]
    Refused(Refusal),
}

/// No claims came of a token that a caller presented.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BearerError {
    /// The host's keys are needed and cannot be had; asking again may help.
    #[error("the keys that verify bearer tokens could not be fetched")]
    KeysUnavailable(#[source] BoxError),
    /// The token is not to be believed; asking again with it will not help.
    #[error("the bearer token was refused: {0}")]
    Refused(Refusal),
}

impl BearerError {
    /// The name in logs and metrics.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::KeysUnavailable(_) => "keys_unavailable",
            Self::Refused(refusal) => refusal.as_str(),
        }
    }
}

/// What is wrong with a token: the first fault found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    /// Longer than any token of Sentinel.
    TooLong,
    /// Not three parts of canonical base64url.
    Malformed,
    /// The header is not a JSON object with distinct names.
    Header,
    /// `alg` is not `RS256`.
    Algorithm,
    /// `crit` or `b64` demand an extension (RFC 7515 §4.1.11).
    Critical,
    /// `typ` says that this is some other kind of token.
    Type,
    /// `kid` is not a short string.
    KeyId,
    /// The payload is not a JSON object with distinct names.
    Payload,
    /// `iss` is missing or another's.
    Issuer,
    /// `aud` is missing or not this client alone; of a bearer, not this account alone either.
    Audience,
    /// Tokens of this audience are not accepted from callers.
    NotAccepted,
    /// `azp` is another's.
    AuthorizedParty,
    /// An App-JWT that acts for a consumer.
    Delegated,
    /// `sub` is missing, empty, too long or not plain text.
    Subject,
    /// `exp` or `iat` is missing, or a time is not a sensible number.
    Time,
    /// `exp` has passed.
    Expired,
    /// `iat` lies in the future.
    IssuedInFuture,
    /// `nbf` lies in the future.
    NotYetValid,
    /// `iat` is too long ago for a token of a login that just happened.
    TooOld,
    /// Between `iat` and `exp` lies more time than any token is given.
    LifeTooLong,
    /// `is_admin` or `is_lpa` is not a boolean.
    Role,
    /// `scope` is not a short list of names.
    Scope,
    /// `at_hash` belongs to another access token.
    AccessTokenHash,
    /// The host publishes no usable key that could have signed it.
    UnknownKey,
    /// No signature, or not one of the key it names.
    Signature,
}

impl Refusal {
    /// The name in logs and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::Critical => "critical",
            Self::Type => "type",
            Self::KeyId => "key_id",
            Self::Payload => "payload",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::NotAccepted => "not_accepted",
            Self::AuthorizedParty => "authorized_party",
            Self::Delegated => "delegated",
            Self::Subject => "subject",
            Self::Time => "time",
            Self::Expired => "expired",
            Self::IssuedInFuture => "issued_in_future",
            Self::NotYetValid => "not_yet_valid",
            Self::TooOld => "too_old",
            Self::LifeTooLong => "life_too_long",
            Self::Role => "role",
            Self::Scope => "scope",
            Self::AccessTokenHash => "access_token_hash",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
        }
    }

    /// Whether a wrong clock, here or at Sentinel, explains the refusal.
    pub(crate) const fn is_clock_skew(self) -> bool {
        matches!(self, Self::Expired | Self::IssuedInFuture | Self::NotYetValid)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is too long",
            Self::Malformed => "it is not three parts of base64url",
            Self::Header => "its header is not a JSON object with distinct names",
            Self::Algorithm => "its `alg` is not RS256",
            Self::Critical => "its header demands an extension",
            Self::Type => "its `typ` is not JWT",
            Self::KeyId => "its `kid` is not a short string",
            Self::Payload => "its payload is not a JSON object with distinct names",
            Self::Issuer => "its `iss` is not the expected issuer",
            Self::Audience => {
                "its `aud` is not this client (or, for an App-JWT, this account) alone"
            }
            Self::NotAccepted => "tokens of its kind are not accepted from callers",
            Self::AuthorizedParty => {
                "its `azp` is not this client (or, for an App-JWT, one that is accepted)"
            }
            Self::Delegated => "it acts for a consumer",
            Self::Subject => "its `sub` is not a plain, short text",
            Self::Time => "its `exp`, `iat` or `nbf` is missing or not a time",
            Self::Expired => "it has expired (clock skew: check this host's clock)",
            Self::IssuedInFuture => {
                "it was issued in the future (clock skew: check this host's clock)"
            }
            Self::NotYetValid => "it is not valid yet (clock skew: check this host's clock)",
            Self::TooOld => "it was issued too long ago",
            Self::LifeTooLong => "it is valid for too long",
            Self::Scope => "its `scope` is not a short list of names",
            Self::Role => "its `is_admin` or `is_lpa` is not a boolean",
            Self::AccessTokenHash => "its `at_hash` belongs to another access token",
            Self::UnknownKey => "no published key could have signed it",
            Self::Signature => "its signature is wrong",
        })
    }
}

impl From<Refusal> for IdTokenError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refusal> for BearerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
