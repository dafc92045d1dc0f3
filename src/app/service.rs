//! The service: each request gets the token and goes on.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Uri, header::AUTHORIZATION};
use tower_service::Service;

use super::{
    future::LpAppTokenFuture,
    stock::{Stock, Supply},
};
use crate::{
    destination::{Destination, Origin},
    error::BoxError,
};

/// The service of [`LpAppTokenLayer`](super::LpAppTokenLayer): sends requests to `S` with the
/// application's token. Not the token: that is [`AppToken`](crate::AppToken).
///
/// The instance of `S` that was polled ready is the one that is called. `S` has to be `Clone`: a
/// request that waits for a token keeps its instance, and one that gets none gives back what
/// `poll_ready` has reserved. Where a token is at hand, the inner service's future is not boxed.
///
/// # Examples
///
/// See [`LpAppTokenLayer`](super::LpAppTokenLayer).
#[derive(Clone, Debug)]
pub struct LpAppToken<S> {
    inner: S,
    stock: Arc<Stock>,
    origin: Option<Arc<Origin>>,
}

impl<S> LpAppToken<S> {
    pub(super) fn new(inner: S, stock: Arc<Stock>, origin: Option<Arc<Origin>>) -> Self {
        Self { inner, stock, origin }
    }

    /// Whether a request to `uri` may carry the token.
    fn allows(&self, uri: &Uri) -> bool {
        let objection = Destination::of(uri, self.origin.as_deref()).objection();
        if let Some(reason) = objection {
            tracing::debug!(reason, "app token withheld");
        }
        objection.is_none()
    }
}

impl<S, B> Service<Request<B>> for LpAppToken<S>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = LpAppTokenFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if request.headers().contains_key(AUTHORIZATION) || !self.allows(request.uri()) {
            return LpAppTokenFuture::forward(self.inner.call(request));
        }
        match self.stock.ask() {
            Supply::Now(held) => {
                request.headers_mut().insert(AUTHORIZATION, held.header.clone());
                LpAppTokenFuture::forward(self.inner.call(request))
            }
            Supply::Wait(wait) => {
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                LpAppTokenFuture::wait(Box::pin(wait.landed()), ready, request)
            }
            Supply::Refused(error) => {
                // Gives back what `poll_ready` has reserved: a clone starts without.
                self.inner = self.inner.clone();
                LpAppTokenFuture::refused(error)
            }
        }
    }
}
