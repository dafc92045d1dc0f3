//! What an application demands of an id_token.

use std::str::FromStr;

/// Whether an id_token that comes straight from the token endpoint needs a signature that a
/// published key verifies.
///
/// LivePerson does not document which key signs its id_tokens, nor that it is published. A wrong
/// signature by a published key is refused either way, and so is a bearer token without a right
/// one.
///
/// In configuration these are the words `published` and `required`.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::IdTokenSignature;
///
/// assert_eq!("required".parse(), Ok(IdTokenSignature::Required));
/// assert_eq!(IdTokenSignature::default(), IdTokenSignature::Published);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdTokenSignature {
    /// A published key is used, also one of 1024 to 2047 bits. Where Sentinel publishes no key that
    /// fits, the token is believed because it came over TLS from the token endpoint (OpenID Connect
    /// Core §3.1.3.7, item 6).
    #[default]
    Published,
    /// No token is believed without a signature of a published key of at least 2048 bits.
    Required,
}

/// The text is neither `published` nor `required`; see [`IdTokenSignature`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a signature policy: use `published` or `required`")]
pub struct InvalidIdTokenSignature(());

impl FromStr for IdTokenSignature {
    type Err = InvalidIdTokenSignature;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "published" => Ok(Self::Published),
            "required" => Ok(Self::Required),
            _ => Err(InvalidIdTokenSignature(())),
        }
    }
}

/// The demands that differ between applications.
#[derive(Clone, Debug)]
pub(crate) struct IdTokenRules {
    /// The only audience.
    pub(crate) client_id: Box<str>,
    /// The only issuer, exactly; `None` is either spelling of [`ISSUERS`].
    pub(crate) issuer: Option<Box<str>>,
    pub(crate) signature: IdTokenSignature,
}

/// Examples and prose of LivePerson's documentation disagree about the capital letter.
const ISSUERS: [&str; 2] = ["Sentinel", "sentinel"];

/// What RFC 7518 §3.3 asks of RS256.
const LEAST_BITS: usize = 2048;

/// The key of LivePerson's documented example; nothing smaller is ever used.
pub(super) const LEAST_BITS_PUBLISHED: usize = 1024;

/// Who handed over a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenSource {
    /// Sentinel's token endpoint, over TLS, in answer to our own request.
    TokenEndpoint,
    /// Whoever called us.
    #[cfg_attr(
        not(any(test, fuzzing)),
        expect(dead_code, reason = "no id_token is accepted as a bearer yet")
    )]
    Bearer,
}

impl IdTokenRules {
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        match &self.issuer {
            Some(only) => **only == *issuer,
            None => ISSUERS.contains(&issuer),
        }
    }

    /// The smallest modulus that may verify a token of this source.
    pub(super) fn least_bits(&self, source: TokenSource) -> usize {
        if self.believes_unsigned(source) { LEAST_BITS_PUBLISHED } else { LEAST_BITS }
    }

    /// Whether a token of this source may do without a key, if none is published.
    pub(super) fn believes_unsigned(&self, source: TokenSource) -> bool {
        self.signature == IdTokenSignature::Published && source == TokenSource::TokenEndpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_documented_words_are_policies() {
        assert_eq!("published".parse(), Ok(IdTokenSignature::Published));
        assert_eq!("required".parse(), Ok(IdTokenSignature::Required));
        for text in ["", "Required", " required", "none"] {
            assert!(text.parse::<IdTokenSignature>().is_err(), "accepted {text:?}");
        }
    }
}
