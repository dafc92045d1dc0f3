//! What must not be, with the exceptions that are documented.

use super::state::{Answer, Flight, Instance, Kind, Scenario, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Two calls with one token at the same time.
    PresentedAtOnce,
    /// A token was presented more often than the documented exceptions allow.
    PresentedAgain,
    /// A token was presented right after a failed attempt.
    PresentedInHaste,
    /// The session has ended, and nobody asked for that.
    SignedOut,
    /// The new token is nowhere.
    RotationLost,
    /// A record is there after its logout.
    BackFromTheDead,
    /// A write that was acknowledged is not in the record.
    WriteLost,
    /// A record with a good token was deleted for another token's refusal.
    EndedGood,
}

pub(super) fn flaw(scenario: &Scenario, state: &State) -> Option<Flaw> {
    let State { store, sentinel, instances, past, .. } = state;
    let excuses = if scenario.world.excuses { past.excuses } else { 0 };
    let excused = excuses > 0 && scenario.world.excuses;
    let calls = state.flights().filter(|it| it.answer.is_some() && !it.frozen);
    if calls.count() > 1 {
        return Some(Flaw::PresentedAtOnce);
    }
    let is_presented_again = past.presented.iter().any(|times| *times > 1 + excuses);
    if is_presented_again && scenario.sentinel != Kind::Grace {
        return Some(Flaw::PresentedAgain);
    }
    if past.hasty {
        return Some(Flaw::PresentedInHaste);
    }
    if past.ended_good {
        return Some(Flaw::EndedGood);
    }
    let can_delete_again = |it: &Instance| it.is_alive && it.deleted && !it.behind;
    if past.deleted && store.record.is_some() && instances.iter().any(can_delete_again) {
        return Some(Flaw::BackFromTheDead);
    }
    if past.logged_out || excused {
        return None;
    }
    let ended_here = instances.iter().any(|it| it.ended);
    let Some(record) = &store.record else { return Some(Flaw::SignedOut) };
    if !sentinel.alive || ended_here {
        return Some(Flaw::SignedOut);
    }
    let is_known = |it: &Flight| {
        it.result.is_some_and(|result| result.token == sentinel.current)
            || it.answer == Some(Answer::Token(sentinel.current))
    };
    let is_good = record.token == sentinel.current
        || scenario.sentinel == Kind::Grace && record.token + 1 == sentinel.current;
    let will_write = |it: &Instance| {
        it.is_alive && it.behind && it.wrote.is_some_and(|wrote| wrote.token == sentinel.current)
    };
    if !is_good && !state.flights().any(is_known) && !instances.iter().any(will_write) {
        return Some(Flaw::RotationLost);
    }
    (record.touched < past.touched && !past.failed_over).then_some(Flaw::WriteLost)
}
