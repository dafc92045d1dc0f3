//! From a text that somebody handed over to claims that are believed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    claims::IdClaims,
    error::{IdTokenError, Refusal},
    jwks::KeySet,
    key_cache::{FetchKeys, KeyCache},
    rules::{IdTokenRules, TokenSource},
    token::UnverifiedToken,
};
use crate::clock::{Clock, Timestamp};

/// Verifies id_tokens of any Sentinel host against the keys that the host publishes.
pub(crate) struct IdTokenVerifier {
    rules: IdTokenRules,
    keys: KeyCache,
    clock: Arc<dyn Clock>,
    warned: AtomicBool,
}

impl IdTokenVerifier {
    pub(crate) fn new(
        rules: IdTokenRules,
        keys: Arc<dyn FetchKeys>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            rules,
            keys: KeyCache::new(keys, clock.clone()),
            clock,
            warned: AtomicBool::new(false),
        }
    }

    /// Verifies one token.
    ///
    /// `host` is the origin whose keys count. `access_token` is the one that came in the same
    /// answer, if any: a token's `at_hash` must belong to it. What needs no key is checked first, so
    /// that a token that cannot be right makes nobody fetch.
    ///
    /// # Errors
    ///
    /// [`IdTokenError::Refused`] if the token is not to be believed,
    /// [`IdTokenError::KeysUnavailable`] if that cannot be said for want of keys.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn verify(
        &self,
        host: &str,
        token: &str,
        source: TokenSource,
        access_token: Option<&str>,
    ) -> Result<IdClaims, IdTokenError> {
        let now = self.clock.now().into();
        let candidate = Candidate::read(&self.rules, token, source, access_token, now)?;
        let keys = self.keys.find(host, |keys| candidate.has_key_in(keys));
        let keys = keys.await.map_err(IdTokenError::KeysUnavailable)?;
        let claims = candidate.decide(&keys)?;
        if !claims.signature_checked {
            self.warn_once(host);
        }
        Ok(claims)
    }

    fn warn_once(&self, host: &str) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                host,
                "id_tokens are believed without a signature check: no published key fits; \
                 the policy `required` refuses them"
            );
        }
    }
}

impl fmt::Debug for IdTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdTokenVerifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

/// RSA signatures of 1024 to 8192 bits; anything else is none.
const SIGNATURE_LENS: std::ops::RangeInclusive<usize> = 128..=1024;

/// A token with nothing wrong but, perhaps, its signature.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    token: UnverifiedToken<'a>,
    claims: IdClaims,
    least_bits: usize,
    believes_unsigned: bool,
}

impl<'a> Candidate<'a> {
    /// Checks all of a token but its signature.
    pub(super) fn read(
        rules: &IdTokenRules,
        token: &'a str,
        source: TokenSource,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let token = UnverifiedToken::parse(token)?;
        if !SIGNATURE_LENS.contains(&token.signature.len()) {
            return Err(Refusal::Signature);
        }
        Ok(Self {
            claims: IdClaims::check(&token.payload, rules, access_token, now)?,
            token,
            least_bits: rules.least_bits(source),
            believes_unsigned: rules.believes_unsigned(source),
        })
    }

    /// Whether the set has a key that may have signed this token.
    pub(super) fn has_key_in(&self, keys: &KeySet) -> bool {
        let key_id = self.token.key_id.as_deref();
        keys.candidates(key_id, self.least_bits).next().is_some()
    }

    /// Checks the signature. `keys` either has a key for this token or is fresh.
    ///
    /// A token without `kid` is tried with every key of the set. Without any key that may have
    /// signed it, a token is believed only if its rules and source allow that (OpenID Connect Core
    /// §3.1.3.7, item 6).
    pub(super) fn decide(self, keys: &KeySet) -> Result<IdClaims, Refusal> {
        let key_id = self.token.key_id.as_deref();
        let signature_checked = if self.has_key_in(keys) {
            let (signed, signature) = (self.token.signed, &*self.token.signature);
            let mut candidates = keys.candidates(key_id, self.least_bits);
            if !candidates.any(|key| key.verifies(signed, signature)) {
                return Err(Refusal::Signature);
            }
            true
        } else if self.believes_unsigned {
            false
        } else {
            return Err(Refusal::UnknownKey);
        };
        Ok(IdClaims { signature_checked, ..self.claims })
    }
}
