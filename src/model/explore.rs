//! Visits every state that a model can come to, in order of distance.
//!
//! A loop of its own: the model checkers to be had bring a web server for looking at states, and
//! compare states by 64-bit fingerprints.

use std::{
    collections::HashSet,
    fmt::{self, Debug},
    hash::Hash,
    rc::Rc,
};

/// More states than any scenario here has: a search that gets so far is not complete.
const MOST_STATES: usize = 1_500_000;

/// Something whose every course is explored.
pub(super) trait Model {
    type State: Clone + Eq + Hash;
    type Flaw: Copy + Eq + Debug;

    fn start(&self) -> Self::State;

    /// Everything that may happen next, each with its name.
    fn moves(&self, state: &Self::State, next: &mut Vec<(Note, Self::State)>);

    /// What must not be.
    fn flaw(&self, state: &Self::State) -> Option<Self::Flaw>;
}

/// What happens in a move, and to whom.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Note(pub(super) u8, pub(super) &'static str);

impl Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

/// All states of a model, if none has a flaw; else those up to the first that has.
pub(super) struct Explored<M: Model> {
    states: Vec<(Rc<M::State>, usize, Note)>,
    flaw: Option<M::Flaw>,
}

/// Explores a model until there is nothing new, or a flaw.
pub(super) fn explore<M: Model>(model: &M) -> Explored<M> {
    let start = Rc::new(model.start());
    let mut known = HashSet::from([Rc::clone(&start)]);
    let mut states = vec![(start, 0, Note(0, "begins"))];
    let mut next = Vec::new();
    let mut at = 0;
    while at < states.len() {
        let state = Rc::clone(&states[at].0);
        if let Some(flaw) = model.flaw(&state) {
            states.truncate(at + 1);
            return Explored { states, flaw: Some(flaw) };
        }
        model.moves(&state, &mut next);
        for (note, state) in next.drain(..) {
            if known.contains(&state) {
                continue;
            }
            let state = Rc::new(state);
            known.insert(Rc::clone(&state));
            states.push((state, at, note));
        }
        assert!(states.len() <= MOST_STATES, "the search is cut off: give it narrower bounds");
        at += 1;
    }
    Explored { states, flaw: None }
}

impl<M: Model> Explored<M> {
    /// The whole was explored and has no flaw.
    #[track_caller]
    pub(super) fn holds(&self, what: &str) -> &Self {
        assert_eq!(self.flaw, None, "{what}, after {:#?}", self.course());
        println!("{what}: holds in all {} states", self.states.len());
        self
    }

    /// A flaw was found, and which.
    #[track_caller]
    pub(super) fn breaks(&self, what: &str, flaw: M::Flaw) {
        assert_eq!(self.flaw, Some(flaw), "{what}, after {:#?}", self.course());
        println!("{what}: {flaw:?} after {:?}", self.course());
    }

    /// Some state is like this: the scenario comes to what it is about.
    #[track_caller]
    pub(super) fn comes_to(&self, what: &str, is: impl Fn(&M::State) -> bool) -> &Self {
        assert!(self.states.iter().any(|(state, ..)| is(state)), "never comes to: {what}");
        self
    }

    /// A shortest way to the last state.
    fn course(&self) -> Vec<Note> {
        let mut course = Vec::new();
        let mut at = self.states.len() - 1;
        while at != 0 && course.len() < self.states.len() {
            let (_, before, note) = &self.states[at];
            course.push(*note);
            at = *before;
        }
        course.reverse();
        course
    }
}

mod tests {
    use super::*;

    /// Counts up to a bound, by one or by two.
    struct Counter {
        forbidden: u8,
    }

    impl Model for Counter {
        type State = u8;
        type Flaw = &'static str;

        fn start(&self) -> u8 {
            0
        }

        fn moves(&self, state: &u8, next: &mut Vec<(Note, u8)>) {
            for (step, name) in [(1, "one"), (2, "two")] {
                if state + step <= 10 {
                    next.push((Note(*state, name), state + step));
                }
            }
        }

        fn flaw(&self, state: &u8) -> Option<&'static str> {
            (*state == self.forbidden).then_some("forbidden")
        }
    }

    #[test]
    fn all_states_are_explored_once_and_a_flaw_is_found_on_a_shortest_way() {
        let whole = explore(&Counter { forbidden: 11 });
        assert_eq!(whole.holds("up to ten").states.len(), 11);
        whole.comes_to("the end", |state| *state == 10);
        let broken = explore(&Counter { forbidden: 4 });
        broken.breaks("without four", "forbidden");
        assert_eq!(broken.course(), [Note(0, "two"), Note(2, "two")]);
    }
}
