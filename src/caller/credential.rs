//! What a request brings: its cookies, and the `Authorization` header. Where there is one, it alone
//! decides.

use http::{
    HeaderMap, HeaderValue,
    header::{AUTHORIZATION, COOKIE, UPGRADE},
};

use crate::session::{CookieNames, Reading};

/// What one pass over all headers finds: cheaper than a look-up for each.
#[derive(Debug)]
pub(crate) struct Brought<'a> {
    /// There is an `Authorization` header; [`Authorization::of`] judges it.
    pub(crate) authorization: bool,
    /// There is an `Upgrade` header.
    pub(crate) upgrade: bool,
    pub(crate) cookies: Reading<'a>,
}

impl<'a> Brought<'a> {
    #[inline]
    pub(crate) fn of(headers: &'a HeaderMap, names: &CookieNames) -> Self {
        let mut brought = Self { authorization: false, upgrade: false, cookies: Reading::new() };
        for (name, value) in headers {
            if *name == COOKIE {
                brought.cookies.read(names, value);
            } else {
                brought.authorization |= *name == AUTHORIZATION;
                brought.upgrade |= *name == UPGRADE;
            }
        }
        brought
    }
}

/// What the `Authorization` header of a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Authorization {
    /// None, or only schemes that configuration ignores: the cookie decides.
    Absent,
    /// One that signs nobody in here: 401, and the cookie does not rescue it.
    Refused,
}

/// Schemes of a gate in front of the application, such as a staging server's `Basic`.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredSchemes(Vec<Box<str>>);

impl IgnoredSchemes {
    pub(crate) fn new(schemes: Vec<Box<str>>) -> Self {
        Self(schemes)
    }

    fn ignores(&self, value: &HeaderValue) -> bool {
        let value = value.as_bytes();
        let end = memchr::memchr(b' ', value).unwrap_or(value.len());
        self.0.iter().any(|scheme| scheme.as_bytes().eq_ignore_ascii_case(&value[..end]))
    }
}

impl Authorization {
    pub(crate) fn of(headers: &HeaderMap, ignored: &IgnoredSchemes) -> Self {
        if headers.get_all(AUTHORIZATION).iter().all(|value| ignored.ignores(value)) {
            Self::Absent
        } else {
            Self::Refused
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// H05, H11.
    #[test]
    fn every_authorization_that_is_not_ignored_is_refused() {
        let ignored = IgnoredSchemes::new(vec!["Basic".into()]);
        let table: &[(&[&str], Authorization)] = &[
            (&[], Authorization::Absent),
            (&["Basic YTpi"], Authorization::Absent),
            (&["basic YTpi"], Authorization::Absent),
            (&["BasicX YTpi"], Authorization::Refused),
            (&["Bearer x"], Authorization::Refused),
            (&["Basic YTpi", "Bearer x"], Authorization::Refused),
            (&[""], Authorization::Refused),
            (&["Digest a=b"], Authorization::Refused),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in *values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(Authorization::of(&headers, &ignored), *expected, "{values:?}");
        }
        let headers = [(AUTHORIZATION, "Basic YTpi".parse().unwrap())].into_iter().collect();
        assert_eq!(Authorization::of(&headers, &IgnoredSchemes::default()), Authorization::Refused);
    }
}
