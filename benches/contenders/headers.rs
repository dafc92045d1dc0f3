//! The header fields of the requests, their bytes counted references as a server's are.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};

/// One field, as HTTP/1.1 hands all cookies over.
pub fn cookie(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(COOKIE, shared(value))])
}

/// A session token in its field.
pub fn bearer(token: &str) -> HeaderMap {
    HeaderMap::from_iter([(AUTHORIZATION, shared(&format!("Bearer {token}")))])
}

/// Three foreign cookies and ours in fields of their own, as HTTP/2 hands them over.
pub fn fields(ours: &str) -> HeaderMap {
    ["theme=dark", ours, "_ga=GA1.1.1234567890", "lang=en-GB"]
        .iter()
        .map(|pair| (COOKIE, shared(pair)))
        .collect()
}

/// The 16 headers of a browser's navigation, the cookies among them.
pub fn browser(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in [
        ("host", "app.example.com"),
        ("connection", "keep-alive"),
        ("cache-control", "max-age=0"),
        ("sec-ch-ua", "\"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\""),
        ("sec-ch-ua-mobile", "?0"),
        ("sec-ch-ua-platform", "\"Linux\""),
        ("upgrade-insecure-requests", "1"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-user", "?1"),
        ("sec-fetch-dest", "document"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB,en;q=0.9"),
    ] {
        headers.insert(HeaderName::from_static(name), shared(value));
    }
    headers
}

/// A value whose bytes are counted references, as a server makes them.
pub fn shared(value: &str) -> HeaderValue {
    HeaderValue::from_maybe_shared(bytes::Bytes::from(value.to_owned())).expect("visible ASCII")
}
