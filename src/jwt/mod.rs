//! Decides whether a token is believed (RFC 7519, RFC 8725, OpenID Connect Core §3.1.3.7): an id_token
//! of a login, or a JWT that a caller presents.
//!
//! Nothing public says which key signs Sentinel's id_tokens, so the rules ([`IdTokenRules`]) carry a
//! policy for the case that no published key fits. It is for the token endpoint's own answers alone.
//!
//! - `rules` is what an application demands of a token, and where the token came from;
//! - `token` takes the three parts of a token apart and reads its header (RFC 7515);
//! - `id_claims` and `app_claims` check what the payload of either kind claims, `checks` what both
//!   have in common, and `bearer_claims` tells them apart;
//! - `jwks` reads a host's published keys (RFC 7517) and verifies signatures with them;
//! - `key_cache` fetches those keys, seldom and once for everybody;
//! - `candidate` is a token that only its signature can still spoil;
//! - `verifier` (logins) and `bearer` (callers) put the parts together; all of their decisions are
//!   pure functions;
//! - `verdicts` remembers the callers' tokens that were believed;
//! - `error` says why a token was not believed.
//!
//! Only RS256 exists here: the code has no branch that another `alg` could take.

mod app_claims;
mod bearer;
mod bearer_claims;
mod candidate;
mod checks;
mod error;
mod id_claims;
mod jwks;
mod key_cache;
mod rules;
mod token;
mod verdicts;
mod verifier;

pub(crate) use error::IdTokenError;
pub(crate) use id_claims::IdClaims;
pub(crate) use key_cache::{FetchKeys, KeySetDocument};
pub(crate) use rules::IdTokenRules;
pub use rules::{IdTokenSignature, InvalidIdTokenSignature};
pub(crate) use verifier::IdTokenVerifier;
pub(crate) use {
    app_claims::AppClaims, bearer::BearerVerifier, bearer_claims::BearerClaims, error::BearerError,
    rules::BearerRules,
};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
