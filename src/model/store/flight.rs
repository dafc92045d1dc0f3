//! A refresh: every event that its next step may come to, and what it leaves behind.

use super::state::{Answer, Flight, Held, Instance, Kind, Record, Scenario, State};
use crate::{
    model::explore::Note,
    refresh::plan::{Conclusion, Event, Step, View},
};

type Next = Vec<(Note, State)>;

/// One instance's refresh in some state.
pub(super) struct Turn<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) state: &'a State,
    pub(super) at: u8,
    pub(super) flight: Flight,
}

impl Turn<'_> {
    /// Everything that the next step may come to.
    pub(super) fn moves(&self, next: &mut Next) {
        match self.flight.step {
            Step::Doubt => {
                let caught_up = |it: &Instance| !it.is_alive || !it.behind || it.wrote.is_none();
                if self.state.may_end_pause() && self.state.instances.iter().all(caught_up) {
                    self.after("doubted for a while", Event::Paused, next);
                }
            }
            Step::Pause => {
                if self.state.may_end_pause() {
                    self.after("has paused", Event::Paused, next);
                }
            }
            Step::Follow => {
                self.after("looks again", Event::Paused, next);
                self.after("loses patience", Event::OutOfPatience, next);
            }
            Step::Lease | Step::KeepLease { .. } => self.lease(next),
            Step::DoubtRead
            | Step::FollowRead
            | Step::Reread { .. }
            | Step::Merge { .. }
            | Step::Recheck { .. } => self.read(next),
            Step::Mark { base } => self.mark(base, base.presented.saturating_add(1), next),
            Step::Unmark { base } => self.mark(base, base.presented.saturating_sub(1), next),
            Step::Send { .. } => match self.flight.answer {
                None => self.present(next),
                Some(answer) => self.answered(answer, next),
            },
            Step::Persist { base } => self.persist(base, next),
            Step::End { base } => self.end(base, next),
            Step::Remember => self.remember(next),
            Step::Over(_) => {}
        }
    }

    /// A call of the store: it may be answered, or not, and then have taken effect or not.
    fn call(&self, name: &'static str, effect: &State, event: Event<u8>, next: &mut Next) {
        let State { left, store, .. } = self.state;
        if store.is_down {
            return self.fails(name, self.state.clone(), next);
        }
        self.settle(name, effect.clone(), event, next);
        if left.faults > 0 {
            for state in [self.state, effect] {
                let mut state = state.clone();
                state.left.faults -= 1;
                self.fails("calls the store and is not answered", state, next);
            }
        }
    }

    fn fails(&self, name: &'static str, state: State, next: &mut Next) {
        // A process where the session has ended insists on nothing.
        if self.flight.step.is_insistent() && self.instance().ended {
            return self.conclude(name, state, self.flight, Conclusion::Gone, next);
        }
        self.settle(name, state, Event::Fault, next);
    }

    fn after(&self, name: &'static str, event: Event<u8>, next: &mut Next) {
        self.settle(name, self.state.clone(), event, next);
    }

    /// Takes the refresh to what follows an event.
    fn settle(&self, name: &'static str, state: State, event: Event<u8>, next: &mut Next) {
        self.settle_with(name, state, self.flight, event, next);
    }

    fn settle_with(
        &self,
        name: &'static str,
        mut state: State,
        mut flight: Flight,
        event: Event<u8>,
        next: &mut Next,
    ) {
        match flight.course(self.scenario.rules).next(flight.step, event) {
            Step::Over(conclusion) => self.conclude(name, state, flight, conclusion, next),
            step => {
                flight.step = step;
                state.instances[usize::from(self.at)].flight = Some(flight);
                next.push((Note(self.at, name), state));
            }
        }
    }

    fn instance(&self) -> &Instance {
        &self.state.instances[usize::from(self.at)]
    }

    fn lease(&self, next: &mut Next) {
        let mut effect = self.state.clone();
        let is_renewal = matches!(self.flight.step, Step::KeepLease { .. });
        let working = Held { by: self.at, failed: false };
        match self.state.store.lease {
            // Taken so short a time ago that the store need not be asked.
            Some(held) if held == working && is_renewal => {
                self.after("has its lease", Event::Leased, next);
            }
            Some(held) if held.by != self.at => {
                let event = match (held.failed, is_renewal) {
                    (true, _) => Event::Barred,
                    (false, true) => Event::LeaseLost,
                    (false, false) => Event::Busy,
                };
                self.call("asks for the lease", &effect, event, next);
            }
            _ => {
                effect.store.lease = Some(working);
                let event = if is_renewal { Event::Retaken } else { Event::Leased };
                self.call("takes the lease", &effect, event, next);
            }
        }
    }

    fn read(&self, next: &mut Next) {
        let State { store, .. } = self.state;
        if store.is_down {
            return self.fails("reads", self.state.clone(), next);
        }
        let record = store.record;
        let flight = Flight { record: record.unwrap_or(self.flight.record), ..self.flight };
        let event = Event::Read(record.as_ref().map(Record::view));
        self.settle_with("reads", self.state.clone(), flight, event, next);
        if self.state.left.faults > 0 {
            let mut state = self.state.clone();
            state.left.faults -= 1;
            self.fails("reads and is not answered", state, next);
        }
    }

    /// Puts `record` in the place of the version `base`.
    fn update(&self, name: &'static str, base: View<u8>, record: Record, next: &mut Next) {
        let mut effect = self.state.clone();
        let event = match self.state.store.record {
            None => Event::Absent,
            Some(found)
                if found.version != base.version && self.scenario.world.update_if_version =>
            {
                Event::Changed
            }
            Some(_) => {
                effect.store.write(Some(record));
                Event::Written(record.version)
            }
        };
        self.call(name, &effect, event, next);
    }

    fn mark(&self, base: View<u8>, presented: u32, next: &mut Next) {
        let mut state = self.state.clone();
        let presented = u8::try_from(presented).expect("few attempts");
        let record = Record { version: state.store.version(), presented, ..self.flight.record };
        let turn = Turn { state: &state, flight: Flight { record, ..self.flight }, ..*self };
        let mut made = Vec::new();
        turn.update("marks the record", base, record, &mut made);
        // Only a write that took effect is what the refresh has read last.
        for (note, mut state) in made {
            if let Some(flight) = &mut state.instances[usize::from(self.at)].flight {
                let has_written = matches!(flight.step, Step::KeepLease { .. } | Step::Send { .. });
                if !has_written {
                    flight.record = self.flight.record;
                }
            }
            next.push((note, state));
        }
    }

    /// Sentinel decides at once what the token is worth; its answer takes a while.
    fn present(&self, next: &mut Next) {
        let State { sentinel, left, past, .. } = self.state;
        let token = self.flight.record.token;
        let mut state = self.state.clone();
        state.past.hasty |= past.cooling;
        let mut present = |name, mut state: State, answer, counts: bool| {
            if counts {
                state.past.presented[usize::from(token)] += 1;
            }
            let flight = Flight { answer: Some(answer), ..self.flight };
            state.instances[usize::from(self.at)].flight = Some(flight);
            next.push((Note(self.at, name), state));
        };
        if left.unspent > 0 {
            let mut state = state.clone();
            state.left.unspent -= 1;
            present("presents a token to a server in trouble", state, Answer::Unspent, false);
        }
        if left.unknown > 0 {
            let mut state = state.clone();
            state.left.unknown -= 1;
            state.past.excuses += 1;
            present("presents a token that is not heard", state, Answer::Unknown, true);
        }
        let answer = if !sentinel.alive {
            Answer::Refused
        } else if self.scenario.sentinel == Kind::Steady {
            Answer::Token(token)
        } else if token == sentinel.current {
            state.sentinel.current += 1;
            Answer::Token(token + 1)
        } else if self.scenario.sentinel == Kind::Grace {
            Answer::Token(sentinel.current)
        } else {
            state.sentinel.alive = self.scenario.sentinel == Kind::Refusing;
            Answer::Refused
        };
        if left.unknown > 0 {
            let mut state = state.clone();
            state.left.unknown -= 1;
            state.past.excuses += 1;
            present("presents a token whose answer is lost", state, Answer::Unknown, true);
        }
        present("presents the token", state, answer, self.scenario.sentinel != Kind::Steady);
    }

    fn answered(&self, answer: Answer, next: &mut Next) {
        let mut flight = Flight { answer: None, ..self.flight };
        let mut state = self.state.clone();
        let event = match answer {
            Answer::Token(token) => {
                let Record { generation, touched, .. } = flight.record;
                flight.result = Some(Record {
                    version: flight.mine,
                    generation: generation + 1,
                    presented: 0,
                    token,
                    touched,
                });
                Event::Tokens
            }
            Answer::Refused => Event::Refused,
            Answer::Unspent | Answer::Unknown => {
                state.past.cooling = true;
                Event::Failed { unspent: answer == Answer::Unspent }
            }
        };
        self.settle_with("gets the answer", state, flight, event, next);
    }

    fn persist(&self, base: View<u8>, next: &mut Next) {
        let Some(result) = self.result_on_record().filter(|_| !self.instance().ended) else {
            return self.after("discards the result", Event::Absent, next);
        };
        self.update("writes the result", base, result, next);
    }

    fn result_on_record(&self) -> Option<Record> {
        let result = self.flight.result?;
        Some(Record { touched: result.touched.max(self.flight.record.touched), ..result })
    }

    fn end(&self, base: View<u8>, next: &mut Next) {
        let mut effect = self.state.clone();
        let event = match &self.state.store.record {
            None => Event::Absent,
            Some(found)
                if found.version != base.version && self.scenario.world.delete_if_version =>
            {
                Event::Changed
            }
            Some(found) => {
                let sentinel = &self.state.sentinel;
                effect.past.ended_good |= sentinel.alive && found.token == sentinel.current;
                effect.store.write(None);
                Event::Written(base.version)
            }
        };
        self.call("ends the session", &effect, event, next);
    }

    fn remember(&self, next: &mut Next) {
        let mut effect = self.state.clone();
        if self.state.store.lease.is_none_or(|held| held.by == self.at) {
            effect.store.lease = Some(Held { by: self.at, failed: true });
        }
        self.call("lets the others know", &effect, Event::Leased, next);
    }

    fn conclude(
        &self,
        name: &'static str,
        mut state: State,
        flight: Flight,
        conclusion: Conclusion,
        next: &mut Next,
    ) {
        let instance = &mut state.instances[usize::from(self.at)];
        instance.flight = None;
        match conclusion {
            Conclusion::Refreshed => {
                instance.wrote = self.result_on_record();
                instance.seen = instance.wrote.map_or(0, |it| it.generation).max(instance.seen);
            }
            Conclusion::Moved => instance.seen = instance.seen.max(flight.record.generation),
            Conclusion::Gone => instance.ended = true,
            Conclusion::Ended => {
                instance.ended = true;
                instance.deleted = true;
            }
            Conclusion::Failed | Conclusion::Barred | Conclusion::NotSent => instance.barred = true,
            Conclusion::OutOfPatience => {}
        }
        let keeps_lease = matches!(conclusion, Conclusion::Failed | Conclusion::Barred)
            && self.scenario.rules.remember;
        let is_held = state.store.lease.is_some_and(|held| held.by == self.at);
        if !keeps_lease && is_held && !state.store.is_down {
            state.store.lease = None;
        }
        next.push((Note(self.at, name), state));
    }
}
