//! What gRPC clients are told: refusals as "trailers-only" answers (status 200, no body, the outcome
//! in the headers), and the last frame of a stream whose session has ended.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body::Frame;

use super::{Rejection, problem::add_retry_after};
use crate::caller::GrpcFlavor;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// How many milliseconds a client that retries by itself waits first (gRFC A6).
const GRPC_RETRY_PUSHBACK_MS: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE and INTERNAL.
const UNAUTHENTICATED: u16 = 16;
const PERMISSION_DENIED: u16 = 7;
const UNAVAILABLE: u16 = 14;
const INTERNAL: u16 = 13;

/// What the client of a stream is told when the session ends.
const SESSION_ENDED: &str = "Your session has ended";

/// The flag of the frame that carries the trailers in a grpc-web body.
const WEB_TRAILERS: u8 = 0x80;

/// The first base64 digit of that flag, whatever follows.
const WEB_TEXT_TRAILERS: u8 = b'g';

pub(super) fn rejection(rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let content_type = match rejection.grpc_flavor() {
        GrpcFlavor::Native => "application/grpc",
        GrpcFlavor::Web => "application/grpc-web+proto",
        GrpcFlavor::WebText => "application/grpc-web-text+proto",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    add_status(headers, status_code(rejection.status()), rejection.title());
    add_retry_after(headers, rejection);
    if let Some(seconds) = rejection.retry_after_secs() {
        headers.insert(GRPC_RETRY_PUSHBACK_MS, HeaderValue::from(pushback(seconds)));
    }
    response
}

/// The last frame of a body of this flavour after its user's session has ended: its trailers, which
/// grpc-web carries in the body.
///
/// It stands between messages where each of the body's frames holds whole ones, as tonic's do.
pub(crate) fn session_ended(flavor: GrpcFlavor) -> Frame<Bytes> {
    let mut trailers = HeaderMap::with_capacity(2);
    add_status(&mut trailers, UNAUTHENTICATED, SESSION_ENDED);
    match flavor {
        GrpcFlavor::Native => Frame::trailers(trailers),
        GrpcFlavor::Web => Frame::data(web_trailers(&trailers)),
        GrpcFlavor::WebText => {
            let text = base64_simd::STANDARD.encode_to_string(web_trailers(&trailers));
            Frame::data(text.into())
        }
    }
}

/// Whether a piece of a body of this flavour begins with the trailers, which end it.
///
/// A piece that begins within a message may look so too.
pub(crate) fn looks_like_trailers(flavor: GrpcFlavor, data: &[u8]) -> bool {
    match flavor {
        GrpcFlavor::Native => false,
        GrpcFlavor::Web => data.first().is_some_and(|flags| flags & WEB_TRAILERS != 0),
        GrpcFlavor::WebText => data.first() == Some(&WEB_TEXT_TRAILERS),
    }
}

/// The frame that carries trailers in a grpc-web body: flag, length, and fields as in HTTP/1.1
/// (gRPC-Web protocol, "Message framing").
fn web_trailers(trailers: &HeaderMap) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in trailers {
        block.put_slice(name.as_str().as_bytes());
        block.put_u8(b':');
        block.put_slice(value.as_bytes());
        block.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + block.len());
    frame.put_u8(WEB_TRAILERS);
    frame.put_u32(u32::try_from(block.len()).unwrap_or(u32::MAX));
    frame.put(block);
    frame.freeze()
}

fn add_status(headers: &mut HeaderMap, code: u16, message: &str) {
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    headers.insert(GRPC_MESSAGE, encode_message(message));
}

/// The status that stands for an HTTP status. What is wrong with a request is its credential,
/// unless it is forbidden: other requests are not judged here.
fn status_code(status: StatusCode) -> u16 {
    match status {
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::SERVICE_UNAVAILABLE => UNAVAILABLE,
        _ if status.is_client_error() => UNAUTHENTICATED,
        _ => INTERNAL,
    }
}

/// A client reads a signed 32-bit number, and takes what is none for "never".
fn pushback(seconds: u64) -> i32 {
    i32::try_from(seconds.saturating_mul(1000)).unwrap_or(i32::MAX)
}

/// Percent-encodes the UTF-8 of a text: all but visible ASCII and inner spaces, and `%` too (gRPC
/// over HTTP/2, "Status-Message"). A field value neither begins nor ends with a space (RFC 9113
/// §8.2.1).
fn encode_message(text: &str) -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let last = text.len().saturating_sub(1);
    let mut encoded = Vec::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b' ' if at != 0 && at != last => encoded.push(byte),
            b'%' => encoded.extend_from_slice(b"%25"),
            b'!'..=b'~' => encoded.push(byte),
            _ => encoded.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    // Only visible ASCII and spaces are left.
    HeaderValue::from_maybe_shared(Bytes::from(encoded))
        .unwrap_or(HeaderValue::from_static("Not accepted"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::RejectionReason, *};

    /// I04.
    #[test]
    fn a_message_is_percent_encoded() {
        for (text, expected) in [
            ("Please sign in", "Please sign in"),
            ("100 %", "100 %25"),
            (" both ends ", "%20both ends%20"),
            (" ", "%20"),
            ("", ""),
            ("a\r\nb\tc\0", "a%0D%0Ab%09c%00"),
            ("naïve ☃ \u{7f}", "na%C3%AFve %E2%98%83 %7F"),
            ("~!", "~!"),
        ] {
            assert_eq!(encode_message(text), expected, "{text:?}");
        }
    }

    proptest! {
        /// I04: whatever the text, a client reads it back.
        #[test]
        fn a_message_is_read_back(text in any::<String>()) {
            let encoded = encode_message(&text);
            let encoded = encoded.to_str().unwrap();
            prop_assert!(encoded.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            let mut decoded = Vec::new();
            let mut bytes = encoded.bytes();
            while let Some(byte) = bytes.next() {
                decoded.push(match byte {
                    b'%' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        let digits = std::str::from_utf8(&digits).unwrap();
                        u8::from_str_radix(digits, 16).unwrap()
                    }
                    byte => byte,
                });
            }
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), text);
        }
    }

    /// I01, I02, I03: a refusal is about the credential, unless it is forbidden or cannot be said.
    #[test]
    fn every_refusal_of_a_call_has_the_status_that_clients_expect() {
        use RejectionReason::*;
        for (reason, expected) in [
            (NotSignedIn, 16),
            (LoginTooOld, 16),
            (CredentialRefused, 16),
            // A malformed credential (RFC 6750 §3.1, `invalid_request`).
            (AmbiguousCredential, 16),
            (CrossSite, 7),
            (Forbidden, 7),
            (InsufficientScope, 7),
            (Unavailable, 14),
        ] {
            assert_eq!(status_code(reason.status()), expected, "{reason:?}");
        }
        for reason in RejectionReason::ALL.iter().filter(|it| it.status().is_client_error()) {
            assert_ne!(status_code(reason.status()), INTERNAL, "{reason:?}");
        }
    }

    /// I02: too long a wait is still a number that is read.
    #[test]
    fn a_pushback_is_in_milliseconds_and_fits() {
        for (seconds, expected) in [(1, 1000), (60, 60_000), (u64::MAX, i32::MAX)] {
            assert_eq!(pushback(seconds), expected, "{seconds} s");
        }
    }

    /// I07: the frame as grpc-web clients read it.
    #[test]
    fn the_last_frame_of_a_stream_is_of_its_flavour() {
        let block = b"grpc-status:16\r\ngrpc-message:Your session has ended\r\n";
        let whole = [&[0x80, 0, 0, 0, block.len() as u8][..], block].concat();
        let native = session_ended(GrpcFlavor::Native).into_trailers().unwrap();
        assert_eq!(
            (&native["grpc-status"], &native["grpc-message"]),
            (&HeaderValue::from(16), &HeaderValue::from_static(SESSION_ENDED))
        );
        let web = session_ended(GrpcFlavor::Web).into_data().unwrap();
        assert_eq!(web, whole);
        let text = session_ended(GrpcFlavor::WebText).into_data().unwrap();
        assert_eq!(base64_simd::STANDARD.decode_to_vec(&text).unwrap(), whole);
        assert!(looks_like_trailers(GrpcFlavor::Web, &web));
        assert!(looks_like_trailers(GrpcFlavor::WebText, &text));
    }

    /// I07: messages, compressed ones too, are no trailers.
    #[test]
    fn a_message_does_not_look_like_trailers() {
        for flags in [0, 1] {
            let message = [flags, 0, 0, 0, 1, b'x'];
            let text = base64_simd::STANDARD.encode_to_string(message);
            assert!(!looks_like_trailers(GrpcFlavor::Web, &message));
            assert!(!looks_like_trailers(GrpcFlavor::WebText, text.as_bytes()));
        }
        for flavor in [GrpcFlavor::Native, GrpcFlavor::Web, GrpcFlavor::WebText] {
            assert!(!looks_like_trailers(flavor, b""));
        }
    }
}
