//! One refresh of a stored session, as decisions alone: what is done next, given what came of the
//! last step. The model in `src/model` explores exactly these decisions.

/// What counts of a record, read or written at some time. `V` is its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct View<V> {
    pub(crate) version: V,
    /// Two records of one generation hold the same refresh token.
    pub(crate) generation: u32,
    /// The mark: how many times the refresh token has been presented, as far as anybody knows,
    /// without a result that was kept.
    pub(crate) presented: u32,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Step<V> {
    /// This process has seen a newer generation than the record shows, so a fail-over may have lost
    /// it: pause, that who has it can write it again.
    Doubt,
    /// Then read again.
    DoubtRead,
    /// Take the lease, or take it again.
    Lease,
    /// Another instance refreshes: pause a little.
    Follow,
    /// Then look whether it is done.
    FollowRead,
    /// Read the record again, under the lease: it may be newer than what was read without.
    Reread {
        /// A pause has followed the last mark that was seen.
        paused: bool,
    },
    /// Somebody has presented the token and not kept a result: pause, that they can.
    Pause,
    /// Write into the record that the token is going to be presented.
    Mark { base: View<V> },
    /// Make sure that the lease outlasts the call.
    KeepLease { base: View<V> },
    /// Present the token.
    Send { base: View<V> },
    /// Write the result in the place of `base`.
    Persist { base: View<V> },
    /// The record has changed meanwhile: read it to merge.
    Merge { base: View<V> },
    /// The token is refused: read the record, it may be newer.
    Recheck { base: View<V> },
    /// It is not: delete it, unless it changes.
    End { base: View<V> },
    /// The token was certainly not spent: take the mark back.
    Unmark { base: View<V> },
    /// Let the others know that they need not try.
    Remember,
    /// Nothing.
    Over(Conclusion),
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event<V> {
    /// The store has not answered, or refused: the step may or may not have taken effect.
    Fault,
    /// A pause is over.
    Paused,
    /// The patience for another instance's refresh is.
    OutOfPatience,
    /// The lease is ours.
    Leased,
    /// It is ours, and had to be taken once more: another instance may have held it meanwhile.
    Retaken,
    /// Another instance holds it and works.
    Busy,
    /// Another instance holds it because its attempt has failed.
    Barred,
    /// Our lease was lost.
    LeaseLost,
    Read(Option<View<V>>),
    /// A record that only an instance with a newer key or version can read.
    Foreign,
    /// A write took effect; the record has this version now.
    Written(V),
    /// A write found another version.
    Changed,
    /// A write found no record.
    Absent,
    /// Sentinel has sent tokens.
    Tokens,
    /// `invalid_grant`, or tokens of somebody else.
    Refused,
    /// No tokens this time.
    Failed {
        /// The refresh token was certainly not spent.
        unspent: bool,
    },
}

/// How a refresh ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Conclusion {
    /// The result is in the record.
    Refreshed,
    /// The record is newer than ours: it is used, an own result discarded.
    Moved,
    /// There is no record any more: the session has ended, an own result is discarded.
    Gone,
    /// The session has been ended, its token being refused.
    Ended,
    /// An attempt failed.
    Failed,
    /// The store could not be used before anything was presented.
    NotSent,
    /// Another instance's attempt failed a moment ago.
    Barred,
    /// Another instance's attempt takes too long.
    OutOfPatience,
}

/// The rules that can be switched off, so that a model can show what each of them prevents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    /// Store rule 2: the record is read again under the lease.
    pub(crate) reread: bool,
    /// Store rule 2: the record says that the token is going to be presented.
    pub(crate) mark: bool,
    /// Store rule 2: the lease is checked before the token is presented.
    pub(crate) keep_lease: bool,
    /// Store rule 3: a result meets a changed record by merging.
    pub(crate) merge: bool,
    /// Store rule 4: a result that cannot be written is kept.
    pub(crate) insist: bool,
    /// Store rule 5: the others learn of a failed attempt.
    pub(crate) remember: bool,
    /// Store rule 6: who finds a mark pauses.
    pub(crate) pause_at_mark: bool,
    /// Store rule 7: the record is read before it ends.
    pub(crate) recheck: bool,
    /// Store rule 11: a record that shows less than was seen is doubted.
    pub(crate) doubt: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        reread: true,
        mark: true,
        keep_lease: true,
        merge: true,
        insist: true,
        remember: true,
        pause_at_mark: true,
        recheck: true,
        doubt: true,
    };
}

/// One refresh, of the generation in `held`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Course<V> {
    /// The record as the request had it.
    pub(crate) held: View<V>,
    /// The highest generation that this process has seen of the session.
    pub(crate) seen: u32,
    /// The version under which this flight writes its result.
    pub(crate) mine: V,
    pub(crate) rules: Rules,
}

impl<V: Copy + Eq> Course<V> {
    pub(crate) fn start(&self) -> Step<V> {
        if self.rules.doubt && self.seen > self.held.generation { Step::Doubt } else { Step::Lease }
    }

    /// What follows when `step` has come to `event`. An event that cannot come of a step ends the
    /// refresh without anything being presented.
    pub(crate) fn next(&self, step: Step<V>, event: Event<V>) -> Step<V> {
        let over = Step::Over;
        match (step, event) {
            (Step::Doubt, Event::Paused) => Step::DoubtRead,
            (Step::DoubtRead, Event::Read(record)) => self.unless_newer(record, |_| Step::Lease),

            (Step::Lease, Event::Leased) if self.rules.reread => Step::Reread { paused: false },
            (Step::Lease, Event::Leased) => self.mark(self.held),
            (Step::Lease, Event::Busy) => Step::Follow,
            (Step::Lease, Event::Barred) => over(Conclusion::Barred),

            (Step::Follow, Event::Paused) => Step::FollowRead,
            (Step::Follow, Event::OutOfPatience) => over(Conclusion::OutOfPatience),
            (Step::FollowRead, Event::Read(record)) => self.unless_newer(record, |_| Step::Lease),

            (Step::Reread { paused }, Event::Read(record)) => self.unless_newer(record, |base| {
                if self.rules.doubt && lacks(base.generation, self.held.generation) {
                    // Older than what the request held: its token is spent. Who has the newer one
                    // can write it again meanwhile; the next attempt starts from what is there then.
                    return if paused { over(Conclusion::NotSent) } else { Step::Pause };
                }
                if base.presented > 0 && !paused && self.rules.pause_at_mark {
                    Step::Pause
                } else {
                    self.mark(base)
                }
            }),
            (Step::Pause, Event::Paused) => Step::Reread { paused: true },

            (Step::Mark { base }, Event::Written(version)) => {
                let presented = base.presented.saturating_add(1);
                self.keep_lease(View { version, presented, ..base })
            }
            // Whoever changed it may have marked it too.
            (Step::Mark { .. }, Event::Changed) => Step::Reread { paused: false },
            (Step::Mark { .. }, Event::Absent) => over(Conclusion::Gone),

            (Step::KeepLease { base }, Event::Leased) => Step::Send { base },
            // Whoever held it meanwhile may have presented the token.
            (Step::KeepLease { .. }, Event::Retaken) => Step::Reread { paused: false },

            (Step::Send { base }, Event::Tokens) => Step::Persist { base },
            (Step::Send { base }, Event::Refused) if self.rules.recheck => Step::Recheck { base },
            (Step::Send { base }, Event::Refused) => Step::End { base },
            (Step::Send { base }, Event::Failed { unspent: true }) => Step::Unmark { base },
            (Step::Send { .. }, Event::Failed { unspent: false }) | (Step::Unmark { .. }, _) => {
                if self.rules.remember {
                    Step::Remember
                } else {
                    over(Conclusion::Failed)
                }
            }
            (Step::Remember, _) => over(Conclusion::Failed),

            (Step::Persist { .. }, Event::Written(_)) => over(Conclusion::Refreshed),
            (Step::Persist { base }, Event::Changed) if self.rules.merge => Step::Merge { base },
            (Step::Persist { .. }, Event::Changed) => over(Conclusion::Moved),
            (Step::Persist { .. }, Event::Absent) => over(Conclusion::Gone),
            // A result is kept until it can be written, lease or no lease.
            (Step::Persist { .. } | Step::Merge { .. }, Event::Fault) if self.rules.insist => step,
            (Step::Merge { .. }, Event::Read(None)) => over(Conclusion::Gone),
            (Step::Merge { base }, Event::Read(Some(record))) => {
                if record.version == self.mine {
                    over(Conclusion::Refreshed)
                } else if record.generation <= base.generation {
                    Step::Persist { base: record }
                } else {
                    over(Conclusion::Moved)
                }
            }

            // Whoever has written it has a newer key or version, and goes on with the session.
            (Step::Merge { .. } | Step::Recheck { .. }, Event::Foreign) => over(Conclusion::Moved),
            (Step::Recheck { .. }, Event::Read(None)) => over(Conclusion::Gone),
            (Step::Recheck { base }, Event::Read(Some(record))) => {
                if record.generation > base.generation {
                    over(Conclusion::Moved)
                } else {
                    Step::End { base: record }
                }
            }
            (Step::End { .. }, Event::Written(_) | Event::Absent) => over(Conclusion::Ended),
            (Step::End { base }, Event::Changed) => Step::Recheck { base },
            (Step::Recheck { .. } | Step::End { .. }, Event::Fault) => step,

            (Step::Over(conclusion), _) => over(conclusion),
            _ => over(Conclusion::NotSent),
        }
    }

    fn mark(&self, base: View<V>) -> Step<V> {
        if self.rules.mark { Step::Mark { base } } else { self.keep_lease(base) }
    }

    fn keep_lease(&self, base: View<V>) -> Step<V> {
        if self.rules.keep_lease { Step::KeepLease { base } } else { Step::Send { base } }
    }

    fn unless_newer(
        &self,
        record: Option<View<V>>,
        go_on: impl FnOnce(View<V>) -> Step<V>,
    ) -> Step<V> {
        match record {
            None => Step::Over(Conclusion::Gone),
            Some(record) if record.generation > self.held.generation => {
                Step::Over(Conclusion::Moved)
            }
            Some(record) => go_on(record),
        }
    }
}

/// Whether a record lacks a refresh result: a fail-over has lost it, and it is written again.
pub(crate) const fn lacks(found_generation: u32, result_generation: u32) -> bool {
    found_generation < result_generation
}

impl<V> Step<V> {
    /// Whether a store that fails is asked again until it answers: something is known that must not
    /// be lost.
    pub(crate) const fn is_insistent(&self) -> bool {
        matches!(
            self,
            Self::Persist { .. } | Self::Merge { .. } | Self::Recheck { .. } | Self::End { .. }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELD: View<u8> = View { version: 1, generation: 4, presented: 0 };
    const MINE: u8 = 9;

    fn course(seen: u32) -> Course<u8> {
        Course { held: HELD, seen, mine: MINE, rules: Rules::ALL }
    }

    fn view(version: u8, generation: u32, presented: u32) -> View<u8> {
        View { version, generation, presented }
    }

    /// Takes a course through events and returns where it stands.
    fn after(course: Course<u8>, events: &[Event<u8>]) -> Step<u8> {
        events.iter().fold(course.start(), |step, event| course.next(step, *event))
    }

    /// Store rule 2, in its order.
    #[test]
    fn a_refresh_takes_the_lease_reads_again_marks_checks_the_lease_sends_and_writes() {
        let marked = View { version: 2, presented: 1, ..HELD };
        let table: &[(Event<u8>, Step<u8>)] = &[
            (Event::Leased, Step::Reread { paused: false }),
            (Event::Read(Some(HELD)), Step::Mark { base: HELD }),
            (Event::Written(2), Step::KeepLease { base: marked }),
            (Event::Leased, Step::Send { base: marked }),
            (Event::Tokens, Step::Persist { base: marked }),
            (Event::Written(MINE), Step::Over(Conclusion::Refreshed)),
        ];
        let mut step = course(4).start();
        assert_eq!(step, Step::Lease);
        for (event, expected) in table {
            step = course(4).next(step, *event);
            assert_eq!(step, *expected, "after {event:?}");
        }
    }

    /// Store rules 2, 5, 8: nothing is presented where the session has moved, is gone, or somebody
    /// else is at it; nor without the store.
    #[test]
    fn nothing_is_presented_unless_the_record_is_still_the_same_and_the_lease_ours() {
        use Event::{
            Absent, Barred, Busy, Fault, LeaseLost, Leased, OutOfPatience, Paused, Read, Retaken,
            Written,
        };
        let newer = Read(Some(view(2, 5, 0)));
        let same = Read(Some(HELD));
        for (events, expected) in [
            (&[Leased, newer][..], Conclusion::Moved),
            (&[Leased, Read(None)], Conclusion::Gone),
            (&[Leased, Fault], Conclusion::NotSent),
            (&[Fault], Conclusion::NotSent),
            (&[Barred], Conclusion::Barred),
            (&[Busy, Paused, newer], Conclusion::Moved),
            (&[Busy, Paused, Read(None)], Conclusion::Gone),
            (&[Busy, Paused, same, Barred], Conclusion::Barred),
            (&[Busy, OutOfPatience], Conclusion::OutOfPatience),
            (&[Busy, Paused, Fault], Conclusion::NotSent),
            (&[Leased, same, Fault], Conclusion::NotSent),
            (&[Leased, same, Absent], Conclusion::Gone),
            (&[Leased, same, Written(2), LeaseLost], Conclusion::NotSent),
            (&[Leased, same, Written(2), Retaken, newer], Conclusion::Moved),
            (&[Leased, same, Written(2), Fault], Conclusion::NotSent),
        ] {
            assert_eq!(after(course(4), events), Step::Over(expected), "after {events:?}");
        }
    }

    /// Store rule 6: a mark is waited for, once per mark that is seen.
    #[test]
    fn a_mark_is_given_time_before_the_token_is_presented_again() {
        use Event::{Changed, Leased, Paused, Read};
        let marked = view(2, 4, 1);
        let seen = &[Leased, Read(Some(marked))][..];
        assert_eq!(after(course(4), seen), Step::Pause);
        let again = &[Leased, Read(Some(marked)), Paused, Read(Some(marked))][..];
        assert_eq!(after(course(4), again), Step::Mark { base: marked });
        let kept = &[Leased, Read(Some(marked)), Paused, Read(Some(view(3, 5, 0)))][..];
        assert_eq!(after(course(4), kept), Step::Over(Conclusion::Moved));
        let raced = [again, &[Changed, Read(Some(view(3, 4, 2)))]].concat();
        assert_eq!(after(course(4), &raced), Step::Pause);
    }

    /// Store rule 11.
    #[test]
    fn a_record_that_shows_less_than_was_seen_is_read_again_after_a_pause() {
        use Event::{Paused, Read};
        assert_eq!(after(course(5), &[]), Step::Doubt);
        assert_eq!(after(course(5), &[Paused, Read(Some(HELD))]), Step::Lease);
        let back = &[Paused, Read(Some(view(7, 5, 0)))][..];
        assert_eq!(after(course(5), back), Step::Over(Conclusion::Moved));
    }

    /// Store rules 3 and 4.
    #[test]
    fn a_result_is_written_merged_or_discarded_and_never_given_up() {
        use Event::{Absent, Changed, Fault, Leased, Read, Tokens, Written};
        let sent = &[Leased, Read(Some(HELD)), Written(2), Leased, Tokens][..];
        let marked = view(2, 4, 1);
        for (events, expected) in [
            (&[Fault, Fault][..], Step::Persist { base: marked }),
            (&[Absent], Step::Over(Conclusion::Gone)),
            (&[Changed], Step::Merge { base: marked }),
            (&[Changed, Fault], Step::Merge { base: marked }),
            (&[Changed, Read(Some(view(3, 4, 1)))], Step::Persist { base: view(3, 4, 1) }),
            // A fail-over has brought back an older record: ours is newer.
            (&[Changed, Read(Some(view(8, 3, 0)))], Step::Persist { base: view(8, 3, 0) }),
            (&[Changed, Read(Some(view(3, 5, 0)))], Step::Over(Conclusion::Moved)),
            (&[Changed, Read(None)], Step::Over(Conclusion::Gone)),
            // The answer to our own write was lost.
            (&[Fault, Changed, Read(Some(view(MINE, 5, 0)))], Step::Over(Conclusion::Refreshed)),
        ] {
            assert_eq!(after(course(4), &[sent, events].concat()), expected, "after {events:?}");
        }
    }

    /// Store rule 7, F07.
    #[test]
    fn a_refused_token_ends_the_session_only_where_the_record_is_no_newer() {
        use Event::{Absent, Changed, Fault, Leased, Read, Refused, Written};
        let sent = &[Leased, Read(Some(HELD)), Written(2), Leased, Refused][..];
        let marked = view(2, 4, 1);
        for (events, expected) in [
            (&[Fault][..], Step::Recheck { base: marked }),
            (&[Read(Some(view(3, 5, 0)))], Step::Over(Conclusion::Moved)),
            (&[Read(None)], Step::Over(Conclusion::Gone)),
            (&[Read(Some(marked))], Step::End { base: marked }),
            (&[Read(Some(marked)), Fault], Step::End { base: marked }),
            (&[Read(Some(marked)), Changed], Step::Recheck { base: marked }),
            (&[Read(Some(marked)), Absent], Step::Over(Conclusion::Ended)),
            (&[Read(Some(marked)), Written(2)], Step::Over(Conclusion::Ended)),
        ] {
            assert_eq!(after(course(4), &[sent, events].concat()), expected, "after {events:?}");
        }
    }

    /// Store rule 5: a token that is certainly unspent loses its mark; either way the others learn.
    #[test]
    fn a_failed_attempt_is_remembered_for_all() {
        use Event::{Failed, Fault, Leased, Read, Written};
        let sent = &[Leased, Read(Some(HELD)), Written(2), Leased][..];
        let marked = view(2, 4, 1);
        for (events, expected) in [
            (&[Failed { unspent: true }][..], Step::Unmark { base: marked }),
            (&[Failed { unspent: true }, Written(3)], Step::Remember),
            (&[Failed { unspent: true }, Fault], Step::Remember),
            (&[Failed { unspent: false }], Step::Remember),
            (&[Failed { unspent: false }, Fault], Step::Over(Conclusion::Failed)),
        ] {
            assert_eq!(after(course(4), &[sent, events].concat()), expected, "after {events:?}");
        }
    }
}
