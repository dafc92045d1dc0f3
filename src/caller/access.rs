//! Which paths need a user.

use std::sync::Arc;

use http::Method;

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Nothing: sessions are not even looked at, and the inner service never sees our cookies.
    Public,
    /// A session if there is one; without, the request passes anonymously.
    Optional,
    /// Somebody who is known: by a session, or by a bearer token that the configuration accepts. Where
    /// [`allow_app`](crate::Builder::allow_app) is used that may be an [`LpApp`](crate::LpApp).
    Protected,
}

/// Decides which requests need a user, where exact paths and whole segments are not enough.
///
/// Asked for every request that no `public*` or `optional*` setting names, so it should be fast.
/// `path` is the raw path the inner service receives: percent-encoded, dots and doubled slashes
/// included. Normalise nothing, and answer [`Access::Protected`] when in doubt. Headers are not
/// shown, because a client chooses them.
///
/// # Examples
///
/// ```
/// use http::Method;
/// use tower_lp_auth::{Access, AccessPolicy};
///
/// struct ReadOnlyCatalogue;
///
/// impl AccessPolicy for ReadOnlyCatalogue {
///     fn access(&self, method: &Method, path: &str) -> Access {
///         match (method, path) {
///             (&Method::GET, "/catalogue") => Access::Public,
///             _ => Access::Protected,
///         }
///     }
/// }
/// # assert_eq!(ReadOnlyCatalogue.access(&Method::GET, "/x"), Access::Protected);
/// ```
pub trait AccessPolicy: Send + Sync + 'static {
    /// What a request for `path` needs.
    fn access(&self, method: &Method, path: &str) -> Access;
}

/// The configured paths, and the policy for all others.
#[derive(Clone, Default)]
pub(crate) struct PathRules {
    rules: Vec<(Match, Access)>,
    policy: Option<Arc<dyn AccessPolicy>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Exact { path: Box<str>, is_plain: bool },
    Under(Box<str>),
}

impl PathRules {
    pub(crate) fn add_exact(&mut self, path: &str, access: Access) {
        let exact = Match::Exact { path: path.into(), is_plain: is_plain(path) };
        self.rules.push((exact, access));
    }

    /// `path` and everything below it, by whole segments; a slash at its end does not count.
    pub(crate) fn add_under(&mut self, path: &str, access: Access) {
        self.rules.push((Match::Under(path.trim_end_matches('/').into()), access));
    }

    pub(crate) fn set_policy(&mut self, policy: Arc<dyn AccessPolicy>) {
        self.policy = Some(policy);
    }

    /// A path that two settings give different access.
    pub(crate) fn conflict(&self) -> Option<&str> {
        self.rules.iter().enumerate().find_map(|(index, (one, access))| {
            let contradicts = |(other, wanted): &&(Match, Access)| other == one && wanted != access;
            self.rules[index + 1..].iter().find(contradicts).map(|_| match one {
                Match::Exact { path, .. } | Match::Under(path) => &**path,
            })
        })
    }

    #[inline]
    pub(crate) fn access(&self, method: &Method, path: &str) -> Access {
        let by_policy = || self.policy.as_ref().map(|policy| policy.access(method, path));
        self.configured(path).or_else(by_policy).unwrap_or(Access::Protected)
    }

    /// What the settings say of a path whose meaning is beyond doubt. An exact path wins over a
    /// segment's, a longer segment over a shorter one.
    #[inline]
    fn configured(&self, path: &str) -> Option<Access> {
        let mut longest: Option<(usize, Access)> = None;
        for (rule, access) in &self.rules {
            match rule {
                Match::Exact { path: exact, is_plain } if **exact == *path => {
                    return is_plain.then_some(*access);
                }
                Match::Under(root)
                    if is_under(path, root)
                        && longest.is_none_or(|(length, _)| length <= root.len()) =>
                {
                    longest = Some((root.len(), *access));
                }
                _ => {}
            }
        }
        // Whether the path is plain is only asked where the answer matters.
        longest.filter(|_| is_plain(path)).map(|(_, access)| access)
    }
}

fn is_under(path: &str, root: &str) -> bool {
    path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether all readers agree what a path means: nothing encoded, no backslash, no empty or dot
/// segment.
fn is_plain(path: &str) -> bool {
    let bytes = path.as_bytes();
    let mut previous = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if is_ambiguous(byte) || (previous == b'/' && begins_no_name(&bytes[at..])) {
            return false;
        }
        previous = byte;
    }
    bytes.first() == Some(&b'/')
}

/// Whether readers differ about a byte.
#[inline]
fn is_ambiguous(byte: u8) -> bool {
    const AMBIGUOUS: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < table.len() {
            table[at] = matches!(at as u8, b'%' | b'\\' | b';' | 0..=0x20 | 0x7f..);
            at += 1;
        }
        table
    };
    AMBIGUOUS[usize::from(byte)]
}

/// Whether what follows a slash is an empty segment with another one behind it, or a dot segment.
#[inline]
fn begins_no_name(rest: &[u8]) -> bool {
    matches!(rest, [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> PathRules {
        let mut rules = PathRules::default();
        rules.add_exact("/health", Access::Public);
        rules.add_under("/public/", Access::Public);
        rules.add_exact("/public/account", Access::Protected);
        rules.add_under("/public/members", Access::Optional);
        rules.add_exact("/", Access::Optional);
        rules
    }

    /// J01, J02.
    #[test]
    fn only_the_exact_meaning_is_public() {
        use Access::{Optional, Protected, Public};
        for (path, expected) in [
            ("/health", Public),
            ("/health/", Protected),
            ("/HEALTH", Protected),
            ("/healthz", Protected),
            ("/health/../admin", Protected),
            ("/health%2f..%2fadmin", Protected),
            ("/health;x", Protected),
            ("/health%00", Protected),
            ("/health%23", Protected),
            ("//health", Protected),
            ("/./health", Protected),
            ("/admin", Protected),
            ("health", Protected),
            ("", Protected),
            ("*", Protected),
            ("/public", Public),
            ("/public/", Public),
            ("/public/a/b.css", Public),
            ("/publicX", Protected),
            ("/public/..;/admin", Protected),
            ("/public/../admin", Protected),
            ("/public/%2e%2e/admin", Protected),
            ("/public/%252e%252e/admin", Protected),
            ("/public\\..\\admin", Protected),
            ("/public//admin", Protected),
            ("/public/.", Protected),
            ("/public/account", Protected),
            ("/public/members/me", Optional),
            ("/", Optional),
        ] {
            assert_eq!(rules().access(&Method::GET, path), expected, "{path}");
        }
    }

    #[test]
    fn two_settings_that_contradict_each_other_are_found() {
        assert_eq!(rules().conflict(), None);
        let mut rules = rules();
        rules.add_exact("/health", Access::Optional);
        assert_eq!(rules.conflict(), Some("/health"));
    }

    #[test]
    fn the_policy_decides_what_no_setting_names() {
        struct Gets;
        impl AccessPolicy for Gets {
            fn access(&self, method: &Method, _: &str) -> Access {
                if method == Method::GET { Access::Public } else { Access::Protected }
            }
        }
        let mut rules = rules();
        rules.set_policy(Arc::new(Gets));
        assert_eq!(rules.access(&Method::GET, "/x"), Access::Public);
        assert_eq!(rules.access(&Method::POST, "/x"), Access::Protected);
        assert_eq!(rules.access(&Method::GET, "/public/account"), Access::Protected);
    }
}
