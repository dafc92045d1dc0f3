//! Decides whether an id_token is believed (RFC 7519, RFC 8725, OpenID Connect Core §3.1.3.7).
//!
//! Nothing public says which key signs Sentinel's id_tokens, so the rules ([`IdTokenRules`]) carry a
//! policy for the case that no published key fits.
//!
//! - `rules` is what an application demands of a token, and where the token came from;
//! - `token` takes the three parts of a token apart and reads its header (RFC 7515);
//! - `claims` checks what the payload claims;
//! - `jwks` reads a host's published keys (RFC 7517) and verifies signatures with them;
//! - `key_cache` fetches those keys, seldom and once for everybody;
//! - `verifier` puts the parts together; all of its decisions are one pure function;
//! - `error` says why a token was not believed.
//!
//! Only RS256 exists here: the code has no branch that another `alg` could take.

mod claims;
mod error;
mod jwks;
mod key_cache;
mod rules;
mod token;
mod verifier;

pub(crate) use claims::IdClaims;
pub(crate) use error::IdTokenError;
pub(crate) use key_cache::{FetchKeys, KeySetDocument};
pub(crate) use rules::{IdTokenRules, TokenSource};
pub use rules::{IdTokenSignature, InvalidIdTokenSignature};
pub(crate) use verifier::IdTokenVerifier;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod tests;
