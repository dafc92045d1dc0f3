//! An upstream that refuses every access token, and handlers that ask for another each time.

use std::time::Duration;

use super::explore::{Model, Note, explore};
use crate::refresh::forced::{AT_FAULT_FROM, Forced, forced_from};

/// Time goes on by this much.
const TICK: Duration = Duration::from_secs(20);
const TICKS: u8 = 9;

struct Upstream {
    /// Whether a refresh names the generation that failed.
    names_the_failed: bool,
    from: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    newest: u8,
    refreshed_at: u8,
    /// Requests under way, each with the generation that it has presented upstream.
    requests: Vec<u8>,
    left: u8,
    /// When refreshes were sent.
    sent_at: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// Two refreshes within a minute.
    Loop,
}

impl Model for Upstream {
    type State = State;
    type Flaw = Flaw;

    fn start(&self) -> State {
        let (requests, sent_at) = (Vec::new(), Vec::new());
        State { now: 6, newest: 0, refreshed_at: 0, requests, left: 5, sent_at }
    }

    fn moves(&self, state: &State, next: &mut Vec<(Note, State)>) {
        if state.now < 6 + TICKS {
            next.push((Note(0, "20 s pass"), State { now: state.now + 1, ..state.clone() }));
        }
        if state.left > 0 {
            let mut sent = State { left: state.left - 1, ..state.clone() };
            sent.requests.push(state.newest);
            sent.requests.sort_unstable();
            next.push((Note(state.newest, "a request goes upstream"), sent));
        }
        for (at, request) in state.requests.iter().enumerate() {
            let mut refused = state.clone();
            refused.requests.remove(at);
            let failed = if self.names_the_failed { *request } else { state.newest };
            let age = TICK * u32::from(state.now - state.refreshed_at);
            match forced_from(failed.into(), state.newest.into(), age, self.from) {
                Forced::Send => {
                    refused.newest += 1;
                    refused.refreshed_at = refused.now;
                    refused.sent_at.push(refused.now);
                }
                Forced::UseNewest | Forced::TooYoung => {}
            }
            next.push((Note(*request, "is refused upstream and asks for a refresh"), refused));
        }
    }

    fn flaw(&self, state: &State) -> Option<Flaw> {
        let too_close = |pair: &[u8]| TICK * u32::from(pair[1] - pair[0]) < AT_FAULT_FROM;
        state.sent_at.windows(2).any(too_close).then_some(Flaw::Loop)
    }
}

/// What is refreshed because an upstream refuses its token is refreshed once a minute at most.
#[test]
fn an_upstream_that_always_refuses_is_no_refresh_loop() {
    let with = Upstream { names_the_failed: true, from: AT_FAULT_FROM };
    let explored = explore(&with);
    explored.holds("forced refresh");
    explored.comes_to("a second refresh", |state| state.sent_at.len() == 2);
    let any_age = Upstream { from: Duration::ZERO, ..with };
    explore(&any_age).breaks("at any age", Flaw::Loop);
    let nameless = Upstream { names_the_failed: false, from: Duration::ZERO };
    explore(&nameless).breaks("at any age, of whatever is newest", Flaw::Loop);
}
