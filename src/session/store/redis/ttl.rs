//! Times to live as Redis takes them.

use std::time::Duration;

/// Longer than any session, and still exact in Lua's numbers when a clock is added.
const LONGEST: u64 = 1 << 52;

/// Whole milliseconds, rounded up: nothing is removed before its time. Zero stays zero.
pub(super) fn millis(ttl: Duration) -> u64 {
    let millis = ttl.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_never_rounded_to_an_earlier_end() {
        for (ttl, expected) in [
            (Duration::ZERO, 0),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_micros(1_001), 2),
            (Duration::from_secs(86_400), 86_400_000),
            (Duration::MAX, LONGEST),
        ] {
            assert_eq!(millis(ttl), expected, "{ttl:?}");
        }
    }
}
