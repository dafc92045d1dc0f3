//! A token with nothing wrong but, perhaps, its signature.

use super::{error::Refusal, jwks::KeySet, rules::KeyDemand, token::UnverifiedToken};

/// The claims `C` have been checked, each kind of token by its own rules; nobody vouches for them
/// yet.
#[derive(Debug)]
pub(super) struct Candidate<'a, C> {
    pub(super) token: UnverifiedToken<'a>,
    pub(super) claims: C,
    pub(super) demand: KeyDemand,
}

impl<C> Candidate<'_, C> {
    /// Whether the set has a key that may have signed this token.
    pub(super) fn has_key_in(&self, keys: &KeySet) -> bool {
        let key_id = self.token.key_id.as_deref();
        keys.candidates(key_id, self.demand.least_bits).next().is_some()
    }

    /// Checks the signature. `keys` either has a key for this token or is fresh.
    ///
    /// A token without `kid` is tried with every key of the set. Without any key that may have
    /// signed it, a token is believed only if its rules and source allow that (OpenID Connect Core
    /// §3.1.3.7, item 6); then the answer is `false`: no key vouches for it.
    pub(super) fn check_signature(&self, keys: &KeySet) -> Result<bool, Refusal> {
        let (key_id, signed) = (self.token.key_id.as_deref(), self.token.signed);
        if self.has_key_in(keys) {
            let mut candidates = keys.candidates(key_id, self.demand.least_bits);
            if candidates.any(|key| key.verifies(signed, &self.token.signature)) {
                Ok(true)
            } else {
                Err(Refusal::Signature)
            }
        } else if self.demand.believes_unsigned {
            Ok(false)
        } else {
            Err(Refusal::UnknownKey)
        }
    }
}
