//! What there is: a store, Sentinel, the instances, and what has happened.

use crate::refresh::plan::{Course, Rules, Step, View};

/// What a scenario allows to happen, and which rules hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) instances: usize,
    /// Requests per instance.
    pub(super) tries: u8,
    pub(super) rules: Rules,
    pub(super) world: WorldRules,
    pub(super) sentinel: Kind,
    pub(super) budget: Budget,
}

/// Rules whose decision lies with the store or around a refresh, not within it.
#[derive(Clone, Copy, Debug)]
pub(super) struct WorldRules {
    /// Store rule 1: a write depends on the version.
    pub(super) update_if_version: bool,
    /// Store rule 7: so does a refused session's deletion.
    pub(super) delete_if_version: bool,
    /// Store rule 11: the latest writes are repeated over a new connection.
    pub(super) catch_up: bool,
    /// Whether a deviation that is documented excuses what follows from it.
    pub(super) excuses: bool,
}

/// How Sentinel treats refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A token that is presented twice ends all tokens of the session.
    Strict,
    /// A spent token is refused, and nothing else happens.
    Refusing,
    /// A spent token brings its successor again.
    Grace,
    /// Tokens do not change.
    Steady,
}

/// What may still happen, and how often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) kills: u8,
    /// Calls of the store that are not answered, whether or not they take effect.
    pub(super) faults: u8,
    /// Holders that stand still for longer than their lease.
    pub(super) stalls: u8,
    /// Holders that stand still for longer than their lease and the pause of the next.
    pub(super) freezes: u8,
    /// Calls of Sentinel whose outcome stays unknown.
    pub(super) unknown: u8,
    /// Calls of Sentinel that certainly spend nothing.
    pub(super) unspent: u8,
    pub(super) logouts: u8,
    /// Notes of activity.
    pub(super) touches: u8,
    pub(super) failovers: u8,
    pub(super) outages: u8,
}

impl Scenario {
    pub(super) const fn new(instances: usize, budget: Budget) -> Self {
        let world = WorldRules {
            update_if_version: true,
            delete_if_version: true,
            catch_up: true,
            excuses: true,
        };
        Self { instances, tries: 1, rules: Rules::ALL, world, sentinel: Kind::Strict, budget }
    }

    pub(super) const fn with(self, rules: Rules) -> Self {
        Self { rules, ..self }
    }

    pub(super) const fn tries(self, tries: u8) -> Self {
        Self { tries, ..self }
    }

    pub(super) const fn at(self, sentinel: Kind) -> Self {
        Self { sentinel, ..self }
    }

    pub(super) const fn in_world(self, world: WorldRules) -> Self {
        Self { world, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) sentinel: Sentinel,
    pub(super) instances: Vec<Instance>,
    pub(super) left: Budget,
    pub(super) past: Past,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(super) record: Option<Record>,
    /// What the record was before the last write, and before that: a fail-over brings it back.
    pub(super) before: [Option<Option<Record>>; 2],
    pub(super) lease: Option<Held>,
    pub(super) is_down: bool,
    /// The next version that nothing has had yet.
    pub(super) fresh: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub(super) by: u8,
    /// The holder's attempt has failed.
    pub(super) failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Record {
    pub(super) version: u8,
    pub(super) generation: u8,
    pub(super) presented: u8,
    /// The refresh token.
    pub(super) token: u8,
    /// How many notes of activity are in it.
    pub(super) touched: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Sentinel {
    /// The token that it takes.
    pub(super) current: u8,
    pub(super) alive: bool,
}

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Instance {
    pub(super) is_alive: bool,
    pub(super) tries: u8,
    /// The highest generation that it has seen.
    pub(super) seen: u8,
    /// It serves the session no more.
    pub(super) ended: bool,
    /// A logout here could not delete the record yet.
    pub(super) undeleted: bool,
    /// It remembers a failed attempt.
    pub(super) barred: bool,
    /// It has not yet repeated its latest writes over a new connection.
    pub(super) behind: bool,
    pub(super) wrote: Option<Record>,
    pub(super) deleted: bool,
    /// The record as it was read, with activity to be written.
    pub(super) touching: Option<Record>,
    pub(super) flight: Option<Flight>,
}

/// A refresh under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Flight {
    pub(super) held: View<u8>,
    pub(super) seen: u8,
    pub(super) mine: u8,
    pub(super) step: Step<u8>,
    /// The record as it was last read.
    pub(super) record: Record,
    /// What Sentinel is answering.
    pub(super) answer: Option<Answer>,
    /// What it has answered: a token, the generation it makes, and the activity known then.
    pub(super) result: Option<Record>,
    /// The process stands still, and the next holder does not wait for it.
    pub(super) frozen: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Answer {
    Token(u8),
    Refused,
    Unspent,
    Unknown,
}

/// What has happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Past {
    /// How many times each token was presented, except where that certainly spent nothing.
    pub(super) presented: [u8; 2],
    /// Deviations that are documented to cost a presentation, or the session.
    pub(super) excuses: u8,
    /// A logout was tried.
    pub(super) logged_out: bool,
    /// And its record deleted, as its user was told.
    pub(super) deleted: bool,
    /// Notes of activity that were written.
    pub(super) touched: u8,
    pub(super) failed_over: bool,
    /// An attempt failed a moment ago.
    pub(super) cooling: bool,
    /// A token was presented in that moment.
    pub(super) hasty: bool,
    /// A record with a good token was deleted since another token was refused.
    pub(super) ended_good: bool,
}

impl Record {
    pub(super) fn view(&self) -> View<u8> {
        let Self { version, generation, presented, .. } = *self;
        View { version, generation: generation.into(), presented: presented.into() }
    }
}

impl Flight {
    pub(super) fn course(&self, rules: Rules) -> Course<u8> {
        Course { held: self.held, seen: self.seen.into(), mine: self.mine, rules }
    }

    /// It is presenting a token, or knows something that must not be lost, or is about to: whoever
    /// pauses gives it the time.
    pub(super) fn is_waited_for(&self) -> bool {
        let is_at_it = matches!(self.step, Step::KeepLease { .. } | Step::Send { .. });
        !self.frozen && (is_at_it || self.step.is_insistent())
    }

    /// It has presented a token and not yet kept what came of it.
    pub(super) fn has_presented(&self) -> bool {
        self.answer.is_some() || self.step.is_insistent()
    }
}

impl State {
    pub(super) fn flights(&self) -> impl Iterator<Item = &Flight> {
        self.instances.iter().filter_map(|instance| instance.flight.as_ref())
    }

    /// A pause has given everybody the time to write what must not be lost.
    pub(super) fn may_end_pause(&self) -> bool {
        let deletes = |it: &Instance| it.is_alive && it.undeleted;
        let is_somebody_at_it =
            self.flights().any(Flight::is_waited_for) || self.instances.iter().any(deletes);
        self.store.is_down || !is_somebody_at_it
    }
}

impl Store {
    pub(super) fn write(&mut self, record: Option<Record>) {
        self.before = [Some(self.record), self.before[0]];
        self.record = record;
    }

    pub(super) fn version(&mut self) -> u8 {
        self.fresh += 1;
        self.fresh
    }
}
