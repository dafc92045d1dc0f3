//! Everything that may happen next.

use super::{
    flaws::{Flaw, flaw},
    flight::Turn,
    state::{Flight, Held, Instance, Past, Record, Scenario, Sentinel, State, Store},
};
use crate::{
    model::explore::{Model, Note},
    refresh::plan::{Step, lacks},
};

type Next = Vec<(Note, State)>;

/// The first number in a note of what happens to all.
const ALL: u8 = 9;

impl Model for Scenario {
    type State = State;
    type Flaw = Flaw;

    fn start(&self) -> State {
        let record = Record { version: 1, generation: 0, presented: 0, token: 0, touched: 0 };
        let instance = Instance {
            is_alive: true,
            tries: self.tries,
            seen: 0,
            ended: false,
            undeleted: false,
            barred: false,
            behind: false,
            wrote: None,
            deleted: false,
            touching: None,
            flight: None,
        };
        State {
            store: Store {
                record: Some(record),
                before: [None; 2],
                lease: None,
                is_down: false,
                fresh: 1,
            },
            sentinel: Sentinel { current: 0, alive: true },
            instances: vec![instance; self.instances],
            left: self.budget,
            past: Past::default(),
        }
    }

    fn moves(&self, state: &State, next: &mut Next) {
        for (at, instance) in (0..).zip(&state.instances) {
            if !instance.is_alive {
                continue;
            }
            if instance.behind && !state.store.is_down {
                next.push((Note(at, "serves over a new connection"), self.reconnect(state, at)));
            }
            if let Some(flight) = instance.flight {
                Turn { scenario: self, state, at, flight }.moves(next);
            } else {
                self.request(state, at, next);
            }
            touch(self, state, at, next);
            log_out(state, at, next);
            kill(state, at, next);
        }
        lease_runs_out(self, state, next);
        time_passes(state, next);
        trouble(state, next);
    }

    fn flaw(&self, state: &State) -> Option<Flaw> {
        flaw(self, state)
    }
}

/// `state` with its instance at `at` changed.
fn changed(state: &State, at: u8, change: impl FnOnce(&mut State, &mut Instance)) -> State {
    let mut state = state.clone();
    let mut instance = state.instances[usize::from(at)];
    change(&mut state, &mut instance);
    state.instances[usize::from(at)] = instance;
    state
}

impl Scenario {
    /// The first request over a new connection, of whatever session.
    fn reconnect(&self, state: &State, at: u8) -> State {
        changed(state, at, |state, instance| {
            instance.behind = false;
            if self.world.catch_up {
                catch_up(&mut state.store, instance);
            }
        })
    }

    /// A request asks the store for the session, and starts a refresh that is due.
    fn request(&self, state: &State, at: u8, next: &mut Next) {
        let instance = &state.instances[usize::from(at)];
        let asks = instance.tries > 0 && !instance.ended && !instance.barred;
        if !asks || instance.behind || state.store.is_down {
            return;
        }
        let asked = changed(state, at, |state, instance| {
            instance.tries -= 1;
            let Some(record) = state.store.record else {
                instance.ended = true;
                return;
            };
            if record.generation > 0 {
                instance.seen = instance.seen.max(record.generation);
                return;
            }
            let mut flight = Flight {
                held: record.view(),
                seen: instance.seen,
                mine: state.store.version(),
                step: Step::Lease,
                record,
                answer: None,
                result: None,
                frozen: false,
            };
            flight.step = flight.course(self.rules).start();
            instance.flight = Some(flight);
        });
        next.push((Note(at, "has a request"), asked));
    }
}

/// Repeats an instance's latest writes.
fn catch_up(store: &mut Store, instance: &Instance) {
    if instance.deleted {
        store.record = None;
    }
    if let (Some(wrote), Some(found)) = (instance.wrote, store.record)
        && lacks(found.generation.into(), wrote.generation.into())
    {
        store.record = Some(wrote);
    }
}

/// Activity is read and, some time later, written.
fn touch(scenario: &Scenario, state: &State, at: u8, next: &mut Next) {
    let instance = &state.instances[usize::from(at)];
    if state.store.is_down {
        return;
    }
    match (instance.touching, state.store.record) {
        (None, Some(record))
            if state.left.touches > 0 && instance.flight.is_none() && !instance.ended =>
        {
            let begun = changed(state, at, |state, instance| {
                state.left.touches -= 1;
                instance.touching = Some(record);
            });
            next.push((Note(at, "is about to note activity"), begun));
        }
        (Some(read), found) => {
            let written = changed(state, at, |state, instance| {
                instance.touching = None;
                let is_same = found.is_some_and(|found| found.version == read.version);
                if found.is_some() && (is_same || !scenario.world.update_if_version) {
                    let version = state.store.version();
                    let touched = read.touched + 1;
                    state.store.write(Some(Record { version, touched, ..read }));
                    state.past.touched += 1;
                }
            });
            next.push((Note(at, "notes activity, unless the record has changed"), written));
        }
        _ => {}
    }
}

fn log_out(state: &State, at: u8, next: &mut Next) {
    let instance = &state.instances[usize::from(at)];
    let asks = state.left.logouts > 0 && !instance.ended;
    if !asks && (!instance.undeleted || state.store.is_down) {
        return;
    }
    let ended = changed(state, at, |state, instance| {
        if asks {
            state.left.logouts -= 1;
        }
        state.past.logged_out = true;
        instance.ended = true;
        instance.undeleted = state.store.is_down;
        if !state.store.is_down {
            instance.deleted = true;
            state.past.deleted = true;
            state.store.write(None);
        }
    });
    next.push((Note(at, "logs out"), ended));
}

fn kill(state: &State, at: u8, next: &mut Next) {
    if state.left.kills == 0 {
        return;
    }
    let killed = changed(state, at, |state, instance| {
        state.left.kills -= 1;
        if instance.flight.is_some_and(|flight| flight.has_presented()) {
            state.past.excuses += 1;
        }
        state.past.cooling &= instance.flight.is_none();
        instance.is_alive = false;
        instance.flight = None;
        instance.touching = None;
    });
    next.push((Note(at, "is killed"), killed));
}

fn lease_runs_out(scenario: &Scenario, state: &State, next: &mut Next) {
    let Some(Held { by, failed: false }) = state.store.lease else { return };
    let mut free = state.clone();
    free.store.lease = None;
    let Some(flight) = state.instances[usize::from(by)].flight else {
        return next.push((Note(by, "its lease runs out, nobody renews it"), free));
    };
    let is_calling = flight.answer.is_some();
    // Nothing lies between the check of the lease and the call.
    let is_checked = scenario.rules.keep_lease && matches!(flight.step, Step::Send { .. });
    if is_checked && !is_calling {
        return;
    }
    if state.store.is_down && !is_calling {
        return next.push((Note(by, "its lease runs out, the store being down"), free));
    }
    if state.left.stalls > 0 {
        let mut free = free.clone();
        free.left.stalls -= 1;
        next.push((Note(by, "stands still until its lease has run out"), free));
    }
    if state.left.freezes > 0 {
        let frozen = changed(&free, by, |state, instance| {
            state.left.freezes -= 1;
            state.past.excuses += u8::from(flight.has_presented());
            instance.flight = Some(Flight { frozen: true, ..flight });
        });
        next.push((Note(by, "stands still for very long"), frozen));
    }
}

/// So much time that a failed attempt is forgotten.
fn time_passes(state: &State, next: &mut Next) {
    let is_remembered = state.past.cooling
        || state.store.lease.is_some_and(|held| held.failed)
        || state.instances.iter().any(|it| it.barred);
    if !is_remembered || state.flights().any(Flight::is_waited_for) {
        return;
    }
    let mut later = state.clone();
    later.past.cooling = false;
    later.store.lease = later.store.lease.filter(|held| !held.failed);
    for instance in &mut later.instances {
        instance.barred = false;
    }
    next.push((Note(ALL, "10 s pass"), later));
}

/// The store goes down, comes up, or fails over.
fn trouble(state: &State, next: &mut Next) {
    let State { store, left, .. } = state;
    if store.is_down {
        let mut up = state.clone();
        up.store.is_down = false;
        next.push((Note(ALL, "the store comes up"), up));
    } else if left.outages > 0 {
        let mut down = state.clone();
        down.store.is_down = true;
        down.left.outages -= 1;
        next.push((Note(ALL, "the store goes down"), down));
    }
    if left.failovers == 0 {
        return;
    }
    for before in store.before.into_iter().flatten() {
        let mut over = state.clone();
        over.left.failovers -= 1;
        over.past.excuses += u8::from(loses_for_good(state, before));
        over.past.failed_over = true;
        over.store.record = before;
        over.store.before = [None; 2];
        for instance in &mut over.instances {
            instance.behind = true;
        }
        next.push((Note(ALL, "the store fails over and loses the latest writes"), over));
    }
}

/// Whether a fail-over to the record `before` loses the session's end, or a refresh that some
/// instance does not know of, or that nobody can write again.
fn loses_for_good(state: &State, before: Option<Record>) -> bool {
    let current = state.sentinel.current;
    let loses = before.is_some_and(|before| before.token < current)
        && !state.flights().any(Flight::has_presented);
    let alive = || state.instances.iter().filter(|it| it.is_alive);
    let all_know = alive().all(|it| it.seen == current);
    let is_kept = alive().any(|it| it.wrote.is_some_and(|wrote| wrote.token == current));
    let loses_its_end = before.is_some() && state.store.record.is_none();
    loses_its_end || loses && !(all_know && is_kept)
}
