//! A refresh that a caller asks for because an upstream has refused its access token.

use std::time::Duration;

/// An access token this young is not at fault: an upstream that refuses it refuses every other too.
pub(crate) const AT_FAULT_FROM: Duration = Duration::from_secs(60);

/// What becomes of a refresh that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forced {
    /// It is sent.
    Send,
    /// The token that failed is not the newest: that one may do.
    UseNewest,
    /// The newest has failed, and is too young for another to be any better.
    TooYoung,
}

/// Judges the request to refresh generation `failed`, where `newest` is known and of this age.
pub(crate) fn forced(failed: u32, newest: u32, age: Duration) -> Forced {
    forced_from(failed, newest, age, AT_FAULT_FROM)
}

/// The same with another bound, for a model of what it prevents.
pub(crate) fn forced_from(failed: u32, newest: u32, age: Duration, from: Duration) -> Forced {
    if failed < newest {
        Forced::UseNewest
    } else if age < from {
        Forced::TooYoung
    } else {
        Forced::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_refresh_is_sent_for_the_newest_tokens_alone_and_not_within_a_minute() {
        for (failed, newest, age, expected) in [
            (3, 3, 60, Forced::Send),
            (3, 3, 3_600, Forced::Send),
            (3, 3, 59, Forced::TooYoung),
            (3, 3, 0, Forced::TooYoung),
            (2, 3, 0, Forced::UseNewest),
            (2, 3, 3_600, Forced::UseNewest),
            // What the caller has seen elsewhere is newer than what is known here.
            (4, 3, 3_600, Forced::Send),
        ] {
            let found = forced(failed, newest, Duration::from_secs(age));
            assert_eq!(found, expected, "{failed} of {newest}, {age} s old");
        }
    }
}
