//! The account (site) that a user signs in to.

use std::{fmt, str::FromStr, sync::Arc};

/// The id of a LivePerson account: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`.
///
/// Mostly digits, but not always (test accounts begin with letters), so it is a string. The syntax
/// is checked before anything is asked or written with it.
///
/// # Examples
///
/// ```
/// use tower_lp_auth::AccountId;
///
/// let account: AccountId = "12345678".parse()?;
/// assert_eq!(account.as_str(), "12345678");
/// assert!("../etc".parse::<AccountId>().is_err());
/// # Ok::<(), tower_lp_auth::InvalidAccountId>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct AccountId(Arc<str>);

/// The text is not an account id; see [`AccountId`] for the syntax.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an account id: use 1 to 64 letters, digits, `_` or `-`")]
pub struct InvalidAccountId(());

/// Room for every id seen in public, with some to spare.
const MAX_LEN: usize = 64;

impl AccountId {
    /// The id as it stands in URLs.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "test-kit")]
impl AccountId {
    /// The account of users that belong to no layer.
    pub(crate) fn example() -> Self {
        Self("12345678".into())
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(allowed) {
            return Err(InvalidAccountId(()));
        }
        Ok(Self(text.into()))
    }
}

impl PartialEq<str> for AccountId {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for AccountId {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({})", self.0)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_short_names_are_account_ids() {
        for good in ["12345678", "le81823118", "a_b-C", &"9".repeat(64)] {
            assert!(good.parse::<AccountId>().is_ok(), "refused {good:?}");
        }
        for bad in ["", "1/2", "..", "1 2", "ä", "1%2", "1?x", &"9".repeat(65)] {
            assert!(bad.parse::<AccountId>().is_err(), "accepted {bad:?}");
        }
    }
}
