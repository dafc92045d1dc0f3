//! A request, read whole.

use http::{HeaderMap, Method, Request, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use url::form_urlencoded;

use super::reply::Severed;

/// More than any form of this protocol has, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// What a caller asked, decoded.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    /// The query as it was sent; `query` is the same, decoded.
    pub(super) raw_query: String,
    pub(super) query: Params,
    /// Empty unless the body is a form.
    pub(super) form: Params,
    headers: HeaderMap,
}

/// Names and values, in the order in which they came.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Asked {
    pub(super) async fn read(request: Request<Incoming>) -> Result<Self, Severed> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|_| Severed)?.to_bytes();
        Ok(Self::new(parts, &body))
    }

    fn new(parts: Parts, body: &[u8]) -> Self {
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let mut asked = Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            query: Params::parse(raw_query.as_bytes()),
            raw_query,
            form: Params::default(),
            headers: parts.headers,
        };
        if asked.is_form() {
            asked.form = Params::parse(body);
        }
        asked
    }

    /// Whether the body calls itself a form, with or without a charset.
    pub(super) fn is_form(&self) -> bool {
        let content_type = self.header(header::CONTENT_TYPE).unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }

    pub(super) fn has_authorization(&self) -> bool {
        self.headers.contains_key(header::AUTHORIZATION)
    }

    /// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
    pub(super) fn bearer_token(&self) -> Option<&str> {
        let (scheme, token) = self.header(header::AUTHORIZATION)?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }

    /// The first cookie of this name.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        let fields = self.headers.get_all(header::COOKIE).iter();
        let texts = fields.filter_map(|field| field.to_str().ok());
        let mut pairs = texts.flat_map(|text| text.split(';'));
        pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Params {
    fn parse(text: &[u8]) -> Self {
        Self(form_urlencoded::parse(text).into_owned().collect())
    }

    /// The value of a parameter; one without a value counts as omitted (RFC 6749 §3.1).
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let named = self.0.iter().find(|(other, _)| other == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(other, _)| other == name)
    }

    /// Whether a name comes twice, which RFC 6749 §3.1 and §3.2 forbid.
    pub(super) fn repeat(&self) -> bool {
        let names = self.0.iter().map(|(name, _)| name);
        let earlier = |(at, name)| self.0[..at].iter().any(|(other, _)| other == name);
        names.enumerate().any(earlier)
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(builder: http::request::Builder, body: &str) -> Asked {
        Asked::new(builder.body(()).unwrap().into_parts().0, body.as_bytes())
    }

    #[test]
    fn only_a_form_is_read_as_one() {
        let post = |content_type| Request::post("/").header("content-type", content_type);
        for (content_type, expected) in [
            ("application/x-www-form-urlencoded", Some("b c")),
            ("application/x-www-form-urlencoded;charset=UTF-8", Some("b c")),
            ("text/plain", None),
        ] {
            let asked = asked(post(content_type), "a=b+c");
            assert_eq!(asked.form.one("a"), expected, "{content_type}");
        }
    }

    #[test]
    fn parameters_are_decoded_and_repeats_noticed() {
        let asked = asked(Request::get("/x?a=%2Fb&empty=&c=1&c=2"), "");
        assert_eq!(asked.query.one("a"), Some("/b"));
        assert_eq!(asked.query.one("empty"), None);
        assert!(asked.query.has("empty") && asked.query.repeat());
        assert!(!Params::parse(b"a=1&b=1").repeat());
    }

    #[test]
    fn credentials_and_cookies_are_found() {
        let request = Request::get("/")
            .header("authorization", "bearer abc")
            .header("cookie", "a=1; b=2")
            .header("cookie", "bb=4;c=3");
        let asked = asked(request, "");
        assert_eq!(asked.bearer_token(), Some("abc"));
        for (name, expected) in [("b", Some("2")), ("c", Some("3")), ("d", None)] {
            assert_eq!(asked.cookie(name), expected, "{name}");
        }
    }
}
