//! What an application demands of a token.

use std::str::FromStr;

use crate::account::AccountId;

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

/// The demands on id_tokens that differ between applications.
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

/// Which JWTs are believed when a caller presents them.
#[derive(Clone, Debug)]
pub(crate) struct BearerRules {
    /// The account whose App-JWTs are meant: their only audience.
    pub(crate) account: AccountId,
    /// Whether an id_token of our own client stands for its user.
    pub(crate) id_tokens: bool,
    /// The clients (`azp`) whose App-JWTs are accepted; empty for none.
    pub(crate) apps: Box<[Box<str>]>,
}

impl BearerRules {
    pub(super) fn accepts_app(&self, client_id: &str) -> bool {
        self.apps.iter().any(|app| **app == *client_id)
    }
}

/// Which keys may verify a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyDemand {
    /// The smallest modulus.
    pub(super) least_bits: usize,
    /// Whether the token may do without a key, if none is published.
    pub(super) believes_unsigned: bool,
}

impl KeyDemand {
    /// A published key of a size that fits RS256; what a caller presents is never believed with less.
    pub(super) const FULL: Self = Self { least_bits: LEAST_BITS, believes_unsigned: false };

    /// Any published key, or none if none is published.
    const LENIENT: Self = Self { least_bits: LEAST_BITS_PUBLISHED, believes_unsigned: true };
}

impl IdTokenRules {
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        match &self.issuer {
            Some(only) => **only == *issuer,
            None => ISSUERS.contains(&issuer),
        }
    }

    /// What vouches for an id_token that came from Sentinel's token endpoint, over TLS, in answer to
    /// our own request.
    pub(super) fn keys_at_login(&self) -> KeyDemand {
        match self.signature {
            IdTokenSignature::Published => KeyDemand::LENIENT,
            IdTokenSignature::Required => KeyDemand::FULL,
        }
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
