//! A day of all users: [`presence`] has each of them work, [`Scenario`] decides about each request as
//! the crate would, and [`tally`] counts.
//!
//! The rules are those of the crate's refresh policy, written down once more: here they have to be
//! changed, to see what each of them does.

mod presence;
mod random;
pub(crate) mod tally;

use std::{fmt, thread};

use self::{
    presence::Presence,
    random::Random,
    tally::{Tally, second},
};

pub(crate) const USERS: u64 = 1_000_000;

// All times are seconds since midnight.
pub(crate) const MINUTE: f64 = 60.0;
pub(crate) const HOUR: f64 = 60.0 * MINUTE;

/// The mean time between two requests of a user at work.
pub(crate) const BETWEEN_REQUESTS: f64 = 10.0;

/// Everybody is in one time zone, which is the worst case.
const OPENING: f64 = 9.0 * HOUR;
/// Logins of a working day lie this far around the opening at most, with a third of it as deviation.
const LOGINS_AROUND: f64 = 30.0 * MINUTE;
/// Where everybody has to sign in anew, this is how long it takes.
const RUSH: f64 = MINUTE;

/// The crate's rules.
pub(crate) const REFRESH_AFTER: f64 = 30.0 * MINUTE;
const JITTER_PART: f64 = 0.1;
const NOTE_AFTER: f64 = 5.0 * MINUTE;
const FAILURE_MEMORY: f64 = 10.0;
const LONGEST_PAUSE: f64 = 5.0 * MINUTE;
const REQUEST_TIMEOUT: f64 = 5.0;

pub(crate) const OUTAGE_FROM: f64 = 11.0 * HOUR;
pub(crate) const OUTAGE_TO: f64 = OUTAGE_FROM + 10.0 * MINUTE;

/// What delays a refresh that is due, by up to a tenth of the time after which it is.
#[derive(Clone, Copy)]
pub(crate) enum Jitter {
    None,
    /// The crate's: the session's id as a fraction of its range, plus the generation times the golden
    /// ratio, of which the fractional part counts.
    Rule,
    /// A random number for each refresh.
    Drawn,
}

#[derive(Clone, Copy)]
pub(crate) enum Outage {
    None,
    /// Sentinel answers at once, with 503.
    Refuses,
    /// Sentinel does not answer: nobody knows whether it took the token.
    Silent,
}

#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) rush: bool,
    pub(crate) jitter: Jitter,
    pub(crate) outage: Outage,
    /// Tokens older than this are due.
    pub(crate) after: f64,
}

impl Scenario {
    /// Follows all users, a part of them on each of two threads.
    pub(crate) fn run(self) -> Tally {
        thread::scope(|scope| {
            let parts = [0, 1].map(|part| {
                let users = (0..USERS).filter(move |user| user % 2 == part);
                scope.spawn(move || {
                    users.fold(Tally::new(), |mut tally, user| {
                        self.follow(user, &mut tally);
                        tally
                    })
                })
            });
            let counted = parts.map(|part| part.join().expect("a part of the users"));
            counted.into_iter().fold(Tally::new(), Tally::plus)
        })
    }

    /// One user, from the login to the end of the working day.
    fn follow(self, user: u64, tally: &mut Tally) {
        let mut random = Random::of(user);
        let id = random.unit();
        let login = self.login(&mut random);
        tally.logins[second(login)] += 1;
        let mut presence = Presence::new(login, random.fork());
        let (mut refreshed, mut noted, mut generation) = (login, login, 0);
        let (mut barred_until, mut unknown) = (login, 0);
        loop {
            let due = refreshed + self.after + self.delay(id, generation);
            let wake = due.max(barred_until);
            let note_at = noted + NOTE_AFTER;
            let Some(now) = presence.next_request(wake.min(note_at), tally) else { return };
            if now >= note_at {
                noted = now;
                tally.notes[second(now)] += 1;
            }
            if now < wake {
                continue;
            }
            tally.calls[second(now)] += 1;
            match self.answer(now, unknown, &mut random) {
                None => {
                    (refreshed, unknown) = (now, 0);
                    generation += 1;
                    if let Some(times) = tally.generations.get_mut(generation) {
                        times[second(now)] += 1;
                    }
                }
                Some(bar) => {
                    tally.vain += 1;
                    unknown += 1;
                    barred_until = bar;
                }
            }
        }
    }

    fn login(self, random: &mut Random) -> f64 {
        if self.rush {
            return OPENING + RUSH * random.unit();
        }
        let bell: f64 = (0..3).map(|_| random.unit() - 0.5).sum();
        OPENING + bell / 1.5 * LOGINS_AROUND
    }

    fn delay(self, id: f64, generation: usize) -> f64 {
        let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
        let part = match self.jitter {
            Jitter::None => 0.0,
            Jitter::Rule => (id + generation as f64 * golden).fract(),
            // Asked anew before each request, until the refresh: the same must come out.
            Jitter::Drawn => Random::of(id.to_bits() ^ generation as u64).unit(),
        };
        part * self.after * JITTER_PART
    }

    /// Until when nobody asks again, after a call in vain.
    fn answer(self, now: f64, unknown: i32, random: &mut Random) -> Option<f64> {
        let longer = match self.jitter {
            Jitter::None => 1.0,
            Jitter::Rule | Jitter::Drawn => 1.0 + random.unit() * JITTER_PART,
        };
        match self.outage {
            _ if !(OUTAGE_FROM..OUTAGE_TO).contains(&now) => None,
            Outage::None => None,
            Outage::Refuses => Some(now + FAILURE_MEMORY * longer),
            Outage::Silent => {
                let pause = (FAILURE_MEMORY * 2.0_f64.powi(unknown)).min(LONGEST_PAUSE);
                Some(now + REQUEST_TIMEOUT + pause * longer)
            }
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outage = match self.outage {
            Outage::None => "none",
            Outage::Refuses => "503 at once",
            Outage::Silent => "no answer",
        };
        let jitter = match self.jitter {
            Jitter::None => "none",
            Jitter::Rule => "the crate's",
            Jitter::Drawn => "drawn anew",
        };
        if self.rush {
            return write!(f, "| {jitter} |");
        }
        write!(f, "| {outage} | {:.0} min | {jitter} |", self.after / MINUTE)
    }
}
