//! What a request brings: its cookies, and the `Authorization` header. Where there is one, it alone
//! decides.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, UPGRADE},
};

use crate::session::{CookieNames, Glance, Traces};

/// What one pass over all headers finds: cheaper than a look-up for each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Brought<'a> {
    /// There is an `Authorization` header; [`Authorization::of`] judges it.
    pub(crate) authorization: bool,
    /// There is an `Upgrade` header.
    pub(crate) upgrade: bool,
    pub(crate) cookies: Glance<'a>,
}

impl<'a> Brought<'a> {
    /// Notes in `traces`, new ones, where cookies of ours stand.
    #[inline]
    pub(crate) fn of(headers: &'a HeaderMap, names: &CookieNames, traces: &mut Traces) -> Self {
        let mut brought = Self::default();
        for (name, value) in headers {
            if *name == COOKIE {
                brought.cookies.take_in(names, value, traces);
            } else {
                brought.authorization |= *name == AUTHORIZATION;
                brought.upgrade |= *name == UPGRADE;
            }
        }
        brought.cookies = brought.cookies.settled(names, traces);
        brought
    }
}

/// What the `Authorization` header of a request comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authorization<'a> {
    /// None, or only schemes that configuration ignores: the cookie decides.
    Absent,
    /// A bearer token, not believed yet. Whether it has the letters of one (RFC 6750 §2.1) is not looked at:
    /// no other opens or verifies.
    Bearer(&'a [u8]),
    /// `Bearer` with nothing, or with what is longer than any token.
    Malformed,
    /// A scheme that nobody is known by here.
    Unsupported,
    /// More than one way to say who calls (RFC 6750 §2): whose request it is cannot be said.
    Ambiguous,
}

/// Schemes of a gate in front of the application, such as a staging server's `Basic`.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredSchemes(Vec<Box<str>>);

/// No token that is accepted is longer: a session token has at most 4,096 characters, a JWT four
/// times as many.
const MAX_TOKEN: usize = 16 * 1024;

/// The parameter of RFC 6750 §2.3, which is not supported: addresses end in logs.
const QUERY_PARAMETER: &str = "access_token";

impl IgnoredSchemes {
    pub(crate) fn new(schemes: Vec<Box<str>>) -> Self {
        Self(schemes)
    }

    /// Whether none of the values counts.
    #[inline]
    pub(crate) fn ignore_all(&self, headers: &HeaderMap) -> bool {
        !self.0.is_empty() && headers.get_all(AUTHORIZATION).iter().all(|it| self.ignores(it))
    }

    /// Takes all values out of a request but those of a gate in front.
    pub(crate) fn strip_others(&self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            headers.remove(AUTHORIZATION);
            return;
        }
        let theirs: Vec<_> =
            headers.get_all(AUTHORIZATION).iter().filter(|it| self.ignores(it)).cloned().collect();
        headers.remove(AUTHORIZATION);
        for value in theirs {
            headers.append(AUTHORIZATION, value);
        }
    }

    /// Whether a value counts as no header.
    fn ignores(&self, value: &HeaderValue) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let value = value.as_bytes();
        let end = memchr::memchr(b' ', value).unwrap_or(value.len());
        self.0.iter().any(|scheme| scheme.as_bytes().eq_ignore_ascii_case(&value[..end]))
    }
}

impl<'a> Authorization<'a> {
    /// Judges what stands in the request by its form alone.
    pub(crate) fn of(
        headers: &'a HeaderMap,
        query: Option<&str>,
        ignored: &IgnoredSchemes,
    ) -> Self {
        let mut values =
            headers.get_all(AUTHORIZATION).iter().filter(|value| !ignored.ignores(value));
        let Some(value) = values.next() else { return Self::Absent };
        if values.next().is_some() {
            return Self::Ambiguous;
        }
        match (Self::parse(value), query) {
            (Self::Bearer(_), Some(query)) if names_token(query) => Self::Ambiguous,
            (parsed, _) => parsed,
        }
    }

    /// Judges one value. RFC 6750 §2.1: `"Bearer" SP b64token`, the scheme in any case (RFC 9110 §11.1).
    pub(crate) fn parse(value: &'a HeaderValue) -> Self {
        let value = value.as_bytes();
        let (scheme, rest) = value.split_at(value.len().min(6));
        if !scheme.eq_ignore_ascii_case(b"bearer") || !matches!(rest, [] | [b' ' | b'\t', ..]) {
            return Self::Unsupported;
        }
        match rest {
            [b' ', token @ ..] if (1..=MAX_TOKEN).contains(&token.len()) => Self::Bearer(token),
            _ => Self::Malformed,
        }
    }
}

/// Whether a query has the parameter that would carry a token.
fn names_token(query: &str) -> bool {
    let name = |pair: &str| pair.split('=').next().is_some_and(|name| name == QUERY_PARAMETER);
    query.split('&').any(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(values: &[&[u8]], query: Option<&str>, ignored: &[&str]) -> String {
        let ignored = IgnoredSchemes::new(ignored.iter().map(|scheme| (*scheme).into()).collect());
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        match Authorization::of(&headers, query, &ignored) {
            Authorization::Absent => "absent".into(),
            Authorization::Bearer(token) => format!("bearer {}", String::from_utf8_lossy(token)),
            Authorization::Malformed => "malformed".into(),
            Authorization::Unsupported => "unsupported".into(),
            Authorization::Ambiguous => "ambiguous".into(),
        }
    }

    /// H03, H11.
    #[test]
    fn a_bearer_token_is_what_stands_after_one_space() {
        let long = [b"Bearer ", &*vec![b'a'; MAX_TOKEN]].concat();
        let longer = [b"Bearer ", &*vec![b'a'; 64 * 1024]].concat();
        let table: &[(&[u8], &str)] = &[
            (b"Bearer x", "bearer x"),
            (b"bearer x", "bearer x"),
            (b"BEARER a-._~+/9==", "bearer a-._~+/9=="),
            (b"Bearer", "malformed"),
            (b"Bearer ", "malformed"),
            (b"Bearer  x", "bearer  x"),
            (b"Bearer x y", "bearer x y"),
            (b"Bearer \tx", "bearer \tx"),
            (b"Bearer\tx", "malformed"),
            (b"Bearer x,y", "bearer x,y"),
            (b"Bearer \xc3\xa9", "bearer é"),
            (&longer, "malformed"),
            (b"BearerX x", "unsupported"),
            (b"Bearer=x", "unsupported"),
            (b"Basic YTpi", "unsupported"),
            (b"Digest a=b", "unsupported"),
            (b"Negotiate", "unsupported"),
            (b"x", "unsupported"),
            (b"", "unsupported"),
            (b"\xff\xfe", "unsupported"),
        ];
        for (value, expected) in table {
            let found = judged(&[value], None, &[]);
            assert_eq!(found, *expected, "{:?}", String::from_utf8_lossy(value));
        }
        assert!(judged(&[&long], None, &[]).starts_with("bearer aaa"));
        assert_eq!(judged(&[], None, &[]), "absent");
    }

    /// H01, H02: one way to say who calls; the address is none.
    #[test]
    fn two_ways_to_say_who_calls_are_none() {
        assert_eq!(judged(&[b"Bearer x", b"Bearer x"], None, &[]), "ambiguous");
        assert_eq!(judged(&[b"Basic YTpi", b"Bearer x"], None, &[]), "ambiguous");
        assert_eq!(judged(&[b"Bearer x"], Some("a=b&access_token=y"), &[]), "ambiguous");
        assert_eq!(judged(&[b"Bearer x"], Some("access_token"), &[]), "ambiguous");
        assert_eq!(judged(&[b"Bearer x"], Some("my_access_token=y"), &[]), "bearer x");
        assert_eq!(judged(&[], Some("access_token=y"), &[]), "absent");
    }

    /// H11.
    #[test]
    fn an_ignored_scheme_counts_as_no_header() {
        let basic = &["Basic"];
        assert_eq!(judged(&[b"Basic YTpi"], None, basic), "absent");
        assert_eq!(judged(&[b"basic YTpi"], None, basic), "absent");
        assert_eq!(judged(&[b"BasicX YTpi"], None, basic), "unsupported");
        assert_eq!(judged(&[b"Basic YTpi", b"Bearer x"], None, basic), "bearer x");
        assert_eq!(judged(&[b"Basic a", b"Bearer x", b"Bearer y"], None, basic), "ambiguous");
    }
}
