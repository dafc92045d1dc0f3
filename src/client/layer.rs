//! The layer: a cheap handle to the token that its services share.

use std::sync::Arc;

use tower_layer::Layer;

use super::{credential::Credential, newest::Newest, service::LpSessionToken};
use crate::{
    destination::{InvalidOrigin, Origin},
    secret::SessionToken,
};

/// Signs the requests of a *client* in: each carries the user's [`SessionToken`], and the renewed one
/// that a response brings takes its place.
///
/// It goes around any HTTP client that is a tower service: hyper's, a tonic `Channel`, a client in a
/// test. All clones of the layer and all services that it has made share one token. Send every request
/// of a session through it: without a session store, each response may bring the token's successor.
///
/// # Where the token goes
///
/// * Into requests over https, to a loopback host, and to URIs without an authority (tonic's `Channel`
///   adds that further in; whoever sends such a request has to see to TLS).
/// * With [`LpSessionTokenLayer::origin`] into those of one origin alone. A client that reaches several
///   servers needs it: any server over https is trusted otherwise. What follows redirects belongs
///   outside of this layer, so that each hop is judged.
/// * Not into a request that has an `Authorization` header already.
///
/// Other requests are sent as they are. The server is trusted with the token, and to renew it: a
/// response to a request that has carried the newest one replaces that by the value of its
/// header `lp-session-token`, if this is at most 4,096 characters of base64url (RFC 4648 §5). The header
/// stays in the response, marked as sensitive.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
///
/// use http::{Request, Response, header::AUTHORIZATION};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_lp_auth::{LpSessionTokenLayer, SessionToken};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // In place of `hyper_util::client::legacy::Client` or of `tonic::transport::Channel`:
/// let client = service_fn(async |request: Request<String>| {
///     assert_eq!(request.headers()[AUTHORIZATION], "Bearer kept");
///     let renewed = Response::builder().header("lp-session-token", "renewed");
///     Ok::<_, Infallible>(renewed.body(()).expect("a valid response"))
/// });
///
/// let signed_in =
///     LpSessionTokenLayer::new(SessionToken::new("kept")).origin("https://app.example.com")?;
/// let client = ServiceBuilder::new().layer(signed_in.clone()).service(client);
/// client.oneshot(Request::get("https://app.example.com/me").body(String::new())?).await?;
/// // To be kept, like a password, until the next start:
/// assert_eq!(signed_in.token(), SessionToken::new("renewed"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LpSessionTokenLayer {
    credential: Credential,
}

impl LpSessionTokenLayer {
    /// Starts with a token that the application has handed out, or that [`LpSessionTokenLayer::token`]
    /// has read out before.
    pub fn new(token: SessionToken) -> Self {
        let newest = Arc::new(Newest::new(token));
        Self { credential: Credential { newest, origin: None } }
    }

    /// Binds the token to the application's origin, such as `https://app.example.com`: a request whose
    /// URI names another one goes without it.
    ///
    /// It holds for the services that this value and its clones make; the token stays shared with those
    /// made before.
    ///
    /// # Errors
    ///
    /// [`InvalidOrigin`] for what is more or less than an origin, and for plain http to another machine.
    pub fn origin(mut self, origin: &str) -> Result<Self, InvalidOrigin> {
        self.credential.origin = Some(Arc::new(Origin::parse(origin)?));
        Ok(self)
    }

    /// The newest token that is known, to be kept for later: who holds it is the user until the session
    /// ends.
    #[must_use]
    pub fn token(&self) -> SessionToken {
        self.credential.newest.get().token.clone()
    }

    /// Goes on with another token, for all clones and services: after a 401 the session is over, and
    /// when the user has signed in again there is a new one.
    ///
    /// Responses to requests with the old token change nothing any more.
    pub fn set_token(&self, token: SessionToken) {
        self.credential.newest.replace(token);
    }
}

impl<S> Layer<S> for LpSessionTokenLayer {
    type Service = LpSessionToken<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LpSessionToken::new(inner, self.credential.clone())
    }
}
