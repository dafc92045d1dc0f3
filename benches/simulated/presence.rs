//! When a user works, and what that asks for.

use super::{BETWEEN_REQUESTS, HOUR, MINUTE, random::Random, tally::Tally};

const WORKING_TIME: f64 = 8.5 * HOUR;
const LUNCH_FROM: f64 = 12.0 * HOUR;
const LUNCH: f64 = 30.0 * MINUTE;
/// Means of exponential distributions: work without a pause, and a pause.
const STRETCH: f64 = 20.0 * MINUTE;
const PAUSE: f64 = 5.0 * MINUTE;

/// When a user works: in stretches, each of which begins with a request.
pub(crate) struct Presence {
    random: Random,
    begin: f64,
    end: f64,
    leaves: f64,
    has_eaten: bool,
}

impl Presence {
    pub(crate) fn new(login: f64, mut random: Random) -> Self {
        let end = login + random.exponential(STRETCH);
        Self { random, begin: login, end, leaves: login + WORKING_TIME, has_eaten: false }
    }

    /// The first request from `time` on, unless the user has gone by then.
    pub(crate) fn next_request(&mut self, mut time: f64, tally: &mut Tally) -> Option<f64> {
        loop {
            if time < self.begin {
                return Some(self.begin);
            }
            let request = time + self.random.exponential(BETWEEN_REQUESTS);
            if request < self.end.min(self.leaves) {
                return Some(request);
            }
            tally.works(self.begin, self.end.min(self.leaves));
            time = time.max(self.end);
            self.go_on();
            if self.begin >= self.leaves {
                return None;
            }
        }
    }

    fn go_on(&mut self) {
        let mut pause = self.random.exponential(PAUSE);
        if !self.has_eaten && self.end >= LUNCH_FROM {
            self.has_eaten = true;
            pause += LUNCH;
        }
        self.begin = self.end + pause;
        self.end = self.begin + self.random.exponential(STRETCH);
    }
}
