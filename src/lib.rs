#![doc = include_str!("../docs/crate.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// In the order in which a request meets them:
mod middleware; // a request arrives
mod caller; // who is calling, may they?
mod session; // what is known of them
mod seal; // what the browser keeps
mod login; // nobody yet
mod sentinel; // ask LivePerson
mod jwt; // believe a token
mod refresh; // tokens age
mod user; // the handler's side
mod app; // the service's own token
mod respond; // the answer
mod config; // set up
mod client; // the other end: programs that call with a session token

#[cfg(feature = "test-kit")]
#[cfg_attr(docsrs, doc(cfg(feature = "test-kit")))]
pub mod test_kit;

/// Server-side sessions: what a store has to be able to do, and the stores that there are.
pub mod store {
    pub use crate::session::store::{
        IndexEntry, Lease, LeaseOwner, Leased, MemoryStore, SessionStore, StoreError, StoredRecord,
        Swap, Version,
    };

    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    pub use crate::session::store::redis::{RedisConfigError, RedisStore, RedisStoreBuilder};
}

#[cfg(any(test, fuzzing))]
pub mod fuzzing;

#[cfg(test)]
mod model;

mod account;
mod cache;
mod clock;
mod destination;
mod error;
mod loopback;
mod scope;
mod secret;
mod site;
mod telemetry;

pub use account::{AccountId, InvalidAccountId};
pub use app::{
    AppTokenError, AppTokenSource, AppTokenSourceBuilder, LpAppToken, LpAppTokenFuture,
    LpAppTokenLayer,
};
pub use caller::{Access, AccessPolicy, Require, RequireFuture, RequireLayer, SessionUnavailable};
pub use client::{LpSessionToken, LpSessionTokenFuture, LpSessionTokenLayer};
pub use clock::{Clock, SystemClock};
pub use config::{AppManifest, AppManifestBuilder, Builder, ConfigError, ManifestError, Setting};
pub use destination::InvalidOrigin;
pub use error::{BoxError, BoxFuture};
pub use jwt::{IdTokenSignature, InvalidIdTokenSignature};
pub use login::{LoginDecision, LoginHookError};
pub use middleware::{
    AnyBody, Health, KeepBody, KeepBodyFuture, KeepBodyLayer, LpAuth, LpAuthLayer, ResponseBody,
    ResponseFuture,
};
pub use refresh::{EndReason, Ended, SessionEnd};
pub use respond::{
    Audience, DefaultResponses, Rejection, RejectionReason, ResponseForRejection, WayForward,
};
pub use secret::{
    AccessToken, AppToken, ClientSecret, InvalidSessionKey, SessionKey, SessionToken,
};
pub use sentinel::{InvalidTokenApiVersion, TokenApiVersion};
pub use session::store::{MemoryStore, SessionStore};
pub use user::{
    EndSessionError, FreshTokenError, LpApp, LpUser, NoAccessToken, SessionInfo, SessionTokenError,
    Sessions, SessionsError,
};

#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use user::{LpAppRejection, LpUserRejection, MissingLayer, NotSignedIn, OfOtherKind};

#[cfg(feature = "redis")]
#[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
pub use session::store::redis::{RedisConfigError, RedisStore, RedisStoreBuilder};

/// The README's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// And that of the page about clients.
#[cfg(doctest)]
#[doc = include_str!("../docs/clients.md")]
struct Clients;
