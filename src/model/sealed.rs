//! One session sealed in a browser's cookie, the processes that serve it, and their responses that
//! overtake each other.

use super::explore::{Model, Note, explore};
use crate::session::{Pair, Standing, may_present, standing};

/// Which rules hold.
#[derive(Clone, Copy, Debug)]
struct Rules {
    /// Sealed rule 1: a cookie that comes in is compared with what is known.
    compare: bool,
    /// Sealed rule 2: the token of a lower generation is never presented.
    never_lower: bool,
    /// Sealed rule 3: a result is kept until the session ends.
    keep: bool,
    /// Sealed rule 7: no response sets the cookie of a session that was logged out.
    end: bool,
}

const ALL: Rules = Rules { compare: true, never_lower: true, keep: true, end: true };

#[derive(Clone, Copy, Debug)]
struct Scenario {
    processes: usize,
    requests: &'static [Kind],
    /// A request leaves only after the one before is answered, and its answer waits for a refresh.
    one_by_one: bool,
    dues: u8,
    touches: u8,
    losses: u8,
    /// How often a while passes.
    whiles: u8,
    rules: Rules,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    /// With what the jar holds.
    Browser,
    /// With the cookie of the login, kept by a client that takes no new one; it goes where the
    /// session is known.
    OldCopy,
    Logout,
}

use Kind::{Browser, Logout, OldCopy};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cookie {
    pair: Pair,
    token: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    current: u8,
    family_lives: bool,
    jar: Option<Cookie>,
    processes: Vec<Process>,
    requests: Vec<Request>,
    /// Generations below this are due.
    due: u32,
    dues: u8,
    touches: u8,
    losses: u8,
    whiles: u8,
    logged_out: bool,
    flaw: Option<Flaw>,
}

/// What one process knows of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Process {
    highest: Option<Pair>,
    result: Option<Cookie>,
    presented: bool,
    spent: Option<u32>,
    ended: bool,
    flight: Option<Flight>,
    /// The tokens that it has presented.
    sent: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    of: Cookie,
    /// `None` until the token is presented; then what came of it.
    answer: Option<Option<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Request {
    Waiting,
    /// On its way to a process, with a cookie.
    Under(u8, Cookie),
    /// Its handler runs.
    Handled(u8, Cookie),
    /// Its response is on the way, with what it does to the jar.
    Answered(Set),
    Done,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Set {
    Nothing,
    Delete,
    To(Cookie),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Flaw {
    /// One process presented one token twice.
    PresentedAgain,
    /// Sentinel has seen a spent token, and ended the session.
    SignedOut,
    /// A user's own cookie is served by tokens that cannot be refreshed any more.
    Stranded,
    /// Nothing is under way, nobody has logged out, and the jar leads to a spent token.
    Lost,
    /// A response sets the cookie of a session that its process has ended.
    BackFromTheDead,
}

impl Process {
    fn standing(&self, own: Pair) -> Standing {
        standing(own, self.highest.unwrap_or(own), self.result.is_some(), self.spent)
    }

    /// The cookie that serves a request with `own`.
    fn served(&self, own: Cookie, rules: Rules) -> Cookie {
        match self.result {
            Some(result) if !rules.compare || self.standing(own.pair) == Standing::Result => result,
            _ => own,
        }
    }

    fn keep(&mut self, result: Cookie) {
        self.highest = self.highest.max(Some(result.pair));
        self.result = Some(result);
        self.presented = false;
    }
}

impl State {
    fn is_quiet(&self) -> bool {
        let is_idle = |request: &Request| matches!(request, Request::Waiting | Request::Done);
        self.requests.iter().all(is_idle) && self.processes.iter().all(|it| it.flight.is_none())
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut state = self.clone();
        change(&mut state);
        state
    }
}

impl Scenario {
    const fn new(requests: &'static [Kind]) -> Self {
        let (processes, one_by_one, rules) = (1, false, ALL);
        Self { processes, requests, one_by_one, dues: 2, touches: 1, losses: 0, whiles: 1, rules }
    }

    fn sends(&self, state: &State, at: usize, next: &mut Vec<(Note, State)>) {
        let kind = self.requests[at];
        let earlier = self.requests.iter().zip(&state.requests).take(at);
        // Requests of one kind are alike: the first goes first.
        if earlier.clone().any(|(other, it)| *other == kind && *it == Request::Waiting)
            || (self.one_by_one && !state.is_quiet())
        {
            return;
        }
        let cookie = match kind {
            OldCopy => Some(login()),
            Browser | Logout => state.jar,
        };
        let Some(cookie) = cookie else { return };
        for (to, process) in (0u8..).zip(&state.processes) {
            if kind == OldCopy && process.highest.is_none_or(|highest| highest == cookie.pair) {
                continue;
            }
            let sent = state.with(|it| it.requests[at] = Request::Under(to, cookie));
            next.push((Note(to, "is sent a request"), sent));
        }
    }

    fn arrives(&self, state: &State, at: usize, to: u8, own: Cookie) -> Vec<(Note, State)> {
        let arrived = state.with(|it| {
            let process = &mut it.processes[usize::from(to)];
            if process.ended {
                it.requests[at] = Request::Answered(Set::Nothing);
                return;
            }
            if self.requests[at] == Logout {
                if self.rules.end {
                    *process = Process { ended: true, ..process.clone() };
                    process.result = None;
                }
                it.logged_out = true;
                it.requests[at] = Request::Answered(Set::Delete);
                return;
            }
            if self.rules.compare && process.highest.is_none_or(|highest| own.pair > highest) {
                if process.highest.is_some() {
                    process.result = None;
                }
                process.highest = Some(own.pair);
            }
            process.presented |= process.highest == Some(own.pair);
            let standing = process.standing(own.pair);
            it.requests[at] = match standing {
                Standing::Spent if self.rules.compare => Request::Answered(Set::Nothing),
                _ => Request::Handled(to, own),
            };
            let is_overtaken = standing == Standing::Overtaken;
            if is_overtaken && it.processes.len() == 1 {
                it.flaw = Some(Flaw::Stranded);
            }
            let process = &mut it.processes[usize::from(to)];
            let served = process.served(own, self.rules);
            let newest = process.highest.map_or(0, |highest| highest.generation);
            let generation = served.pair.generation;
            let may = !is_overtaken && may_present(generation, newest, process.spent);
            let is_due = generation < it.due && process.flight.is_none();
            if is_due && (may || !self.rules.never_lower || !self.rules.compare) {
                process.flight = Some(Flight { of: served, answer: None });
            }
        });
        let mut next = vec![(Note(to, "lets a request in"), arrived)];
        let (_, arrived) = &next[0];
        let process = &arrived.processes[usize::from(to)];
        let served = process.served(own, self.rules);
        let is_newest = process.highest == Some(served.pair);
        if state.touches > 0
            && is_newest
            && matches!(arrived.requests[at], Request::Handled(..))
            && process.flight.is_none()
        {
            let resealed = arrived.with(|it| {
                it.touches -= 1;
                let cookie = Cookie { pair: served.pair.resealed(), ..served };
                it.processes[usize::from(to)].keep(cookie);
            });
            next.push((Note(to, "lets a request in and seals its cookie anew"), resealed));
        }
        next
    }

    /// The head of a response leaves.
    fn leaves(&self, state: &State, at: usize, to: u8, own: Cookie, next: &mut Vec<(Note, State)>) {
        let process = &state.processes[usize::from(to)];
        if self.one_by_one && process.flight.is_some() {
            return;
        }
        let served = process.served(own, self.rules);
        let set = match (process.ended, served == own) {
            (true, _) | (false, true) => Set::Nothing,
            (false, false) => Set::To(served),
        };
        let left = state.with(|it| {
            it.requests[at] = Request::Answered(set);
            if matches!(set, Set::To(_)) && it.logged_out && it.processes.len() == 1 {
                it.flaw = Some(Flaw::BackFromTheDead);
            }
        });
        next.push((Note(to, "answers"), left));
    }

    fn flies(&self, state: &State, at: usize, flight: Flight, next: &mut Vec<(Note, State)>) {
        let by = u8::try_from(at).expect("few processes");
        let Some(answer) = flight.answer else {
            let sent = state.with(|it| {
                let token = flight.of.token;
                let process = &mut it.processes[at];
                if process.sent.contains(&token) {
                    it.flaw = Some(Flaw::PresentedAgain);
                }
                process.sent.push(token);
                let is_good = it.family_lives && token == it.current;
                it.family_lives = is_good;
                it.current += u8::from(is_good);
                let answer = Some(is_good.then_some(it.current));
                it.processes[at].flight = Some(Flight { answer, ..flight });
            });
            return next.push((Note(by, "presents a token"), sent));
        };
        let landed = state.with(|it| {
            let process = &mut it.processes[at];
            process.flight = None;
            let Cookie { pair, .. } = flight.of;
            match answer {
                _ if process.ended => {}
                Some(token) => process.keep(Cookie { pair: pair.refreshed(), token }),
                None => process.spent = process.spent.max(Some(pair.generation)),
            }
        });
        next.push((Note(by, "has its answer"), landed));
    }
}

fn login() -> Cookie {
    Cookie { pair: Pair::default(), token: 0 }
}

impl Model for Scenario {
    type State = State;
    type Flaw = Flaw;

    fn start(&self) -> State {
        State {
            current: 0,
            family_lives: true,
            jar: Some(login()),
            processes: vec![Process::default(); self.processes],
            requests: vec![Request::Waiting; self.requests.len()],
            due: 0,
            dues: self.dues,
            touches: self.touches,
            losses: self.losses,
            whiles: self.whiles,
            logged_out: false,
            flaw: None,
        }
    }

    fn moves(&self, state: &State, next: &mut Vec<(Note, State)>) {
        for (at, request) in state.requests.iter().enumerate() {
            match *request {
                Request::Waiting => self.sends(state, at, next),
                Request::Under(to, own) => next.extend(self.arrives(state, at, to, own)),
                Request::Handled(to, own) => self.leaves(state, at, to, own, next),
                Request::Answered(set) => {
                    let takes_cookies = self.requests[at] != OldCopy;
                    let received = state.with(|it| {
                        it.requests[at] = Request::Done;
                        match set {
                            Set::Delete => it.jar = None,
                            Set::To(cookie) if takes_cookies => it.jar = Some(cookie),
                            Set::To(_) | Set::Nothing => {}
                        }
                    });
                    next.push((Note(9, "a response is received"), received));
                    if state.losses > 0 && set != Set::Nothing {
                        let lost = state.with(|it| {
                            it.losses -= 1;
                            it.requests[at] = Request::Done;
                        });
                        next.push((Note(9, "a response is lost"), lost));
                    }
                }
                Request::Done => {}
            }
        }
        for (at, process) in state.processes.iter().enumerate() {
            if let Some(flight) = process.flight {
                self.flies(state, at, flight, next);
            }
        }
        if state.dues > 0 && state.due <= u32::from(state.current) {
            let due = state.with(|it| {
                it.dues -= 1;
                it.due += 1;
            });
            next.push((Note(9, "tokens become due"), due));
        }
        if state.whiles > 0 && state.is_quiet() {
            let later = state.with(|it| {
                it.whiles -= 1;
                for process in it.processes.iter_mut().filter(|it| !self.rules.keep && it.presented)
                {
                    process.result = None;
                }
            });
            next.push((Note(9, "a while passes"), later));
        }
    }

    fn flaw(&self, state: &State) -> Option<Flaw> {
        if state.flaw.is_some() {
            return state.flaw;
        }
        if !state.family_lives {
            return Some(Flaw::SignedOut);
        }
        if !state.is_quiet() || state.logged_out {
            return None;
        }
        let leads_on = |process: &Process| {
            state.jar.is_some_and(|jar| process.served(jar, self.rules).token == state.current)
        };
        (!state.processes.iter().all(leads_on)).then_some(Flaw::Lost)
    }
}

const FOUR: &[Kind] = &[Browser; 4];

/// Two processes, to which a browser goes by turns.
const TWO: Scenario =
    Scenario { processes: 2, one_by_one: true, touches: 0, ..Scenario::new(&[Browser; 5]) };

/// Sealed rules 1 to 3 and 7, F17, F19.
#[test]
fn a_sealed_session_survives_responses_that_overtake_each_other() {
    for (what, scenario) in [
        ("four requests", Scenario::new(FOUR)),
        ("lost responses", Scenario { losses: 1, ..Scenario::new(FOUR) }),
        ("an old copy", Scenario::new(&[Browser, Browser, OldCopy, OldCopy])),
        ("a logout", Scenario::new(&[Browser, Browser, Logout, Browser])),
        ("two processes", TWO),
        ("an old copy at two processes", Scenario { requests: OLD_COPY, dues: 1, ..TWO }),
    ] {
        let explored = explore(&scenario);
        explored.holds(what).comes_to("a refresh", |state| state.current == 1);
    }
}

const OLD_COPY: &[Kind] = &[Browser, Browser, OldCopy];

/// Sealed rules 1 to 3 and 7: what each of them prevents.
#[test]
fn without_any_one_rule_a_sealed_session_is_lost() {
    let old_copy = Scenario { requests: OLD_COPY, dues: 1, ..TWO };
    for (rule, scenario, rules, flaw) in [
        ("1: compare", TWO, Rules { compare: false, ..ALL }, Flaw::Lost),
        ("2: never lower", old_copy, Rules { never_lower: false, ..ALL }, Flaw::SignedOut),
        ("3: keep", Scenario::new(FOUR), Rules { keep: false, ..ALL }, Flaw::Lost),
        (
            "3: keep, for an old copy",
            Scenario::new(&[Browser, Browser, OldCopy]),
            Rules { keep: false, ..ALL },
            Flaw::Stranded,
        ),
        (
            "7: end",
            Scenario::new(&[Browser, Browser, Logout]),
            Rules { end: false, ..ALL },
            Flaw::BackFromTheDead,
        ),
    ] {
        explore(&scenario).holds(rule);
        explore(&Scenario { rules, ..scenario }).breaks(rule, flaw);
    }
}
