//! The body of a response: ours, or the inner service's, which may end with the session.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use super::streams::Watch;

pin_project! {
    /// The body of a response that has passed the layer.
    ///
    /// The inner service's frames, trailers and size pass through as they are; nothing is buffered.
    /// Event streams (`text/event-stream`) and gRPC bodies of a user end when their session ends, those
    /// of a caller with a JWT when that does, unless [`Builder::end_streams`](crate::Builder::end_streams) is switched off: after a whole
    /// frame, gRPC's with status 16, and without an exact size ahead.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    #[project_replace = InnerTaken]
    #[derive(Debug)]
    enum Inner<B> {
        Ours { #[pin] body: Full<Bytes> },
        Theirs { #[pin] body: B },
        UntilEnd { #[pin] body: B, watch: Watch },
    }
}

impl<B> ResponseBody<B> {
    /// A body of our own.
    pub(crate) fn ours(bytes: Bytes) -> Self {
        Self { inner: Inner::Ours { body: Full::new(bytes) } }
    }

    /// The inner service's body.
    pub(crate) fn theirs(body: B) -> Self {
        Self { inner: Inner::Theirs { body } }
    }

    /// The inner service's body, which ends when a session does.
    pub(super) fn until(watch: Watch, body: B) -> Self {
        Self { inner: Inner::UntilEnd { body, watch } }
    }
}

impl<B: Default> Default for ResponseBody<B> {
    /// An empty body, for layers above that answer by themselves.
    fn default() -> Self {
        Self::ours(Bytes::new())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut inner = self.project().inner;
        match inner.as_mut().project() {
            InnerProj::Ours { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(|e| match e {})))
            }
            InnerProj::Theirs { body } => body.poll_frame(cx),
            InnerProj::UntilEnd { body, watch } => {
                let said = body.poll_frame(cx);
                if watch.lets_pass(&said, cx) {
                    return said;
                }
                let farewell = watch.farewell();
                drop(inner.project_replace(Inner::Ours { body: Full::default() }));
                Poll::Ready(farewell.map(Ok))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Inner::Ours { body } => body.is_end_stream(),
            Inner::Theirs { body } | Inner::UntilEnd { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Inner::Ours { body } => body.size_hint(),
            Inner::Theirs { body } => body.size_hint(),
            Inner::UntilEnd { body, .. } => {
                let mut hint = SizeHint::new();
                if let Some(upper) = body.size_hint().upper() {
                    hint.set_upper(upper);
                }
                hint
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    /// O11: frames, trailers, size and end pass through.
    #[tokio::test]
    async fn the_inner_body_passes_frame_by_frame() {
        let trailers: HeaderMap =
            [(http::header::ETAG, "x".parse().unwrap())].into_iter().collect();
        let frames = vec![
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"one"))),
            Ok(Frame::data(Bytes::from_static(b"two"))),
            Ok(Frame::trailers(trailers.clone())),
        ];
        let mut body = ResponseBody::theirs(StreamBody::new(futures_util::stream::iter(frames)));
        let mut seen = Vec::new();
        while let Some(frame) = body.frame().await {
            seen.push(frame.unwrap());
        }
        assert_eq!(seen[0].data_ref().unwrap(), "one");
        assert_eq!(seen[1].data_ref().unwrap(), "two");
        assert_eq!(seen[2].trailers_ref().unwrap(), &trailers);
        let full = ResponseBody::theirs(Full::new(Bytes::from_static(b"12345")));
        assert_eq!(full.size_hint().exact(), Some(5));
        assert!(!full.is_end_stream());
        assert!(ResponseBody::<Full<Bytes>>::default().is_end_stream());
    }
}
