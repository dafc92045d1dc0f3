//! How a session begins: its code is presented once, and its record is in the index.

use super::explore::{Model, Note, explore};

/// What a login writes, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Record,
    Entry,
    Cookie,
}

use Part::{Cookie, Entry, Record};

/// A login beside a user who ends all sessions: lists them, deletes each record, removes its entry.
struct Deposit([Part; 3]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Deposited {
    done: usize,
    record: bool,
    entry: bool,
    cookie: bool,
    /// How far the other has come, whether it found the session, and whether that had to be found.
    ending: u8,
    listed: bool,
    began_after: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    /// A session that its browser had already was missed.
    Missed,
    /// A session that no later sign-out of all sessions finds.
    Unlisted,
    /// A code was presented twice.
    PresentedAgain,
}

impl Model for Deposit {
    type State = Deposited;
    type Flaw = Flaw;

    fn start(&self) -> Deposited {
        Deposited {
            done: 0,
            record: false,
            entry: false,
            cookie: false,
            ending: 0,
            listed: false,
            began_after: false,
        }
    }

    fn moves(&self, state: &Deposited, next: &mut Vec<(Note, Deposited)>) {
        if let Some(part) = self.0.get(state.done) {
            let done = Deposited { done: state.done + 1, ..*state };
            next.push(match part {
                Record => (Note(0, "creates the record"), Deposited { record: true, ..done }),
                Entry => (Note(0, "adds the entry"), Deposited { entry: true, ..done }),
                Cookie => (Note(0, "hands out the cookie"), Deposited { cookie: true, ..done }),
            });
        }
        let ending = state.ending + 1;
        match state.ending {
            0 => next.push((
                Note(1, "lists the sessions"),
                Deposited { ending, listed: state.entry, began_after: state.cookie, ..*state },
            )),
            1 => next.push((
                Note(1, "deletes what it has listed"),
                Deposited { ending, record: state.record && !state.listed, ..*state },
            )),
            2 => next.push((
                Note(1, "removes its entry"),
                Deposited { ending, entry: state.entry && !state.listed, ..*state },
            )),
            _ => {}
        }
    }

    fn flaw(&self, state: &Deposited) -> Option<Flaw> {
        if state.ending < 3 || state.done < 3 || !state.record {
            None
        } else if state.began_after {
            Some(Flaw::Missed)
        } else {
            (!state.entry).then_some(Flaw::Unlisted)
        }
    }
}

/// Store rule 9.
#[test]
fn a_session_is_found_by_whoever_ends_all_sessions_of_its_user() {
    explore(&Deposit([Record, Entry, Cookie])).holds("record, entry, cookie");
    explore(&Deposit([Entry, Record, Cookie])).breaks("entry, record, cookie", Flaw::Unlisted);
    explore(&Deposit([Record, Cookie, Entry])).breaks("record, cookie, entry", Flaw::Missed);
}

/// Callbacks of one login at several instances, one each.
#[derive(Clone, Copy)]
struct Claims {
    /// The login is claimed before its code is presented.
    claims: bool,
    /// A claim is given back by the callback that has made it alone.
    owned: bool,
    faults: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Claimed {
    by: Option<usize>,
    callbacks: [Callback; 3],
    presented: u8,
    faults: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Callback {
    Waiting,
    Claimed,
    /// The store has not answered: the claim may stand, and is given back later.
    Unsure,
    Over,
}

impl Model for Claims {
    type State = Claimed;
    type Flaw = Flaw;

    fn start(&self) -> Claimed {
        let callbacks = [Callback::Waiting; 3];
        Claimed { by: None, callbacks, presented: 0, faults: self.faults }
    }

    fn moves(&self, state: &Claimed, next: &mut Vec<(Note, Claimed)>) {
        for (note, at) in (0..).zip(0..state.callbacks.len()) {
            let mut after = state.clone();
            match state.callbacks[at] {
                Callback::Waiting => {
                    let is_free = state.by.is_none() || !self.claims;
                    if state.faults > 0 {
                        let mut unsure = state.clone();
                        unsure.faults -= 1;
                        unsure.callbacks[at] = Callback::Unsure;
                        let mut stands = unsure.clone();
                        next.push((Note(note, "its claim fails"), unsure));
                        stands.by = stands.by.or(Some(at));
                        next.push((Note(note, "its claim stands, unanswered"), stands));
                    }
                    if is_free {
                        after.by = after.by.or(Some(at));
                    }
                    after.callbacks[at] = if is_free { Callback::Claimed } else { Callback::Over };
                    next.push((Note(note, "claims the login"), after));
                }
                Callback::Claimed => {
                    // Certainly not presented: the login can be finished by another callback.
                    let mut unspent = state.clone();
                    unspent.callbacks[at] = Callback::Over;
                    unspent.by = unspent.by.filter(|by| *by != at);
                    next.push((Note(note, "cannot reach sentinel"), unspent));
                    after.presented += 1;
                    after.callbacks[at] = Callback::Over;
                    next.push((Note(note, "presents the code"), after));
                }
                Callback::Unsure => {
                    after.callbacks[at] = Callback::Over;
                    after.by = after.by.filter(|by| *by != at && self.owned);
                    next.push((Note(note, "gives its claim back"), after));
                }
                Callback::Over => {}
            }
        }
    }

    fn flaw(&self, state: &Claimed) -> Option<Flaw> {
        (state.presented > 1).then_some(Flaw::PresentedAgain)
    }
}

/// Store rule 9, the claim.
#[test]
fn a_code_is_presented_once_by_any_number_of_instances() {
    let with = Claims { claims: true, owned: true, faults: 1 };
    let explored = explore(&with);
    explored.holds("claims");
    explored.comes_to("another's turn", |state| state.by == Some(2) && state.presented == 1);
    let ownerless = Claims { owned: false, ..with };
    explore(&ownerless).breaks("claims that anybody gives back", Flaw::PresentedAgain);
    explore(&Claims { claims: false, ..with }).breaks("no claims", Flaw::PresentedAgain);
}
