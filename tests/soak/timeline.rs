//! What was made to go wrong and when, and what it explains.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use tower_lp_auth::{Clock, SystemClock};

/// Something that is made to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// An instance is told to stop, stops, and another takes its place.
    Rolling,
    /// The primary is killed and started again with the data on its disk.
    Restart,
    /// An instance is gone in the middle of whatever it does.
    Crash,
    /// Sentinel's token endpoint answers every refresh with 503 for a while.
    Sentinel,
    /// The replica becomes the primary without having been asked whether it has everything.
    FailOver,
}

/// All that went wrong in the last minutes.
#[derive(Default)]
pub struct Timeline {
    occurrences: Mutex<VecDeque<Occurrence>>,
}

#[derive(Clone, Copy)]
struct Occurrence {
    fault: Fault,
    begun: SystemTime,
    /// Absent while it lasts.
    over: Option<SystemTime>,
}

/// More than are needed to explain what happens now.
const REMEMBERED: usize = 100;

/// What a store needs that is back: less than a second, on a machine that is not busy.
pub const RECOVERY: Duration = Duration::from_secs(3);

/// Longer than a refresh takes from its call to its record, and a write to the replica.
const UNDER_WAY: Duration = Duration::from_secs(2);

pub fn now() -> SystemTime {
    SystemClock::default().now()
}

impl Fault {
    /// In the order in which they happen.
    pub const ALL: [Self; 5] =
        [Self::Rolling, Self::Restart, Self::Crash, Self::Sentinel, Self::FailOver];

    /// How long requests may be answered with 503 after it is over; none at all where absent, since
    /// access tokens outlive Sentinel's outage and the lease of an instance that is gone.
    const fn unavailable_after(self) -> Option<Duration> {
        match self {
            Self::Rolling | Self::Sentinel | Self::Crash => None,
            Self::Restart | Self::FailOver => Some(RECOVERY),
        }
    }

    /// Whether a refresh may be lost that was under way: its token is spent, the new one nowhere.
    const fn loses_refreshes(self) -> bool {
        matches!(self, Self::Crash | Self::FailOver)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rolling => "instance replaced",
            Self::Restart => "redis restarted",
            Self::Crash => "instance crashed",
            Self::Sentinel => "sentinel down",
            Self::FailOver => "redis failed over",
        })
    }
}

impl Timeline {
    pub fn begin(&self, fault: Fault) {
        let mut occurrences = self.lock();
        if occurrences.len() == REMEMBERED {
            occurrences.pop_front();
        }
        occurrences.push_back(Occurrence { fault, begun: now(), over: None });
    }

    /// The latest fault is over.
    pub fn end(&self) {
        self.lock().back_mut().expect("a fault that has begun").over = Some(now());
    }

    /// The fault that explains a 503 of a request that took this time.
    pub fn explains_unavailable(&self, asked: SystemTime, answered: SystemTime) -> Option<Fault> {
        self.find(|occurrence| {
            let Some(after) = occurrence.fault.unavailable_after() else { return false };
            let over = occurrence.over.unwrap_or(answered) + after;
            asked <= over && occurrence.begun <= answered
        })
    }

    /// The fault that explains that what Sentinel answered at this time is lost.
    pub fn explains_lost_refresh(&self, presented: SystemTime) -> Option<Fault> {
        self.find(|occurrence| {
            let over = occurrence.over.unwrap_or(presented);
            occurrence.fault.loses_refreshes()
                && presented + UNDER_WAY >= occurrence.begun
                && presented <= over
        })
    }

    /// Whether Sentinel refused refreshes at this time without looking at them.
    pub fn sentinel_was_down(&self, at: SystemTime) -> bool {
        let found = self.find(|occurrence| {
            let slack = Duration::from_secs(1);
            let over = occurrence.over.unwrap_or(at) + slack;
            occurrence.fault == Fault::Sentinel && at + slack >= occurrence.begun && at <= over
        });
        found.is_some()
    }

    /// Whether a record that was created at this time may be lost: acknowledged by a primary, and
    /// not yet known to the replica that took its place.
    pub fn explains_lost_record(&self, created: SystemTime) -> bool {
        let found = self.find(|occurrence| {
            let over = occurrence.over.unwrap_or(created);
            occurrence.fault == Fault::FailOver
                && created + UNDER_WAY >= occurrence.begun
                && created <= over
        });
        found.is_some()
    }

    /// Whether something goes wrong, or went wrong a moment ago.
    pub fn is_troubled(&self, at: SystemTime) -> bool {
        let found = self.find(|occurrence| {
            let over = occurrence.over.unwrap_or(at) + RECOVERY;
            occurrence.begun <= at && at <= over
        });
        found.is_some()
    }

    /// What went wrong before and after this time, for a person to read.
    pub fn around(&self, at: SystemTime) -> String {
        let occurrences = self.lock();
        let before = occurrences.iter().rev().find(|occurrence| occurrence.begun <= at);
        let after = occurrences.iter().find(|occurrence| occurrence.begun > at);
        let tell = |found: Option<&Occurrence>| {
            found.map(|it| {
                (
                    it.fault.to_string(),
                    match it.begun.duration_since(at) {
                        Ok(ahead) => ahead.as_secs_f64(),
                        Err(ago) => -ago.duration().as_secs_f64(),
                    },
                )
            })
        };
        format!("between {:?} and {:?}, in seconds from the first time", tell(before), tell(after))
    }

    fn find(&self, explains: impl Fn(&Occurrence) -> bool) -> Option<Fault> {
        let occurrences = self.lock();
        let found = occurrences.iter().rev().find(|occurrence| explains(occurrence));
        found.map(|occurrence| occurrence.fault)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Occurrence>> {
        self.occurrences.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
