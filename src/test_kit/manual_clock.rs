//! A clock that stands still until it is told otherwise.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{Clock, SystemClock};

/// 2026-01-01 00:00:00 UTC, in seconds since the epoch.
const NEW_YEAR_2026: Duration = Duration::from_secs(1_767_225_600);

/// A [`Clock`] that moves only when a test moves it.
///
/// Clones share their time: give one to whatever is under test and keep the other. Timers of the
/// runtime (`tokio::time`) do not follow it.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use tower_lp_auth::{Clock, test_kit::ManualClock};
///
/// let clock = ManualClock::new();
/// let (wall, monotonic) = (clock.now(), clock.monotonic());
///
/// clock.advance(Duration::from_secs(60));
/// assert_eq!(clock.now(), wall + Duration::from_secs(60));
///
/// clock.jump_wall_backward(Duration::from_secs(60)); // someone sets the machine's time
/// assert_eq!(clock.now(), wall);
/// assert_eq!(clock.monotonic(), monotonic + Duration::from_secs(60));
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock {
    reading: Arc<Mutex<Reading>>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: SystemTime,
    monotonic: Duration,
}

impl ManualClock {
    /// Starts at the beginning of 2026 (UTC).
    #[must_use]
    pub fn new() -> Self {
        Self::at(UNIX_EPOCH + NEW_YEAR_2026)
    }

    /// Starts at a wall-clock time of your choice; the monotonic reading starts at zero.
    #[must_use]
    pub fn at(wall: SystemTime) -> Self {
        let reading = Reading { wall, monotonic: Duration::ZERO };
        Self { reading: Arc::new(Mutex::new(reading)) }
    }

    /// Starts at the real time, for tests that meet dates which others have set.
    #[must_use]
    pub fn starting_now() -> Self {
        Self::at(SystemClock.now())
    }

    /// Lets time pass: both readings move.
    ///
    /// # Panics
    ///
    /// If the platform cannot represent the new time.
    pub fn advance(&self, by: Duration) {
        let mut reading = self.lock();
        reading.wall += by;
        reading.monotonic += by;
    }

    /// Sets the wall clock forward; the monotonic reading stays.
    ///
    /// # Panics
    ///
    /// If the platform cannot represent the new time.
    pub fn jump_wall_forward(&self, by: Duration) {
        self.lock().wall += by;
    }

    /// Sets the wall clock back; the monotonic reading stays.
    ///
    /// # Panics
    ///
    /// If the platform cannot represent the new time.
    pub fn jump_wall_backward(&self, by: Duration) {
        self.lock().wall -= by;
    }

    /// Sets the wall clock to a time; the monotonic reading stays.
    pub fn set_wall(&self, to: SystemTime) {
        self.lock().wall = to;
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.lock().wall
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_their_time() {
        let clock = ManualClock::default();
        let other = clock.clone();
        clock.advance(Duration::from_secs(1));
        assert_eq!(other.now(), clock.now());
        assert_eq!(other.monotonic(), Duration::from_secs(1));
    }

    #[test]
    fn a_jump_of_the_wall_leaves_the_monotonic_reading() {
        let clock = ManualClock::at(UNIX_EPOCH);
        clock.jump_wall_forward(Duration::from_secs(9));
        clock.jump_wall_backward(Duration::from_secs(4));
        assert_eq!(clock.now(), UNIX_EPOCH + Duration::from_secs(5));
        clock.set_wall(UNIX_EPOCH);
        assert_eq!(clock.now(), UNIX_EPOCH);
        assert_eq!(clock.monotonic(), Duration::ZERO);
    }
}
