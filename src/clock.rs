//! The one source of time.

use std::{
    fmt,
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Where the layer reads the time.
///
/// Wall-clock time serves what others have dated (tokens, cookies, sealed ends); durations that the
/// layer measures itself (failure memory, cache ages, throttling) go by the monotonic reading, which
/// a correction of the wall clock does not move.
///
/// The default is [`SystemClock`]; tests take `ManualClock` of the feature `test-kit`.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The wall-clock time.
    fn now(&self) -> SystemTime;

    /// The time since an origin that never changes for this clock; it never runs backwards.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

/// The origin of [`SystemClock::monotonic`]: the first time anybody asked.
#[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

#[expect(clippy::disallowed_methods, reason = "the clock is where time is read")]
impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn monotonic(&self) -> Duration {
        let origin = *ORIGIN;
        Instant::now().saturating_duration_since(origin)
    }
}

/// A wall-clock time in whole milliseconds since the epoch (UTC); what is sealed and compared.
///
/// All arithmetic saturates: no lifetime that anybody sends can make a time wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(u64);

impl Timestamp {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    #[cfg(test)]
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    #[cfg(test)]
    pub(crate) const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    pub(crate) const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        self.plus_millis(millis(duration))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        self.minus_millis(millis(duration))
    }

    pub(crate) const fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    pub(crate) const fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }
}

/// A duration in whole milliseconds.
#[inline]
pub(crate) fn millis(duration: Duration) -> u64 {
    // `as_millis` multiplies 128 bits.
    duration.as_secs().saturating_mul(1000).saturating_add(duration.subsec_millis().into())
}

impl From<SystemTime> for Timestamp {
    /// Times before the epoch count as the epoch.
    #[inline]
    fn from(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, millis))
    }
}

impl From<Timestamp> for SystemTime {
    /// A time that the platform cannot represent becomes the year 9999.
    fn from(time: Timestamp) -> Self {
        const YEAR_9999: Duration = Duration::from_secs(253_402_300_799);
        UNIX_EPOCH + Duration::from_millis(time.0).min(YEAR_9999)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Timestamp::from_millis(u64::MAX);
        assert_eq!(end.plus(Duration::from_secs(1)), end);
        assert_eq!(Timestamp::default().minus(Duration::MAX), Timestamp::default());
        assert_eq!(Timestamp::default().since(end), Duration::ZERO);
        assert!(SystemTime::from(end) > UNIX_EPOCH);
    }

    #[test]
    fn the_monotonic_reading_never_runs_backwards() {
        let clock = SystemClock;
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
