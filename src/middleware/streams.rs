//! Which responses end with the session of the user they are for, and when.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::{Body, Frame};

use crate::{
    caller::{GrpcFlavor, grpc_flavor},
    refresh::Ended,
    respond::{looks_like_trailers, session_ended},
};

/// An event stream (WHATWG HTML, server-sent events).
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// A response whose body ends with the session of its user, by the language its client is told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// Its end says it all: the browser connects again.
    Events,
    /// Status 16. A call with one answer looks the same.
    Grpc(GrpcFlavor),
    /// grpc-web that was compressed further in (RFC 9110 §8.4): it only ends, since nothing can be put
    /// into it that its client would read.
    Packed,
}

impl Stream {
    /// Whether, and how, the body of a user's response ends with their session: one of unknown
    /// length.
    ///
    /// One whose length has been told cannot end before it, and one that has ended has nothing to
    /// end.
    pub(super) fn of<B: Body>(response: &Response<B>) -> Option<Self> {
        // The body knows at once what the headers have to be searched for.
        if response.body().size_hint().exact().is_some() || response.body().is_end_stream() {
            return None;
        }
        let stream = Self::by_media_type(response.headers())?;
        (!response.headers().contains_key(CONTENT_LENGTH)).then_some(stream)
    }

    fn by_media_type(headers: &HeaderMap) -> Option<Self> {
        if is_event_stream(headers) {
            return Some(Self::Events);
        }
        match grpc_flavor(headers)? {
            GrpcFlavor::Web | GrpcFlavor::WebText if is_packed(headers) => Some(Self::Packed),
            flavor => Some(Self::Grpc(flavor)),
        }
    }
}

/// Whether the media type is an event stream's; parameters and case do not count (RFC 9110 §8.3.1).
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let bytes = value.as_bytes();
        let end = bytes.iter().position(|byte| *byte == b';').unwrap_or(bytes.len());
        bytes[..end].trim_ascii().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

/// Whether a body is not what its media type says until a client has decoded it.
fn is_packed(headers: &HeaderMap) -> bool {
    let plain = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

/// Watches the session that a stream ends with.
///
/// A call with one answer costs nothing more: its message is ready, and its trailers follow. Whoever
/// lets wait, or says more, is watched from then on.
#[derive(Debug)]
pub(super) struct Watch {
    stream: Stream,
    ended: Ended,
    progress: Progress,
}

/// How much of a body has gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Nothing,
    Some,
    /// What looks like trailers in a grpc-web body: nothing is to follow.
    Signed,
    /// Trailers, or the end.
    All,
}

impl Watch {
    pub(super) fn new(stream: Stream, ended: Ended) -> Self {
        Self { stream, ended, progress: Progress::Nothing }
    }

    /// Whether what the body has just said goes out: not if the session has ended and there is more
    /// to come.
    pub(super) fn lets_pass<E>(
        &mut self,
        said: &Poll<Option<Result<Frame<Bytes>, E>>>,
        cx: &mut Context<'_>,
    ) -> bool {
        let passes = match said {
            _ if self.progress == Progress::All => true,
            Poll::Pending => false,
            Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                Some(data) => self.note_data(data),
                None => self.note(Progress::All),
            },
            Poll::Ready(_) => self.note(Progress::All),
        };
        passes || Pin::new(&mut self.ended).poll(cx).is_pending()
    }

    /// Whether a piece of data goes out without a look at the session.
    fn note_data(&mut self, data: &[u8]) -> bool {
        if let Stream::Grpc(flavor) = self.stream
            && looks_like_trailers(flavor, data)
        {
            return self.note(Progress::Signed);
        }
        mem::replace(&mut self.progress, Progress::Some) == Progress::Nothing
    }

    fn note(&mut self, progress: Progress) -> bool {
        self.progress = progress;
        true
    }

    /// The last frame after the session's end.
    pub(super) fn farewell(&self) -> Option<Frame<Bytes>> {
        match self.stream {
            Stream::Grpc(flavor) if self.progress != Progress::Signed => {
                Some(session_ended(flavor))
            }
            Stream::Grpc(_) | Stream::Events | Stream::Packed => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    type Frames = Vec<Result<Frame<Bytes>, std::io::Error>>;

    fn response<B>(content_type: &'static str, body: B) -> Response<B> {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// G18, I07: the media type decides, in any spelling.
    #[test]
    fn a_stream_is_known_by_its_media_type() {
        use GrpcFlavor::{Native, Web, WebText};
        use Stream::{Events, Grpc};
        for (content_type, expected) in [
            ("text/event-stream", Some(Events)),
            ("Text/Event-Stream", Some(Events)),
            ("text/event-stream; charset=utf-8", Some(Events)),
            ("text/event-stream ;charset=utf-8", Some(Events)),
            (" text/event-stream", Some(Events)),
            ("text/event-stream2", None),
            ("text/event", None),
            ("text/plain; kind=text/event-stream", None),
            ("application/grpc", Some(Grpc(Native))),
            ("application/GRPC+proto", Some(Grpc(Native))),
            ("application/grpc-web+proto", Some(Grpc(Web))),
            ("application/grpc-web-text+proto", Some(Grpc(WebText))),
            ("application/grpcish", None),
            ("application/json", None),
            ("", None),
        ] {
            let body = StreamBody::new(futures_util::stream::iter(Frames::new()));
            assert_eq!(Stream::of(&response(content_type, body)), expected, "{content_type:?}");
        }
        let untyped = Response::new(StreamBody::new(futures_util::stream::iter(Frames::new())));
        assert_eq!(Stream::of(&untyped), None);
    }

    /// O06: what was compressed further in holds its trailers where nobody can add any.
    #[test]
    fn compressed_grpc_web_only_ends() {
        use GrpcFlavor::{Native, Web};
        for (content_type, coding, expected) in [
            ("application/grpc-web+proto", "gzip", Stream::Packed),
            ("application/grpc-web-text", "br", Stream::Packed),
            ("application/grpc-web+proto", "Identity", Stream::Grpc(Web)),
            ("application/grpc", "gzip", Stream::Grpc(Native)),
            ("text/event-stream", "gzip", Stream::Events),
        ] {
            let body = StreamBody::new(futures_util::stream::iter(Frames::new()));
            let mut response = response(content_type, body);
            response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            assert_eq!(Stream::of(&response), Some(expected), "{content_type} {coding}");
        }
    }

    /// O11: what has been promised of a length is kept.
    #[test]
    fn a_body_of_known_length_or_without_any_is_left_alone() {
        for kind in ["text/event-stream", "application/grpc"] {
            assert_eq!(Stream::of(&response(kind, Empty::<Bytes>::new())), None);
            assert_eq!(Stream::of(&response(kind, Full::new(Bytes::from_static(b"x")))), None);
            let body = StreamBody::new(futures_util::stream::iter(Frames::new()));
            let mut told = response(kind, body);
            told.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("100"));
            assert_eq!(Stream::of(&told), None);
        }
    }
}
