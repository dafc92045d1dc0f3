//! From a JWT that a caller presents to claims that are believed.

use std::{fmt, future::Future, sync::Arc};

use super::{
    bearer_claims::BearerClaims,
    candidate::Candidate,
    error::{BearerError, Refusal},
    id_claims::IdClaims,
    jwks::KeySet,
    key_cache::KeyCache,
    rules::{BearerRules, IdTokenRules, KeyDemand},
    token::UnverifiedToken,
    verdicts::{Known, Verdicts},
    verifier::IdTokenVerifier,
};
use crate::{
    clock::{Clock, Timestamp},
    error::BoxError,
};

/// Verifies the JWTs that callers present, and remembers those that were believed.
///
/// Nobody vouches for a caller but the token's signature, so it always needs a published key of at
/// least 2048 bits, whatever the policy for id_tokens of the token endpoint is.
pub(crate) struct BearerVerifier {
    rules: BearerRules,
    id_tokens: IdTokenRules,
    keys: Arc<KeyCache>,
    clock: Arc<dyn Clock>,
    verdicts: Verdicts,
}

impl BearerVerifier {
    /// A verifier that shares the keys, the client and the issuer of the one for logins: what
    /// callers present and what logins bring makes no more fetches than either alone.
    pub(crate) fn new(rules: BearerRules, logins: &IdTokenVerifier) -> Self {
        Self {
            rules,
            id_tokens: logins.rules.clone(),
            keys: logins.keys.clone(),
            clock: logins.clock.clone(),
            verdicts: Verdicts::new(),
        }
    }

    /// Gives what a token claims that was believed a while ago and still is. Does no cryptography
    /// but a comparison in constant time, and no I/O.
    ///
    /// `None` says nothing about the token: [`verify`](Self::verify) does.
    pub(crate) fn lookup(&self, token: &str, now: Timestamp) -> Option<Arc<BearerClaims>> {
        match self.verdicts.look_up(token, now, self.clock.monotonic()) {
            Known::Good(claims) => Some(claims),
            Known::Nothing | Known::Over => None,
        }
    }

    /// Verifies one token, and remembers it if it is believed.
    ///
    /// `host` finds the origin of the account's Sentinel, whose keys count. What needs no key is
    /// checked first, so that a token that cannot be right makes nobody ask for it or fetch; one of an unknown key
    /// makes no more fetches than the cooldown of the keys allows.
    ///
    /// # Errors
    ///
    /// [`BearerError::Refused`] if the token is not to be believed,
    /// [`BearerError::KeysUnavailable`] if that cannot be said for want of keys.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn verify(
        &self,
        token: &str,
        host: impl Future<Output = Result<impl AsRef<str>, BoxError>>,
    ) -> Result<Arc<BearerClaims>, BearerError> {
        let now = self.clock.now().into();
        if self.verdicts.look_up(token, now, self.clock.monotonic()) == Known::Over {
            return Err(Refusal::Expired.into());
        }
        let candidate = Candidate::bearer(&self.rules, &self.id_tokens, token, now)?;
        let host = host.await.map_err(BearerError::KeysUnavailable)?;
        let keys = self.keys.find(host.as_ref(), |keys| candidate.has_key_in(keys));
        let keys = keys.await.map_err(BearerError::KeysUnavailable)?;
        let claims = Arc::new(candidate.decide(&keys.set)?);
        self.verdicts.keep(token, &claims, keys.good_until);
        Ok(claims)
    }
}

impl fmt::Debug for BearerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerVerifier").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl<'a> Candidate<'a, BearerClaims> {
    /// Checks all of a bearer token but its signature.
    pub(super) fn bearer(
        rules: &BearerRules,
        id_tokens: &IdTokenRules,
        token: &'a str,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let token = UnverifiedToken::parse(token)?;
        let claims = BearerClaims::check(&token.payload, id_tokens, rules, now)?;
        Ok(Self { token, claims, demand: KeyDemand::FULL })
    }

    /// Checks the signature. `keys` either has a key for this token or is fresh.
    pub(super) fn decide(self, keys: &KeySet) -> Result<BearerClaims, Refusal> {
        let signature_checked = self.check_signature(keys)?;
        Ok(match self.claims {
            BearerClaims::User(claims) => {
                let claims = Arc::unwrap_or_clone(claims);
                BearerClaims::User(Arc::new(IdClaims { signature_checked, ..claims }))
            }
            app @ BearerClaims::App(_) => app,
        })
    }
}
