//! The way of one request, as a future whose states say what is awaited.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{error::AppTokenError, stock::Held};
use crate::error::{BoxError, BoxFuture};

pin_project! {
    /// The response future of [`LpAppToken`](super::LpAppToken).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner service's future. A fetch that it waits for goes on, and its token
    /// is kept.
    ///
    /// # Examples
    ///
    /// See [`LpAppTokenLayer`](super::LpAppTokenLayer).
    pub struct LpAppTokenFuture<S, B, F> {
        #[pin]
        state: State<S, B, F>,
    }
}

type Landing = BoxFuture<'static, Result<Arc<Held>, AppTokenError>>;

pin_project! {
    #[project = StateProj]
    enum State<S, B, F> {
        /// A token is fetched first; the request keeps the instance that is ready for it.
        Wait { landing: Landing, parked: Option<(S, Request<B>)> },
        /// The inner service works.
        Forward { #[pin] response: F },
        /// There is no token.
        Refused { error: Option<AppTokenError> },
    }
}

impl<S, B, F> LpAppTokenFuture<S, B, F> {
    pub(super) fn forward(response: F) -> Self {
        Self { state: State::Forward { response } }
    }

    pub(super) fn wait(landing: Landing, ready: S, request: Request<B>) -> Self {
        Self { state: State::Wait { landing, parked: Some((ready, request)) } }
    }

    pub(super) fn refused(error: AppTokenError) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

const POLLED_AFTER_END: &str = "a future is not polled after its end";

impl<S, B> Future for LpAppTokenFuture<S, B, S::Future>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<S::Response, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProj::Forward { response } => return response.poll(cx).map_err(Into::into),
                StateProj::Refused { error } => {
                    let error = error.take().expect(POLLED_AFTER_END);
                    return Poll::Ready(Err(error.into()));
                }
                StateProj::Wait { landing, parked } => {
                    let landed = ready!(landing.as_mut().poll(cx));
                    // On an error the instance goes, and what it has reserved.
                    let (mut inner, mut request) = parked.take().expect(POLLED_AFTER_END);
                    request.headers_mut().insert(AUTHORIZATION, landed?.header.clone());
                    inner.call(request)
                }
            };
            this.state.set(State::Forward { response });
        }
    }
}

impl<S, B, F> fmt::Debug for LpAppTokenFuture<S, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LpAppTokenFuture").finish_non_exhaustive()
    }
}
