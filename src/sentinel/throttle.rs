//! `Retry-After` (RFC 9110 §10.2.3), and the memory of a 429.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::RETRY_AFTER};

/// A 429 that names no time stands for this long.
pub(super) const DEFAULT_PAUSE: Duration = Duration::from_secs(10);
/// LivePerson asks for one second at least after a 429.
const MIN_PAUSE: Duration = Duration::from_secs(1);
/// No answer stops us for longer: a mistaken date must not end all refreshes.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Reads `Retry-After`, in seconds or as a date; whatever it asks becomes 1 to 60 s.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let date = httpdate::parse_http_date(text).ok()?;
        date.duration_since(now).unwrap_or_default()
    };
    Some(asked.clamp(MIN_PAUSE, MAX_PAUSE))
}

/// Until when calls of one kind are held back; the time is [`Clock::monotonic`].
///
/// [`Clock::monotonic`]: crate::Clock::monotonic
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// Milliseconds; zero before the first 429.
    until: AtomicU64,
}

impl Throttle {
    pub(super) fn remaining(&self, now: Duration) -> Option<Duration> {
        let until = Duration::from_millis(self.until.load(Ordering::Relaxed));
        until.checked_sub(now).filter(|left| !left.is_zero())
    }

    /// Holds calls back for `pause`; an earlier and longer pause stays.
    pub(super) fn hold(&self, now: Duration, pause: Duration) {
        let until = u64::try_from((now + pause).as_millis()).unwrap_or(u64::MAX);
        self.until.fetch_max(until, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F09.
    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, expected) in [
            ("30", Some(30)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("61", Some(60)),
            ("99999999999999999999999999", Some(60)),
            ("Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(60)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(&headers, now), expected, "for {text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_pause_is_over_when_its_time_has_passed() {
        let secs = Duration::from_secs;
        let throttle = Throttle::default();
        assert_eq!(throttle.remaining(secs(100)), None);
        throttle.hold(secs(100), secs(30));
        throttle.hold(secs(101), secs(1));
        assert_eq!(throttle.remaining(secs(110)), Some(secs(20)));
        assert_eq!(throttle.remaining(secs(130)), None);
    }
}
