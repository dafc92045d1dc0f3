//! The layer: a cheap handle to the token at hand.

use std::sync::Arc;

use tower_layer::Layer;

use super::{service::LpAppToken, stock::Stock};
use crate::destination::{InvalidOrigin, Origin};

/// Puts `Authorization: Bearer` and the application's token (RFC 6750 §2.1) on requests of an HTTP
/// client that have no `Authorization` yet; made by [`AppTokenSource::layer`].
///
/// For `reqwest`, whose requests are no [`http::Request`], there is [`AppTokenSource::token`].
///
/// The error of the service is a [`BoxError`](crate::BoxError), like those of tower's own layers, so
/// that it fits under and over them and under tonic's clients: either the inner service's as it is,
/// or an [`AppTokenError`], to be found with `downcast_ref`.
///
/// # Where the token goes
///
/// * Into requests over https, to a loopback host, and to URIs without an authority (tonic's `Channel`
///   adds that further in; whoever sends such a request has to see to TLS).
/// * With [`LpAppTokenLayer::origin`] into those of one origin alone. Any server over https is trusted
///   otherwise, and the token opens LivePerson's APIs: wrap a client that talks to LivePerson, or to
///   services of your own that accept it ([`Builder::allow_app`]), and to nobody else. Where another
///   layer follows redirects, this one belongs outside of it, so that a redirect carries the token
///   nowhere.
/// * Not into a request that has an `Authorization` header already.
///
/// Other requests are sent as they are, and no token is fetched for them.
///
/// [`Builder::allow_app`]: crate::Builder::allow_app
/// [`AppTokenSource::layer`]: crate::AppTokenSource::layer
/// [`AppTokenSource::token`]: crate::AppTokenSource::token
/// [`AppTokenError`]: crate::AppTokenError
///
/// # Examples
///
/// ```
/// use http::{Request, Response, header::AUTHORIZATION};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_lp_auth::{AppTokenError, AppTokenSource, BoxError};
///
/// # #[cfg(feature = "test-kit")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// # let sentinel = tower_lp_auth::test_kit::MockSentinel::start().await?;
/// # let source = sentinel.app_token_source().build()?;
/// # let http_client = service_fn(|request: Request<()>| async move {
/// #     assert!(request.headers().contains_key(AUTHORIZATION));
/// #     Ok::<_, std::convert::Infallible>(Response::new(()))
/// # });
/// let layer = source.layer().origin("https://va.example")?;
/// let client = ServiceBuilder::new().layer(layer).service(http_client);
///
/// let request = Request::get("https://va.example/users").body(())?;
/// match client.oneshot(request).await {
///     Ok(response) => println!("{}", response.status()),
///     Err(error) if error.is::<AppTokenError>() => println!("no token: {error}"),
///     Err(error) => println!("no answer: {error}"),
/// }
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "test-kit"))]
/// # fn main() {}
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LpAppTokenLayer {
    stock: Arc<Stock>,
    origin: Option<Arc<Origin>>,
}

impl LpAppTokenLayer {
    pub(super) fn new(stock: Arc<Stock>) -> Self {
        Self { stock, origin: None }
    }

    /// Binds the token to one origin, such as `https://va.ac.liveperson.net`: a request whose URI names
    /// another one goes without it.
    ///
    /// It holds for the services that this value and its clones make.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for what is more or less than an origin, and for plain http to another machine.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.origin = Some(Arc::new(Origin::parse(origin)?));
        Ok(self)
    }
}

impl<S> Layer<S> for LpAppTokenLayer {
    type Service = LpAppToken<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LpAppToken::new(inner, Arc::clone(&self.stock), self.origin.clone())
    }
}
