//! Whether a refresh is sent because an upstream has refused an access token.

use std::time::Duration;

/// What is done about a token that an upstream has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forced {
    /// A refresh is sent.
    Send,
    /// There is a newer token: it is used.
    UseNewest,
    /// The token is so new that the next would fare no better.
    TooNew,
}

/// An upstream that refuses whatever it gets would have a token refreshed again and again: so this
/// old it has to be.
pub(crate) const OLD_ENOUGH: Duration = Duration::from_secs(60);

/// Decides by the generation whose token was refused (`None` for one that is not the newest), the
/// newest generation, and its age.
pub(crate) fn forced(failed: Option<u32>, newest: u32, age: Duration) -> Forced {
    match failed {
        Some(failed) if failed == newest && age >= OLD_ENOUGH => Forced::Send,
        Some(failed) if failed == newest => Forced::TooNew,
        _ => Forced::UseNewest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_token_is_replaced_and_not_within_its_first_minute() {
        for (failed, newest, age, expected) in [
            (Some(3), 3, 60, Forced::Send),
            (Some(3), 3, 59, Forced::TooNew),
            (Some(2), 3, 600, Forced::UseNewest),
            (None, 3, 600, Forced::UseNewest),
        ] {
            let decided = forced(failed, newest, Duration::from_secs(age));
            assert_eq!(decided, expected, "{failed:?} of {newest} after {age} s");
        }
    }
}
