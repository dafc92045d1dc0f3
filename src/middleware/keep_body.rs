//! The service for inner services whose response body can hold any other: it keeps its type.

use std::{
    convert::identity,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{any_body::AnyBody, future::ResponseFuture, service::LpAuth, shared::Shared};

/// Makes a [`KeepBody`]; from [`LpAuthLayer::keep_body`](super::LpAuthLayer::keep_body).
#[derive(Clone, Debug)]
#[must_use]
pub struct KeepBodyLayer {
    shared: Arc<Shared>,
}

impl KeepBodyLayer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl<S> Layer<S> for KeepBodyLayer {
    type Service = KeepBody<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KeepBody { auth: LpAuth::new(inner, Arc::clone(&self.shared)) }
    }
}

/// An [`LpAuth`] whose responses have the body type of `S`.
#[derive(Clone, Debug)]
pub struct KeepBody<S> {
    auth: LpAuth<S>,
}

impl<S, B, R> Service<Request<B>> for KeepBody<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: AnyBody,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = KeepBodyFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.auth.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        KeepBodyFuture { response: self.auth.call(request) }
    }
}

pin_project! {
    /// The response future of [`KeepBody`].
    ///
    /// # Cancel safety
    ///
    /// As that of [`ResponseFuture`].
    pub struct KeepBodyFuture<S, B, F>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        response: ResponseFuture<S, B, F>,
    }
}

impl<S, B, R> Future for KeepBodyFuture<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: AnyBody,
{
    type Output = Result<Response<R>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().response.poll_as(cx, identity, |head| head.map(R::holding))
    }
}

impl<S, B, F> fmt::Debug for KeepBodyFuture<S, B, F>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepBodyFuture").finish_non_exhaustive()
    }
}
