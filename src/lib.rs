#![doc = "Signs users in with LivePerson Conversational Cloud."]

pub(crate) mod jwt;
pub(crate) mod sentinel;
#[cfg(feature = "test-kit")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-kit")))]
pub mod test_kit;

mod account;
mod clock;
mod error;
mod secret;

pub use account::{AccountId, InvalidAccountId};
pub use clock::{Clock, SystemClock};
pub use error::BoxError;
pub use secret::{AccessToken, ClientSecret, InvalidSessionKey, SessionKey};
pub use sentinel::{InvalidTokenApiVersion, TokenApiVersion};
