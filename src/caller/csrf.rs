//! Whether somebody else's page has made a request with our cookie.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header::ORIGIN};

/// Which origins may send unsafe requests with our cookie.
#[derive(Clone, Debug)]
pub(crate) struct CsrfPolicy {
    own: Box<str>,
    trusted: Vec<Box<str>>,
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

impl CsrfPolicy {
    /// Origins as browsers serialize them (RFC 6454 §6.2).
    pub(crate) fn new(own: &str, trusted: Vec<Box<str>>) -> Self {
        Self { own: own.into(), trusted }
    }

    /// Whether a request has to be checked at all: it changes something, or opens a channel that
    /// can (`upgrade`: there is an `Upgrade` header).
    pub(crate) fn applies(method: &Method, upgrade: bool) -> bool {
        // `is_safe` includes TRACE; unknown methods count as unsafe.
        !method.is_safe() || upgrade
    }

    /// Judges by `Sec-Fetch-Site`, else by `Origin`. A request with neither is no browser's.
    pub(crate) fn allows(&self, headers: &HeaderMap) -> bool {
        match single(headers, &SEC_FETCH_SITE) {
            Single::One(site) if site == "same-origin" || site == "none" => true,
            Single::One(_) | Single::Many => self.is_from(headers, false),
            Single::Absent => match single(headers, &ORIGIN) {
                Single::Absent => true,
                _ => self.is_from(headers, true),
            },
        }
    }

    fn is_from(&self, headers: &HeaderMap, own_counts: bool) -> bool {
        let Single::One(origin) = single(headers, &ORIGIN) else { return false };
        let is = |known: &str| origin.as_bytes() == known.as_bytes();
        (own_counts && is(&self.own)) || self.trusted.iter().any(|trusted| is(trusted))
    }
}

enum Single<'a> {
    Absent,
    One(&'a HeaderValue),
    Many,
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Single<'a> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Single::Absent,
        (Some(value), None) => Single::One(value),
        (Some(_), Some(_)) => Single::Many,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H14, G02.
    #[test]
    fn an_unsafe_request_passes_only_from_a_trusted_place() {
        let policy = CsrfPolicy::new("https://app.example", vec!["https://spa.example".into()]);
        let site = |value| ("sec-fetch-site", value);
        let origin = |value| ("origin", value);
        let table: &[(&[(&str, &str)], bool)] = &[
            (&[], true),
            (&[site("same-origin")], true),
            (&[site("none")], true),
            (&[site("same-origin"), origin("null")], true),
            (&[site("cross-site")], false),
            (&[site("same-site")], false),
            (&[site("cross-site"), origin("https://app.example")], false),
            (&[site("cross-site"), origin("https://spa.example")], true),
            (&[site("same-site"), origin("https://spa.example")], true),
            (&[site("cross-site"), origin("https://evil.example")], false),
            (&[site("Same-Origin")], false),
            (&[site("something")], false),
            (&[site("same-origin"), site("same-origin")], false),
            (&[origin("https://app.example")], true),
            (&[origin("https://spa.example")], true),
            (&[origin("https://app.example:444")], false),
            (&[origin("http://app.example")], false),
            (&[origin("https://app.example.evil.example")], false),
            (&[origin("null")], false),
            (&[origin("")], false),
            (&[origin("https://app.example"), origin("https://app.example")], false),
        ];
        for (pairs, expected) in table {
            let mut headers = HeaderMap::new();
            for (name, value) in *pairs {
                headers.append(HeaderName::from_static(name), value.parse().unwrap());
            }
            assert_eq!(policy.allows(&headers), *expected, "{pairs:?}");
        }
    }

    #[test]
    fn reads_are_not_checked_and_upgrades_are() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert!(!CsrfPolicy::applies(&method, false), "{method}");
        }
        let unknown = Method::from_bytes(b"PURGE").unwrap();
        for method in
            [Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::CONNECT, unknown]
        {
            assert!(CsrfPolicy::applies(&method, false), "{method}");
        }
        assert!(CsrfPolicy::applies(&Method::GET, true));
    }
}
