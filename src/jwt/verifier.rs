//! From an id_token of the token endpoint to claims that are believed.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    candidate::Candidate,
    error::{IdTokenError, Refusal},
    id_claims::IdClaims,
    jwks::KeySet,
    key_cache::{FetchKeys, KeyCache},
    rules::IdTokenRules,
    token::UnverifiedToken,
};
use crate::clock::{Clock, Timestamp};

/// Verifies id_tokens of any Sentinel host against the keys that the host publishes.
pub(crate) struct IdTokenVerifier {
    pub(super) rules: IdTokenRules,
    /// Shared with the verifier of bearer tokens: one fetch serves both.
    pub(super) keys: Arc<KeyCache>,
    pub(super) clock: Arc<dyn Clock>,
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
            keys: Arc::new(KeyCache::new(keys, clock.clone())),
            clock,
            warned: AtomicBool::new(false),
        }
    }

    /// Verifies a token that has come straight from the token endpoint.
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
        access_token: Option<&str>,
    ) -> Result<IdClaims, IdTokenError> {
        let now = self.clock.now().into();
        let candidate = Candidate::id_token(&self.rules, token, access_token, now)?;
        let keys = self.keys.find(host, |keys| candidate.has_key_in(keys));
        let keys = keys.await.map_err(IdTokenError::KeysUnavailable)?;
        let claims = candidate.decide(&keys.set)?;
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

impl<'a> Candidate<'a, IdClaims> {
    /// Checks all of an id_token of the token endpoint but its signature.
    pub(super) fn id_token(
        rules: &IdTokenRules,
        token: &'a str,
        access_token: Option<&str>,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let token = UnverifiedToken::parse(token)?;
        let claims = IdClaims::check(&token.payload, rules, access_token, now)?;
        Ok(Self { token, claims, demand: rules.keys_at_login() })
    }

    /// Checks the signature. `keys` either has a key for this token or is fresh.
    pub(super) fn decide(self, keys: &KeySet) -> Result<IdClaims, Refusal> {
        let signature_checked = self.check_signature(keys)?;
        Ok(IdClaims { signature_checked, ..self.claims })
    }
}
