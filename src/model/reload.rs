//! A page that is reloaded while its code is exchanged: who gets the session?

use super::explore::{Model, Note, explore};
use crate::login::gets_outcome;

/// A browser that reloads the callback; it shows the answer to its latest request alone.
struct Reload {
    /// Who gets the outcome: by number of the callback, and of the latest.
    gets: fn(u64, u64) -> bool,
    reloads: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Exchange {
    /// The number of the latest callback that the server has seen.
    latest: u64,
    /// The number of the latest request that the browser has sent, and waits for.
    shown: u64,
    done: bool,
    taken: bool,
    /// Callbacks that have been answered, lowest first.
    answered: Vec<u64>,
    signed_in: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// All is answered, and the browser has no session.
    LoginLost,
    /// Two callbacks got one session.
    TakenTwice,
}

impl Model for Reload {
    type State = Exchange;
    type Flaw = Flaw;

    fn start(&self) -> Exchange {
        let answered = Vec::new();
        Exchange { latest: 0, shown: 0, done: false, taken: false, answered, signed_in: false }
    }

    fn moves(&self, state: &Exchange, next: &mut Vec<(Note, Exchange)>) {
        // A page that is shown is not reloaded: the browser has its answer.
        if state.shown < self.reloads && !state.answered.contains(&state.shown) {
            next.push((Note(0, "reloads"), Exchange { shown: state.shown + 1, ..state.clone() }));
        }
        if state.latest < state.shown && !state.taken {
            let latest = state.latest + 1;
            next.push((Note(1, "sees the reload"), Exchange { latest, ..state.clone() }));
        }
        if !state.done {
            next.push((Note(1, "has the tokens"), Exchange { done: true, ..state.clone() }));
            return;
        }
        for number in (0..=state.latest).filter(|number| !state.answered.contains(number)) {
            let mut after = state.clone();
            after.answered.push(number);
            after.answered.sort_unstable();
            if !state.taken && (self.gets)(number, state.latest) {
                after.taken = true;
                // An answer to a request that the browser has given up reaches nobody.
                after.signed_in |= number == state.shown;
            }
            next.push((Note(1, "answers a callback"), after));
        }
    }

    fn flaw(&self, state: &Exchange) -> Option<Flaw> {
        if state.signed_in && !state.taken {
            return Some(Flaw::TakenTwice);
        }
        // A reload that the server has not seen yet is answered as a spent login: a request of
        // its own, which no outcome can wait for.
        let all_seen = state.latest == state.shown;
        let all_answered = (0..=state.latest).all(|number| state.answered.contains(&number));
        (all_seen && all_answered && !state.signed_in).then_some(Flaw::LoginLost)
    }
}

/// Jar rule 4.
#[test]
fn a_reload_during_a_slow_exchange_does_not_lose_the_login() {
    let explored = explore(&Reload { gets: gets_outcome, reloads: 3 });
    explored.holds("the latest callback gets the outcome");
    explored.comes_to("a reload that is signed in", |state| state.signed_in && state.shown == 3);
    explore(&Reload { gets: |number, _| number == 0, reloads: 1 })
        .breaks("the first callback gets the outcome", Flaw::LoginLost);
}
