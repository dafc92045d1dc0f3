//! The handle that hands tokens out.

use std::sync::Arc;

use super::{
    builder::AppTokenSourceBuilder,
    error::AppTokenError,
    layer::LpAppTokenLayer,
    stock::{Held, Stock, Supply},
};
use crate::secret::AppToken;

/// Has a live App-JWT at any time: the application's own token in its account, for calls to
/// LivePerson that no user stands behind (client credentials, RFC 6749 §4.4).
///
/// Clones are handles to the same source, and cheap. It does nothing by itself: the first call
/// fetches a token, however many callers come at a time, and later ones are served from memory.
///
/// * From half of its life on, or half an hour before its end, whichever leaves less, a token is
///   renewed beside the call that finds it so, which gets the old one at once.
/// * Within 60 s of its end (a quarter of a life that is shorter than four minutes) a call waits for
///   the new one.
/// * While Sentinel fails, the old token serves to its true end. After a failure Sentinel is left
///   alone for 10 s, after a 429 for as long as it says, at most 60 s.
///
/// Who holds the token acts as the application. Send it over TLS to LivePerson, and to services of your
/// own that accept it ([`Builder::allow_app`](crate::Builder::allow_app)), to nobody else: it opens
/// LivePerson's APIs. Nothing of it is verified here, since it comes from the token endpoint directly.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "test-kit")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let sentinel = tower_lp_auth::test_kit::MockSentinel::start().await?;
/// use http::{Request, header::AUTHORIZATION};
/// use tower_lp_auth::AppTokenSource;
///
/// let source = AppTokenSource::builder()
///     .account(sentinel.account_id())
///     .client_id(sentinel.client_id())
///     .client_secret(sentinel.client_secret())
///     .sentinel_url(sentinel.url()) // a MockSentinel; without this LivePerson is asked
///     .build()?;
///
/// let token = source.token().await?;
/// let request = Request::get("https://va.example/users").header(AUTHORIZATION, token.to_header());
/// # assert!(request.body(()).is_ok());
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "test-kit"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct AppTokenSource {
    stock: Arc<Stock>,
}

impl AppTokenSource {
    /// Starts the configuration of a source.
    pub fn builder() -> AppTokenSourceBuilder {
        AppTokenSourceBuilder::new()
    }

    pub(super) fn new(stock: Arc<Stock>) -> Self {
        Self { stock }
    }

    /// A token that lives.
    ///
    /// Waits only where there is none, or one about to end: for one call to the Domain API and one to
    /// Sentinel at most, each with its time-out.
    ///
    /// # Errors
    ///
    /// [`AppTokenError::Refused`] if Sentinel refuses the application, [`AppTokenError::Unavailable`]
    /// if no token can be had for another reason.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled, if a token has to be fetched.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a fetch that has begun goes on, and its token is kept.
    pub async fn token(&self) -> Result<AppToken, AppTokenError> {
        token_of(self.stock.ask()).await
    }

    /// Another token than one that an API has refused (401).
    ///
    /// Sentinel is asked only if `refused` is the newest token and at least 60 s old, so that an API
    /// which refuses everything does not make a loop; where there is a newer token, that is returned
    /// without a call. [`token`](Self::token) yields the old one until the new one is here.
    ///
    /// # Errors
    ///
    /// [`AppTokenError::TooNew`] if another token would not help, or as for [`token`](Self::token).
    ///
    /// # Panics
    ///
    /// As [`token`](Self::token).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a fetch that has begun goes on, and its token is kept.
    pub async fn replace_token(&self, refused: &AppToken) -> Result<AppToken, AppTokenError> {
        token_of(self.stock.ask_instead_of(refused)).await
    }

    /// A layer that puts the token on the requests of an HTTP client.
    pub fn layer(&self) -> LpAppTokenLayer {
        LpAppTokenLayer::new(Arc::clone(&self.stock))
    }
}

async fn token_of(supply: Supply) -> Result<AppToken, AppTokenError> {
    let held: Arc<Held> = match supply {
        Supply::Now(held) => held,
        Supply::Wait(wait) => wait.landed().await?,
        Supply::Refused(error) => return Err(error),
    };
    Ok(held.token.clone())
}
