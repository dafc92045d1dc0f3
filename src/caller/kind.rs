//! How a request was made: that decides in which language it is answered.

use http::{
    HeaderMap, HeaderName, Method,
    header::{ACCEPT, CONTENT_TYPE, UPGRADE},
};

/// How a request was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A person's browser opens a page: the only kind that starts a login.
    Navigation,
    /// The head of the same.
    HeadNavigation,
    /// A person's browser posts a form.
    Form,
    /// gRPC, or grpc-web with its content type.
    Grpc(GrpcFlavor),
    /// A WebSocket or another upgrade.
    Upgrade,
    /// A browser fetches ahead what nobody has asked for yet.
    Prefetch,
    /// A program.
    Api,
}

/// Which of gRPC's content types the answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GrpcFlavor {
    Native,
    Web,
    WebText,
}

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const PURPOSE: HeaderName = HeaderName::from_static("purpose");
const X_MOZ: HeaderName = HeaderName::from_static("x-moz");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// What the `Sec-Fetch` headers (W3C Fetch Metadata) say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FetchMetadata {
    TopLevel,
    Else,
    Absent,
}

impl RequestKind {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        if let Some(flavor) = grpc_flavor(headers) {
            return Self::Grpc(flavor);
        }
        if headers.contains_key(UPGRADE) || method == Method::CONNECT {
            return Self::Upgrade;
        }
        if is_prefetch(headers) {
            return Self::Prefetch;
        }
        match *method {
            Method::GET if is_navigation(headers) => Self::Navigation,
            Method::HEAD if is_navigation(headers) => Self::HeadNavigation,
            Method::POST | Method::PUT | Method::PATCH | Method::DELETE
                if fetch_metadata(headers) == FetchMetadata::TopLevel
                    && headers.contains_key(SEC_FETCH_DEST) =>
            {
                Self::Form
            }
            _ => Self::Api,
        }
    }

    /// Whether a GET of the login path starts a login: a top-level navigation, or whoever does not
    /// say.
    pub(crate) fn may_start_login(headers: &HeaderMap) -> bool {
        fetch_metadata(headers) != FetchMetadata::Else
    }
}

/// Whether the browser fetches ahead (`Sec-Purpose`, and its older names).
pub(crate) fn is_prefetch(headers: &HeaderMap) -> bool {
    [SEC_PURPOSE, PURPOSE, X_MOZ].iter().any(|name| {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().to_ascii_lowercase();
            memchr::memmem::find(&value, b"prefetch").is_some()
                || memchr::memmem::find(&value, b"prerender").is_some()
        })
    })
}

fn is_navigation(headers: &HeaderMap) -> bool {
    if headers.contains_key(X_REQUESTED_WITH) {
        return false;
    }
    match fetch_metadata(headers) {
        FetchMetadata::TopLevel => true,
        FetchMetadata::Else => false,
        FetchMetadata::Absent => accepts_html(headers),
    }
}

fn fetch_metadata(headers: &HeaderMap) -> FetchMetadata {
    let says = |name: HeaderName, expected: &str| {
        let mut values = headers.get_all(name).iter();
        let first = values.next()?;
        Some(first == expected && values.next().is_none())
    };
    match (says(SEC_FETCH_MODE, "navigate"), says(SEC_FETCH_DEST, "document")) {
        (None, None) => FetchMetadata::Absent,
        (Some(false), _) | (_, Some(false)) => FetchMetadata::Else,
        _ => FetchMetadata::TopLevel,
    }
}

/// Whether `Accept` names HTML itself; `*/*` is what programs send.
fn accepts_html(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let html = media.eq_ignore_ascii_case("text/html")
                || media.eq_ignore_ascii_case("application/xhtml+xml");
            html && !parts.any(is_zero_weight)
        })
    })
}

/// `q=0`, `q=0.0` and so on (RFC 9110 §12.4.2): not acceptable.
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q")
        && weight
            .trim()
            .strip_prefix('0')
            .is_some_and(|rest| rest.bytes().all(|b| b == b'0' || b == b'.'))
}

/// Which gRPC the media type of a request, or of a response, is.
pub(crate) fn grpc_flavor(headers: &HeaderMap) -> Option<GrpcFlavor> {
    let value = headers.get(CONTENT_TYPE)?.as_bytes();
    let rest = strip_prefix_ignore_case(value, b"application/grpc")?;
    if ends(rest) {
        Some(GrpcFlavor::Native)
    } else if strip_prefix_ignore_case(rest, b"-web-text").is_some_and(ends) {
        Some(GrpcFlavor::WebText)
    } else if strip_prefix_ignore_case(rest, b"-web").is_some_and(ends) {
        Some(GrpcFlavor::Web)
    } else {
        None
    }
}

fn ends(rest: &[u8]) -> bool {
    matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

fn strip_prefix_ignore_case<'a>(value: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const TOP: [(&str, &str); 2] = [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

    /// J08, J09, J10.
    #[test]
    fn a_get_is_a_navigation_only_if_the_browser_or_the_accept_header_says_so() {
        use RequestKind::{Api, Navigation, Prefetch, Upgrade};
        let table: &[(&[(&str, &str)], RequestKind)] = &[
            (&TOP, Navigation),
            (&[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")], Api),
            (
                &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", "text/html")],
                Api,
            ),
            (&[("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], Api),
            (&[("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "document")], Api),
            (&[("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")], Api),
            (&[TOP[0], TOP[1], ("x-requested-with", "XMLHttpRequest")], Api),
            (&[("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")], Navigation),
            (&[("accept", "application/json, text/HTML;q=0.1")], Navigation),
            (&[("accept", "text/html;q=0")], Api),
            (&[("accept", "text/html; q=0.000")], Api),
            (&[("accept", "application/json")], Api),
            (&[("accept", "*/*")], Api),
            (&[("accept", "text/html"), ("x-requested-with", "fetch")], Api),
            (&[], Api),
            (&[TOP[0], TOP[1], ("sec-purpose", "prefetch;prerender")], Prefetch),
            (&[("accept", "text/html"), ("purpose", "prefetch")], Prefetch),
            (&[("accept", "text/html"), ("x-moz", "Prefetch")], Prefetch),
            (&[("accept", "text/html"), ("upgrade", "websocket")], Upgrade),
        ];
        for (pairs, expected) in table {
            assert_eq!(RequestKind::of(&Method::GET, &headers(pairs)), *expected, "{pairs:?}");
        }
    }

    /// A26, J06, J11.
    #[test]
    fn other_methods_never_navigate() {
        use RequestKind::{Api, Form, HeadNavigation, Upgrade};
        let html = [("accept", "text/html")];
        let table: &[(Method, &[(&str, &str)], RequestKind)] = &[
            (Method::HEAD, &TOP, HeadNavigation),
            (Method::HEAD, &html, HeadNavigation),
            (Method::HEAD, &[("accept", "*/*")], Api),
            (Method::POST, &TOP, Form),
            (Method::DELETE, &TOP, Form),
            (Method::POST, &html, Api),
            (Method::POST, &[("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")], Api),
            (Method::OPTIONS, &TOP, Api),
            (Method::TRACE, &html, Api),
            (Method::CONNECT, &html, Upgrade),
            (Method::from_bytes(b"PURGE").unwrap(), &TOP, Api),
        ];
        for (method, pairs, expected) in table {
            assert_eq!(RequestKind::of(method, &headers(pairs)), *expected, "{method} {pairs:?}");
        }
    }

    /// I01.
    #[test]
    fn grpc_is_known_by_its_content_type() {
        use GrpcFlavor::{Native, Web, WebText};
        for (value, expected) in [
            ("application/grpc", Some(Native)),
            ("application/grpc+proto", Some(Native)),
            ("Application/GRPC; charset=utf-8", Some(Native)),
            ("application/grpc-web", Some(Web)),
            ("application/grpc-web+proto", Some(Web)),
            ("application/grpc-web-text+proto", Some(WebText)),
            ("application/grpcx", None),
            ("application/json", None),
        ] {
            assert_eq!(grpc_flavor(&headers(&[("content-type", value)])), expected, "{value}");
        }
    }

    #[test]
    fn a_login_starts_for_whoever_does_not_say_otherwise() {
        assert!(RequestKind::may_start_login(&headers(&[("accept", "*/*")])));
        assert!(RequestKind::may_start_login(&headers(&TOP)));
        assert!(!RequestKind::may_start_login(&headers(&[("sec-fetch-dest", "image")])));
    }
}
