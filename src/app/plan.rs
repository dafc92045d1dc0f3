//! What becomes of a call for the token: from its age and the last failure alone.

use std::time::Duration;

/// A token is renewed ahead when less than this is left of its life: what LivePerson's own clients
/// do.
const RENEW_AHEAD: Duration = Duration::from_secs(30 * 60);

/// A token this near its end is renewed first: longer than most calls take.
const FETCH_AHEAD: Duration = Duration::from_secs(60);

/// A token this young is not at fault: an upstream that refuses it refuses every other too.
const AT_FAULT_FROM: Duration = Duration::from_secs(60);

/// How old a token is, and how old it may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    pub(super) age: Duration,
    pub(super) life: Duration,
}

/// What becomes of a call for the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The token at hand.
    Serve,
    /// The token at hand, and a fetch beside.
    ServeAndRenew,
    /// A fetch comes first.
    Fetch,
    /// No token and no fetch: the last one failed, and the next is allowed after this time.
    Refuse(Duration),
}

/// What becomes of a call for another token than one that an upstream has refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replacement {
    /// The token at hand is another, or over: see [`plan`].
    AsUsual,
    /// The token at hand is the refused one, and too young for another to be any better.
    TooNew,
    /// A fetch comes first.
    Fetch,
    /// No fetch: see [`Plan::Refuse`].
    Refuse(Duration),
}

impl Age {
    pub(super) fn lives(self) -> bool {
        self.age < self.life
    }

    fn left(self) -> Duration {
        self.life.saturating_sub(self.age)
    }
}

/// Judges a call where `held` is at hand; `barred` says for how long no fetch is allowed.
///
/// A quarter and a half of a short life count in place of a minute and half an hour, so that there is
/// always a time in which a renewal keeps nobody waiting.
pub(super) fn plan(held: Option<Age>, barred: Option<Duration>) -> Plan {
    let Some(held) = held.filter(|held| held.lives()) else {
        return barred.map_or(Plan::Fetch, Plan::Refuse);
    };
    let left = held.left();
    if barred.is_some() || left > RENEW_AHEAD.min(held.life / 2) {
        Plan::Serve
    } else if left > FETCH_AHEAD.min(held.life / 4) {
        Plan::ServeAndRenew
    } else {
        Plan::Fetch
    }
}

/// Judges a call for another token; `is_held` says whether the refused one is the one at hand.
pub(super) fn replacement(
    is_held: bool,
    held: Option<Age>,
    barred: Option<Duration>,
) -> Replacement {
    match (held.filter(|held| is_held && held.lives()), barred) {
        (None, _) => Replacement::AsUsual,
        (Some(held), _) if held.age < AT_FAULT_FROM => Replacement::TooNew,
        (Some(_), Some(left)) => Replacement::Refuse(left),
        (Some(_), None) => Replacement::Fetch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn age(age: u64, life: u64) -> Option<Age> {
        Some(Age { age: secs(age), life: secs(life) })
    }

    #[test]
    fn a_token_is_served_then_renewed_beside_then_first() {
        for (held, expected) in [
            (None, Plan::Fetch),
            // An hour: half of its life and half an hour before its end are one time.
            (age(0, 3600), Plan::Serve),
            (age(1799, 3600), Plan::Serve),
            (age(1800, 3600), Plan::ServeAndRenew),
            (age(3539, 3600), Plan::ServeAndRenew),
            (age(3540, 3600), Plan::Fetch),
            (age(3600, 3600), Plan::Fetch),
            (age(9999, 3600), Plan::Fetch),
            // Eight hours: half an hour before the end.
            (age(27_000 - 1, 28_800), Plan::Serve),
            (age(27_000, 28_800), Plan::ServeAndRenew),
            (age(28_740, 28_800), Plan::Fetch),
            // Ten minutes: from half of its life.
            (age(299, 600), Plan::Serve),
            (age(300, 600), Plan::ServeAndRenew),
            (age(540, 600), Plan::Fetch),
            // Twenty seconds: there is a time for a renewal beside.
            (age(9, 20), Plan::Serve),
            (age(10, 20), Plan::ServeAndRenew),
            (age(14, 20), Plan::ServeAndRenew),
            (age(15, 20), Plan::Fetch),
        ] {
            assert_eq!(plan(held, None), expected, "for {held:?}");
        }
    }

    #[test]
    fn after_a_failure_a_token_serves_to_its_true_end() {
        let barred = Some(secs(7));
        for (held, expected) in [
            (age(0, 3600), Plan::Serve),
            (age(1800, 3600), Plan::Serve),
            (age(3540, 3600), Plan::Serve),
            (age(3599, 3600), Plan::Serve),
            (age(3600, 3600), Plan::Refuse(secs(7))),
            (None, Plan::Refuse(secs(7))),
        ] {
            assert_eq!(plan(held, barred), expected, "for {held:?}");
        }
    }

    #[test]
    fn only_the_token_at_hand_is_replaced_and_not_within_its_first_minute() {
        let barred = Some(secs(7));
        for (is_held, held, barred, expected) in [
            (true, age(60, 3600), None, Replacement::Fetch),
            (true, age(3599, 3600), None, Replacement::Fetch),
            (true, age(60, 3600), barred, Replacement::Refuse(secs(7))),
            (true, age(59, 3600), None, Replacement::TooNew),
            (true, age(0, 3600), barred, Replacement::TooNew),
            (true, age(3600, 3600), None, Replacement::AsUsual),
            (false, age(60, 3600), None, Replacement::AsUsual),
            (false, age(0, 3600), barred, Replacement::AsUsual),
            (false, None, None, Replacement::AsUsual),
        ] {
            let found = replacement(is_held, held, barred);
            assert_eq!(found, expected, "{is_held} {held:?} {barred:?}");
        }
    }
}
