//! The service: the token goes into a request, its successor comes out of the response.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::credential::{Credential, Sent};
use crate::session::TOKEN_HEADER;

/// The service of [`LpSessionTokenLayer`](super::LpSessionTokenLayer): sends the requests of a client on to `S` with the user's
/// session token. Not the token: that is [`SessionToken`](crate::SessionToken).
///
/// It works with any body, keeps `S`'s readiness, errors and responses, and needs no `Clone`.
///
/// # Examples
///
/// See [`LpSessionTokenLayer`](super::LpSessionTokenLayer).
#[derive(Clone, Debug)]
pub struct LpSessionToken<S> {
    inner: S,
    credential: Credential,
}

impl<S> LpSessionToken<S> {
    pub(super) fn new(inner: S, credential: Credential) -> Self {
        Self { inner, credential }
    }
}

impl<S, B, R> Service<Request<B>> for LpSessionToken<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = LpSessionTokenFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let sent = if request.headers().contains_key(AUTHORIZATION) {
            None
        } else {
            self.credential.for_request(request.uri()).map(|(header, sent)| {
                request.headers_mut().insert(AUTHORIZATION, header);
                sent
            })
        };
        LpSessionTokenFuture { response: self.inner.call(request), sent }
    }
}

pin_project! {
    /// The response future of [`LpSessionToken`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner service's future. A renewed token that was on its way is lost here,
    /// not at the server: the next response brings it again.
    #[derive(Debug)]
    pub struct LpSessionTokenFuture<F> {
        #[pin]
        response: F,
        sent: Option<Sent>,
    }
}

impl<F, R, E> Future for LpSessionTokenFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.response.poll(cx))?;
        if let Some(sent) = this.sent.take() {
            sent.take_in(response.headers());
        }
        mark_sensitive(response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

/// Keeps a renewed token out of `Debug` texts, and so out of logs.
fn mark_sensitive(headers: &mut HeaderMap) {
    if !headers.contains_key(TOKEN_HEADER) {
        return;
    }
    for (name, value) in headers.iter_mut() {
        if *name == TOKEN_HEADER {
            value.set_sensitive(true);
        }
    }
}
