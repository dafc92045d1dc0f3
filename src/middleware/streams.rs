//! Which responses end with the session of the user they are for.

use http::{
    HeaderMap, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::Body;

/// An event stream (WHATWG HTML, server-sent events).
const EVENT_STREAM: &[u8] = b"text/event-stream";

/// Whether the body of a user's response ends with their session: an event stream of unknown length.
///
/// One whose length has been told cannot end before it, and one that has ended has nothing to end.
pub(super) fn ends_with_session<B: Body>(response: &Response<B>) -> bool {
    is_event_stream(response.headers())
        && !response.headers().contains_key(CONTENT_LENGTH)
        && response.body().size_hint().exact().is_none()
        && !response.body().is_end_stream()
}

/// Whether the media type is an event stream's; parameters and case do not count (RFC 9110 §8.3.1).
fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let bytes = value.as_bytes();
        let end = bytes.iter().position(|byte| *byte == b';').unwrap_or(bytes.len());
        bytes[..end].trim_ascii().eq_ignore_ascii_case(EVENT_STREAM)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http_body_util::{Empty, Full, StreamBody};

    use super::*;

    type Frames = Vec<Result<http_body::Frame<bytes::Bytes>, std::io::Error>>;

    fn response<B>(content_type: &'static str, body: B) -> Response<B> {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    }

    /// G18: the media type decides, in any spelling.
    #[test]
    fn an_event_stream_is_known_by_its_media_type() {
        for (content_type, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream", true),
            ("text/event-stream; charset=utf-8", true),
            ("text/event-stream ;charset=utf-8", true),
            (" text/event-stream", true),
            ("text/event-stream2", false),
            ("text/event", false),
            ("text/plain; kind=text/event-stream", false),
            ("application/json", false),
            ("", false),
        ] {
            let body = StreamBody::new(futures_util::stream::iter(Frames::new()));
            let found = ends_with_session(&response(content_type, body));
            assert_eq!(found, expected, "{content_type:?}");
        }
        let untyped = Response::new(StreamBody::new(futures_util::stream::iter(Frames::new())));
        assert!(!ends_with_session(&untyped));
    }

    /// O11: what has been promised of a length is kept.
    #[test]
    fn a_body_of_known_length_or_without_any_is_left_alone() {
        let kind = "text/event-stream";
        assert!(!ends_with_session(&response(kind, Empty::<bytes::Bytes>::new())));
        assert!(!ends_with_session(&response(kind, Full::new(bytes::Bytes::from_static(b"x")))));
        let body = StreamBody::new(futures_util::stream::iter(Frames::new()));
        let mut told = response(kind, body);
        told.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("100"));
        assert!(!ends_with_session(&told));
    }
}
