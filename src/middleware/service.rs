//! The service: each request goes its way.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{admission::Admission, body::ResponseBody, future::ResponseFuture, shared::Shared};

/// The service of [`LpAuthLayer`](super::LpAuthLayer): lets requests through to `S` with an
/// `LpUser`, or answers them itself.
///
/// The instance of `S` that was polled ready is the one that is called. `S` has to be `Clone`: a
/// request that waits for a refresh keeps its instance, and an answer of ours gives back what
/// `poll_ready` has reserved.
#[derive(Clone, Debug)]
pub struct LpAuth<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> LpAuth<S> {
    pub(crate) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S, B, R> Service<Request<B>> for LpAuth<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, B, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let admission = shared.admit(&mut request);
        match admission {
            Admission::Forward(_) => {
                let response = self.inner.call(request);
                // Moved only now: a processor waits for what is read back at once in other pieces than those
                // it was written in.
                let Admission::Forward(passage) = admission else { unreachable!("as matched") };
                ResponseFuture::forward(shared, response, passage)
            }
            Admission::Answer(answer) => {
                self.release();
                ResponseFuture::answer(shared, answer)
            }
            Admission::AnswerLater(answer) => {
                self.release();
                ResponseFuture::answer_later(shared, answer)
            }
            Admission::Wait(work, waiting) => {
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                ResponseFuture::wait(shared, work, waiting, ready, request)
            }
        }
    }
}

impl<S: Clone> LpAuth<S> {
    /// Gives back what `poll_ready` has reserved, such as a permit: a clone starts without.
    fn release(&mut self) {
        self.inner = self.inner.clone();
    }
}
