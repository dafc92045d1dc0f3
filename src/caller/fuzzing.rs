//! What must hold of a request's kind, whatever comes in.

#![allow(
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    reason = "to panic is what an oracle is for"
)]

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{RequestKind, is_prefetch, kind::grpc_flavor};

/// Of header fields, one a line, a navigation is read only where nothing says otherwise; accepted is
/// what navigates.
pub fn request_kind(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let field = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
        if let (Ok(name), Ok(value)) = field {
            headers.append(name, value);
        }
    }
    let is_grpc = grpc_flavor(&headers).is_some();
    for method in [Method::POST, Method::PUT, Method::OPTIONS, Method::CONNECT, Method::HEAD] {
        let kind = RequestKind::of(&method, &headers);
        assert_ne!(kind, RequestKind::Navigation, "{method} {headers:?}");
        assert_eq!(matches!(kind, RequestKind::Grpc(_)), is_grpc, "{method} {headers:?}");
    }
    if RequestKind::of(&Method::GET, &headers) != RequestKind::Navigation {
        return false;
    }
    let others = ["upgrade", "x-requested-with"].map(|name| headers.contains_key(name));
    assert_eq!(others, [false; 2], "{headers:?}");
    assert!(!is_grpc && !is_prefetch(&headers), "{headers:?}");
    for (name, expected) in [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")] {
        assert!(headers.get_all(name).iter().all(|value| value == expected), "{headers:?}");
    }
    assert!(RequestKind::may_start_login(&headers), "{headers:?}");
    true
}
