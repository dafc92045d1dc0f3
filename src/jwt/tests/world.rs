//! Verifiers whose host and clock tests move.

use std::future::{Ready, ready};

use super::*;
use crate::jwt::{BearerError, BearerVerifier, IdTokenError, IdTokenVerifier};

/// A verifier, and what moves its world.
pub(super) struct World {
    pub(super) verifier: IdTokenVerifier,
    pub(super) bearers: Arc<BearerVerifier>,
    pub(super) source: Arc<Source>,
    pub(super) clock: Arc<ManualClock>,
}

impl World {
    pub(super) fn new(signature: IdTokenSignature, answer: Answer) -> Self {
        let (source, clock) = (Source::new(answer), Arc::new(ManualClock::default()));
        let verifier = IdTokenVerifier::new(rules(signature), source.clone(), clock.clone());
        let bearers = Arc::new(BearerVerifier::new(bearer_rules(), &verifier));
        Self { verifier, bearers, source, clock }
    }

    pub(super) fn required(answer: Answer) -> Self {
        Self::new(IdTokenSignature::Required, answer)
    }

    pub(super) fn published(answer: Answer) -> Self {
        Self::new(IdTokenSignature::Published, answer)
    }

    pub(super) fn pass(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    /// A login just now with a token of `key`, which calls itself `id`.
    pub(super) async fn login(&self, id: &str, key: &SigningKey) -> Verdict {
        let token = self.token(id, key);
        self.verifier.verify(HOST, &token, None).await.into()
    }

    /// The same token, presented by a caller.
    pub(super) async fn bearer(&self, id: &str, key: &SigningKey) -> Verdict {
        let token = self.token(id, key);
        self.bearers.verify(&token, here()).await.into()
    }

    pub(super) fn token(&self, id: &str, key: &SigningKey) -> String {
        let now = Timestamp::from(self.clock.now()).as_secs();
        let mut claims = claims();
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 600);
        sign(&header(id), &claims.to_string(), key)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Checked,
    Unchecked,
    Refused(Refusal),
    Unavailable,
}

impl From<Result<IdClaims, IdTokenError>> for Verdict {
    fn from(result: Result<IdClaims, IdTokenError>) -> Self {
        match result {
            Ok(claims) if claims.signature_checked => Self::Checked,
            Ok(_) => Self::Unchecked,
            Err(IdTokenError::Refused(refusal)) => Self::Refused(refusal),
            Err(IdTokenError::KeysUnavailable(_)) => Self::Unavailable,
        }
    }
}

impl From<Result<Arc<BearerClaims>, BearerError>> for Verdict {
    fn from(result: Result<Arc<BearerClaims>, BearerError>) -> Self {
        match result.as_deref() {
            Ok(BearerClaims::User(claims)) if !claims.signature_checked => Self::Unchecked,
            Ok(_) => Self::Checked,
            Err(BearerError::Refused(refusal)) => Self::Refused(*refusal),
            Err(BearerError::KeysUnavailable(_)) => Self::Unavailable,
        }
    }
}

/// The host is known.
pub(super) fn here() -> Ready<Result<String, BoxError>> {
    at_host(HOST)
}

pub(super) fn at_host(host: &str) -> Ready<Result<String, BoxError>> {
    ready(Ok(host.to_owned()))
}

pub(super) fn one_key() -> Answer {
    Answer::Keys(document(&[KEY.jwk("k")]))
}

pub(super) fn no_keys() -> Answer {
    Answer::Keys(document(&[]))
}
