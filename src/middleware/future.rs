//! The way of one request, as a future whose states say what is awaited.

use std::{
    convert::identity,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{
    admission::{Admission, Awaited, Waiting},
    body::ResponseBody,
    outgoing::{Departing, Passage},
    shared::{Answer, Shared, ours},
};
use crate::error::BoxFuture;

pin_project! {
    /// The response future of [`LpAuth`](super::LpAuth).
    ///
    /// # Cancel safety
    ///
    /// Dropping it drops the inner service's future. A refresh or a code exchange that it waits for
    /// goes on, and its result is kept.
    pub struct ResponseFuture<S, B, F>
    where
        S: Service<Request<B>>,
    {
        shared: Arc<Shared>,
        // Beside the state, so that what is made in place is not moved: of a request that was let through.
        passage: Passage,
        #[pin]
        state: State<S, B, F, S::Response>,
    }
}

pin_project! {
    #[project = StateProj]
    #[project_replace = StateTaken]
    // What is rare is boxed: the future of every request is moved several times.
    enum State<S, B, F, R> {
        /// A refresh comes first, a store is asked or a token verified.
        Wait { work: BoxFuture<'static, Awaited>, held: Option<Box<Parked<S, B>>> },
        /// The inner service works.
        Forward { #[pin] response: F },
        /// Its head is ready and waits a little for the session's new cookie.
        Linger { wait: BoxFuture<'static, ()>, head: Option<Box<R>> },
        /// We answer later.
        AnswerLater { answer: BoxFuture<'static, Answer> },
        /// We answer now.
        Answer { answer: Option<Box<Answer>> },
    }
}

/// What a waiting request keeps.
struct Parked<S, B> {
    inner: S,
    request: Request<B>,
    waiting: Waiting,
}

impl<S, B, F> ResponseFuture<S, B, F>
where
    S: Service<Request<B>>,
{
    #[inline]
    pub(super) fn forward(shared: Arc<Shared>, response: F, passage: Passage) -> Self {
        Self { shared, passage, state: State::Forward { response } }
    }

    pub(super) fn answer(shared: Arc<Shared>, answer: Answer) -> Self {
        Self::unforwarded(shared, State::answer(answer))
    }

    pub(super) fn answer_later(shared: Arc<Shared>, answer: BoxFuture<'static, Answer>) -> Self {
        Self::unforwarded(shared, State::AnswerLater { answer })
    }

    pub(super) fn wait(
        shared: Arc<Shared>,
        work: BoxFuture<'static, Awaited>,
        waiting: Waiting,
        inner: S,
        request: Request<B>,
    ) -> Self {
        Self::unforwarded(shared, State::wait(work, Parked { inner, request, waiting }))
    }

    fn unforwarded(shared: Arc<Shared>, state: State<S, B, F, S::Response>) -> Self {
        Self { shared, passage: Passage::nothing(), state }
    }
}

impl<S, B, F, R> State<S, B, F, R> {
    fn wait(work: BoxFuture<'static, Awaited>, parked: Parked<S, B>) -> Self {
        Self::Wait { work, held: Some(Box::new(parked)) }
    }

    fn answer(answer: Answer) -> Self {
        Self::Answer { answer: Some(Box::new(answer)) }
    }
}

const POLLED_AFTER_END: &str = "a future is not polled after its end";

impl<S, B, R> ResponseFuture<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    /// Polls for a response with another body type: `theirs` makes it of the inner service's, `other` of all
    /// others.
    #[inline]
    pub(super) fn poll_as<O>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        theirs: impl FnOnce(Response<R>) -> Response<O>,
        other: impl FnOnce(Response<ResponseBody<R>>) -> Response<O>,
    ) -> Poll<Result<Response<O>, S::Error>> {
        let mut this = self.project();
        loop {
            let mut head = match this.state.as_mut().project() {
                StateProj::Forward { response } => {
                    let head = ready!(response.poll(cx))?;
                    if let Some(wait) = this.passage.linger(this.shared) {
                        let linger = State::Linger { wait, head: Some(Box::new(head)) };
                        drop(this.state.as_mut().project_replace(linger));
                        continue;
                    }
                    head
                }
                StateProj::Linger { wait, head } => {
                    ready!(wait.as_mut().poll(cx));
                    *head.take().expect(POLLED_AFTER_END)
                }
                StateProj::Wait { work, held } => {
                    let awaited = ready!(work.as_mut().poll(cx));
                    let held = held.take().expect(POLLED_AFTER_END);
                    let Parked { mut inner, mut request, waiting } = *held;
                    let next = match this.shared.after_wait(awaited, waiting, &mut request) {
                        Admission::Forward(passage) => {
                            *this.passage = passage;
                            State::Forward { response: inner.call(request) }
                        }
                        Admission::Answer(answer) => State::answer(answer),
                        Admission::AnswerLater(answer) => State::AnswerLater { answer },
                        Admission::Wait(work, waiting) => {
                            State::wait(work, Parked { inner, request, waiting })
                        }
                    };
                    drop(this.state.as_mut().project_replace(next));
                    continue;
                }
                StateProj::AnswerLater { answer } => {
                    return Poll::Ready(Ok(other(ours(ready!(answer.as_mut().poll(cx))))));
                }
                StateProj::Answer { answer } => {
                    return Poll::Ready(Ok(other(ours(*answer.take().expect(POLLED_AFTER_END)))));
                }
            };
            match this.passage.leave(this.shared, &mut head) {
                Departing::Now => return Poll::Ready(Ok(theirs(head))),
                Departing::Until(watch) => {
                    let until = head.map(|body| ResponseBody::until(watch, body));
                    return Poll::Ready(Ok(other(until)));
                }
                Departing::Instead(answer) => return Poll::Ready(Ok(other(ours(*answer)))),
                Departing::Later(answer) => {
                    drop(this.state.as_mut().project_replace(State::AnswerLater { answer }));
                }
            }
        }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B, S::Future>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body,
{
    type Output = Result<Response<ResponseBody<R>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_as(cx, |head| head.map(ResponseBody::theirs), identity)
    }
}

impl<S, B, F> fmt::Debug for ResponseFuture<S, B, F>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
