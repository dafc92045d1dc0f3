//! Answers for gRPC clients: status 200, no body, the outcome in the headers ("trailers-only").

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};

use super::Rejection;
use crate::caller::GrpcFlavor;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

pub(super) fn rejection(rejection: &Rejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let content_type = match rejection.grpc_flavor() {
        GrpcFlavor::Native => "application/grpc",
        GrpcFlavor::Web => "application/grpc-web+proto",
        GrpcFlavor::WebText => "application/grpc-web-text+proto",
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(GRPC_STATUS, HeaderValue::from(status_code(rejection.status())));
    // Titles are plain ASCII without `%`, so they need no percent-encoding.
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(rejection.title()));
    response
}

/// UNAUTHENTICATED, PERMISSION_DENIED, UNAVAILABLE, or INTERNAL.
fn status_code(status: StatusCode) -> u16 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 13,
    }
}

#[cfg(test)]
mod tests {
    use super::super::RejectionReason;

    #[test]
    fn every_title_is_a_grpc_message_as_it_stands() {
        for reason in RejectionReason::ALL {
            let plain = |b: u8| (0x20..0x7f).contains(&b) && b != b'%';
            assert!(reason.title().bytes().all(plain), "{reason:?}");
        }
    }
}
