//! How much time has passed, by two clocks.

use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// What both clocks said at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    pub(super) wall: Timestamp,
    /// [`Clock::monotonic`].
    pub(super) monotonic: Duration,
}

impl Reading {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now().into(), monotonic: clock.monotonic() }
    }

    /// The time since `earlier`, by the clock that says more.
    ///
    /// A wall clock that is set back must not lengthen a token's life, and a monotonic one may stand
    /// still while the machine sleeps. A token that is taken for older than it is costs one call.
    pub(super) fn since(self, earlier: Self) -> Duration {
        let monotonic = self.monotonic.saturating_sub(earlier.monotonic);
        self.wall.since(earlier.wall).max(monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Y10.
    #[test]
    fn no_clock_that_stands_still_or_runs_back_makes_time_shorter() {
        let reading = |wall, monotonic| Reading {
            wall: Timestamp::from_secs(wall),
            monotonic: Duration::from_secs(monotonic),
        };
        let start = reading(10_000, 500);
        for (what, now, expected) in [
            ("nothing", start, 0),
            ("both alike", reading(10_060, 560), 60),
            ("the wall set back", reading(2_000, 560), 60),
            ("the wall set forward", reading(20_000, 560), 10_000),
            ("asleep meanwhile", reading(13_600, 501), 3_600),
        ] {
            assert_eq!(now.since(start), Duration::from_secs(expected), "{what}");
        }
    }
}
