//! Where a login comes back to: the guard against open redirects.
//!
//! A path is judged on what a browser makes of it (the WHATWG URL parser), and on what is sent,
//! not on what came in.

use url::Url;

use crate::site::Site;

/// The longest return path, in bytes: it travels in a cookie.
pub(crate) const MAX_LEN: usize = 1024;

/// An external path and query on our own origin, exactly as it will be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReturnPath(Box<str>);

/// Judges return paths.
#[derive(Clone, Debug)]
pub(crate) struct ReturnGuard {
    site: Site,
    base: Url,
}

impl ReturnPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ReturnGuard {
    pub(crate) fn new(site: Site) -> Self {
        let mut base = site.redirect_uri.clone();
        base.set_path("/");
        base.set_query(None);
        Self { site, base }
    }

    /// Accepts a path that a browser resolves to our own origin, byte for byte as given, and that
    /// is none of our own paths; `None` otherwise.
    pub(crate) fn check(&self, path: &str) -> Option<ReturnPath> {
        if path.len() > MAX_LEN || !percent::is_well_formed(path) {
            return None;
        }
        let rest = path.strip_prefix('/')?;
        let segment = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let begins_badly = match percent::decode_until_stable(segment)?.first() {
            Some(first) => *first <= b' ' || matches!(first, b'/' | b'\\' | 0x7f),
            None => rest.starts_with('/'),
        };
        if begins_badly {
            return None;
        }
        let resolved = self.base.join(path).ok()?;
        let same_origin = resolved.origin() == self.base.origin();
        if !same_origin || resolved[url::Position::BeforePath..] != *path {
            return None;
        }
        (!self.site.is_own(resolved.path())).then(|| ReturnPath(path.into()))
    }

    /// The one `return_to` of a query, if it is acceptable; several are none.
    pub(crate) fn query_target(&self, query: &str) -> Option<ReturnPath> {
        let mut values = url::form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == "return_to")
            .map(|(_, value)| value);
        match (values.next(), values.next()) {
            (Some(value), None) => self.check(&value),
            _ => None,
        }
    }

    /// The path and query that a layer has seen, as the browser's.
    pub(crate) fn request_target(&self, uri: &http::Uri) -> Option<ReturnPath> {
        let path = uri.path_and_query()?.as_str();
        self.check(&self.site.external(path))
    }
}

mod percent {
    //! Percent-encoding (RFC 3986 §2.1), as far as judging needs it.

    /// Whether every `%` begins an escape, and the decoded text is UTF-8.
    pub(super) fn is_well_formed(text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut escapes = memchr::memchr_iter(b'%', bytes);
        escapes.all(|at| bytes.get(at + 1..at + 3).and_then(hex).is_some())
            && std::str::from_utf8(&decode(bytes)).is_ok()
    }

    /// Decodes until nothing changes: a proxy on the way may decode once, or twice. `None` for what
    /// is wrapped deeper than anybody does honestly.
    pub(super) fn decode_until_stable(text: &str) -> Option<Vec<u8>> {
        const MAX_ROUNDS: usize = 8;
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..MAX_ROUNDS {
            let decoded = decode(&bytes);
            if decoded.len() == bytes.len() {
                return Some(decoded);
            }
            bytes = decoded;
        }
        None
    }

    fn decode(bytes: &[u8]) -> Vec<u8> {
        let mut decoded = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let [first, tail @ ..] = rest {
            let escape = (*first == b'%').then(|| tail.get(..2).and_then(hex)).flatten();
            decoded.push(escape.unwrap_or(*first));
            rest = if escape.is_some() { &tail[2..] } else { tail };
        }
        decoded
    }

    fn hex(digits: &[u8]) -> Option<u8> {
        let [high, low] = digits else { return None };
        let value = |digit: &u8| char::from(*digit).to_digit(16);
        u8::try_from(value(high)? * 16 + value(low)?).ok()
    }
}

#[cfg(test)]
mod tests;
