//! The floor: a layer that does as little as a layer can.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    body::Body,
    http::{Request, Response},
};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Which floor.
#[derive(Clone, Copy, Debug)]
pub enum Floor {
    /// An `Arc` goes into the extensions.
    Plus,
    /// Besides, the body is of a type of its own.
    PlusWrap,
    /// The body is, and nothing goes into the extensions.
    Wrap,
}

/// What goes into the extensions.
#[derive(Clone)]
pub struct Guest(Arc<Profile>);

struct Profile {
    name: &'static str,
}

impl Guest {
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

/// The layer of *floor+*; over it, a [`WrapLayer`] makes it *floor+wrap*.
#[derive(Clone)]
pub struct FloorLayer(Guest);

impl FloorLayer {
    pub fn new() -> Self {
        Self::named("hello")
    }

    pub fn named(name: &'static str) -> Self {
        Self(Guest(Arc::new(Profile { name })))
    }
}

#[derive(Clone)]
pub struct FloorService<S> {
    inner: S,
    guest: Guest,
}

impl<S> Layer<S> for FloorLayer {
    type Service = FloorService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        FloorService { inner, guest: self.0.clone() }
    }
}

impl<S> Service<Request<Body>> for FloorService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.guest.clone());
        self.inner.call(request)
    }
}

/// A layer that does nothing but return a body of its own.
#[derive(Clone)]
pub struct WrapLayer;

#[derive(Clone)]
pub struct WrapService<S>(S);

impl<S> Layer<S> for WrapLayer {
    type Service = WrapService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        WrapService(inner)
    }
}

impl<S> Service<Request<Body>> for WrapService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Wrapped>;
    type Error = S::Error;
    type Future = Wrap<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Wrap { response: self.0.call(request) }
    }
}

pin_project! {
    /// The future that wraps the body.
    pub struct Wrap<F> {
        #[pin]
        response: F,
    }
}

impl<F, E> Future for Wrap<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Wrapped>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().response.poll(cx))?;
        Poll::Ready(Ok(response.map(|body| Wrapped { body })))
    }
}

pin_project! {
    /// A body that only passes through.
    pub struct Wrapped {
        #[pin]
        body: Body,
    }
}

impl http_body::Body for Wrapped {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
