//! Asks LivePerson: where an account's Sentinel is, and what Sentinel says about codes and tokens.
//!
//! [`client`] has the calls (exchange, refresh, revoke, App-JWT, keys), [`domain`] finds the host of
//! an account, [`endpoint`] knows which servers may be asked and how their URLs read, [`token`] reads
//! answers, [`throttle`] obeys `Retry-After`, [`http_client`] moves the bytes, and [`error`] says
//! what a failed call means for the code or token it carried.

mod client;
mod domain;
mod endpoint;
mod error;
mod http_client;
mod throttle;
mod token;

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
#[cfg(test)]
mod test_support;

pub use endpoint::{InvalidTokenApiVersion, TokenApiVersion};

pub(crate) use client::{KeyDocument, SentinelClient, SentinelSettings};
pub(crate) use endpoint::{SentinelHost, ServerOrigin};
pub(crate) use error::{HttpSetupError, OAuthErrorCode, TokenError};
pub(crate) use http_client::HttpSettings;
pub(crate) use token::TokenSet;
