use super::*;
use crate::{
    refresh::{Lifetimes, Schedule},
    session::{Pair, Session, WIDEST_JUMP, tests::sample},
};

const LIMITS: LedgerLimits = LedgerLimits { entries: 4, results: 3 };

fn opened(session: Session) -> Arc<Opened> {
    let lifetimes = Lifetimes {
        idle: Duration::from_secs(8 * 3600),
        absolute: Duration::from_secs(24 * 3600),
        refresh_after: Duration::from_secs(1800),
    };
    let schedule = Schedule::new(&session, &lifetimes);
    Arc::new(Opened { session, schedule, current_key: true, stored: None })
}

fn hold(ledger: &Ledger, session: &Session) -> Held {
    ledger.hold(opened(session.clone()), session.times.authenticated_at, || Duration::ZERO)
}

fn refreshed(session: &Session) -> Session {
    Session { pair: session.pair.refreshed(), ..session.clone() }
}

fn resealed(session: &Session) -> Session {
    Session { pair: session.pair.resealed(), ..session.clone() }
}

fn keep(ledger: &Ledger, held: &Held, session: Session) {
    ledger.keep(&held.track, &mut held.track.lock(), opened(session), None);
    ledger.trim_results();
}

#[test]
fn all_who_hold_a_session_share_one_track() {
    let ledger = Ledger::new(LIMITS);
    let session = sample();
    let (first, second) = (hold(&ledger, &session), hold(&ledger, &refreshed(&session)));
    assert!(Arc::ptr_eq(&first.track, &second.track));
    assert!(matches!(ledger.end(&first.track), Ending::Now(_)));
    assert_eq!(second.track.phase(), Phase::Ended);
    assert!(matches!(ledger.end(&second.track), Ending::Before), "it ends once");
}

/// Sealed rule 7: a logout drops the result.
#[test]
fn an_end_takes_the_newest_tokens_with_it() {
    let ledger = Ledger::new(LIMITS);
    let session = sample();
    let held = hold(&ledger, &session);
    keep(&ledger, &held, refreshed(&session));
    let Ending::Now(newest) = ledger.end(&held.track) else { panic!() };
    assert_eq!(newest.expect("a result was kept").session.pair.generation, 1);
    assert!(held.track.lock().result.is_none());
}

/// An ended session stays ended although its cookie is opened again and again.
#[test]
fn an_end_is_remembered_without_anybody_holding_it() {
    let ledger = Ledger::new(LIMITS);
    let session = sample();
    ledger.end(&hold(&ledger, &session).track);
    let later = session.times.absolute_end.minus(Duration::from_secs(1));
    let again = ledger.hold(opened(session.clone()), later, || Duration::from_secs(3600));
    assert_eq!(again.track.phase(), Phase::Ended);
}

#[test]
fn what_nobody_holds_and_nothing_happened_to_is_swept() {
    let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 3 });
    let changed = sample();
    ledger.end(&hold(&ledger, &changed).track);
    let held = hold(&ledger, &sample());
    for _ in 0..500 {
        drop(hold(&ledger, &sample()));
    }
    assert_eq!(tracks(&ledger), 502);
    let later = changed.times.authenticated_at.plus(SWEEP_EVERY);
    for _ in 0..502_usize.div_ceil(SWEEP_STEP) {
        let before = tracks(&ledger);
        ledger.hold(Arc::clone(&held.opened), later, || SWEEP_EVERY);
        assert!(before - tracks(&ledger) <= SWEEP_STEP, "one call did the work of many");
    }
    assert_eq!(tracks(&ledger), 2);
    assert_eq!(ledger.evictions(), (0, 0));
}

/// With few calls a sweep takes long, and comes to an end.
#[test]
fn a_sweep_comes_to_its_end_however_rare_the_calls() {
    let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 3 });
    let held = hold(&ledger, &sample());
    for _ in 0..500 {
        drop(hold(&ledger, &sample()));
    }
    let mut now = held.opened.session.times.authenticated_at.plus(SWEEP_EVERY);
    for _ in 0..501_usize.div_ceil(SWEEP_STEP) {
        ledger.hold(Arc::clone(&held.opened), now, || SWEEP_EVERY);
        now = now.plus(Duration::from_secs(4));
    }
    assert_eq!(tracks(&ledger), 1);
}

/// However many sessions come, what nobody holds and nothing happened to makes room for them: nobody
/// looks at all entries, and what is held or has changed stays.
#[test]
fn more_sessions_than_entries_displace_none_that_is_held_or_changed() {
    let ledger = Ledger::new(LedgerLimits { entries: 100, results: 3 });
    let kept: Vec<_> = (0..50).map(|_| hold(&ledger, &sample())).collect();
    for held in &kept[..25] {
        ledger.end(&held.track);
    }
    for _ in 0..10_000 {
        drop(hold(&ledger, &sample()));
        assert!(tracks(&ledger) <= 100);
    }
    assert!(kept.iter().all(|held| held.track.phase() != Phase::Dropped));
    assert_eq!(ledger.evictions(), (0, 0));
}

/// A wall clock that was wrong brings sweeps forward and never keeps them off.
#[test]
fn a_clock_that_is_set_back_does_not_keep_sweeps_off() {
    let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 3 });
    let held = hold(&ledger, &sample());
    drop(hold(&ledger, &sample()));
    for (at, left) in [(WIDEST_JUMP, 1), (Duration::ZERO, 1)] {
        let now = held.opened.session.times.authenticated_at.plus(at);
        ledger.hold(Arc::clone(&held.opened), now, || Duration::ZERO);
        assert_eq!(tracks(&ledger), left, "at {at:?}");
        drop(ledger.hold(opened(sample()), now, || Duration::ZERO));
    }
}

fn tracks(ledger: &Ledger) -> usize {
    ledger.shards.iter().map(|shard| lock(shard).tracks.len()).sum()
}

#[test]
fn when_full_unchanged_sessions_go_first_then_the_one_nearest_its_end() {
    let ledger = Ledger::new(LIMITS);
    let sessions: Vec<_> = (0..6u64)
        .map(|n| {
            let mut session = sample();
            let end = session.times.absolute_end;
            session.times.absolute_end = end.plus(Duration::from_secs(n));
            session
        })
        .collect();
    let held: Vec<_> = sessions[..3].iter().map(|session| hold(&ledger, session)).collect();
    for held in &held {
        ledger.end(&held.track);
    }
    let unchanged = hold(&ledger, &sessions[3]);
    let newcomer = hold(&ledger, &sessions[4]);
    assert_eq!(unchanged.track.phase(), Phase::Dropped);
    assert!(matches!(ledger.end(&unchanged.track), Ending::NotHere), "nobody would learn of it");
    assert_eq!(ledger.evictions(), (0, 0), "nothing was lost with it");
    ledger.end(&newcomer.track);
    drop(hold(&ledger, &sessions[5]));
    assert_eq!(ledger.evictions(), (1, 0));
    let known = |session| ledger.shard(SessionId::random()).tracks.contains_key(session);
    assert!(!known(&sessions[0].id) && known(&sessions[1].id) && known(&sessions[4].id));
    assert_eq!(held[0].track.phase(), Phase::Ended, "an ended session is never revived");
}

#[test]
fn presented_results_give_way_before_the_oldest_unpresented() {
    let ledger = Ledger::new(LIMITS);
    let holds: Vec<_> = (0..4).map(|_| hold(&ledger, &sample())).collect();
    for (index, held) in holds.iter().enumerate() {
        if index == 2 {
            ledger.note_presented(&mut holds[1].track.lock());
        }
        keep(&ledger, held, refreshed(&held.opened.session));
    }
    let has_result = holds.iter().map(|held| held.track.lock().result.is_some());
    assert_eq!(has_result.collect::<Vec<_>>(), [true, false, true, true]);
    assert_eq!(ledger.evictions(), (0, 1));
    keep(&ledger, &holds[1], refreshed(&refreshed(&holds[1].opened.session)));
    assert!(holds[0].track.lock().result.is_none(), "then the oldest");
}

#[test]
fn of_presented_results_the_oldest_gives_way_first() {
    let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 3 });
    let holds: Vec<_> = (0..6).map(|_| hold(&ledger, &sample())).collect();
    let keep = |held: &Held| keep(&ledger, held, refreshed(&held.opened.session));
    holds[..3].iter().for_each(keep);
    for index in [2, 1] {
        ledger.note_presented(&mut holds[index].track.lock());
    }
    let has_result = |held: &Held| held.track.lock().result.is_some();
    for gone in [1, 2, 0] {
        let next = holds.iter().skip(3).find(|held| !has_result(held)).expect("one without");
        keep(next);
        assert!(!has_result(&holds[gone]), "{gone}");
    }
    assert_eq!(holds.iter().filter(|held| has_result(held)).count(), 3);
}

#[test]
fn for_a_result_that_was_replaced_no_other_gives_way() {
    for is_presented in [false, true] {
        let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 3 });
        let holds: Vec<_> = (0..3).map(|_| hold(&ledger, &sample())).collect();
        for held in &holds[..2] {
            keep(&ledger, held, refreshed(&held.opened.session));
            if is_presented {
                ledger.note_presented(&mut held.track.lock());
            }
        }
        keep(&ledger, &holds[1], refreshed(&refreshed(&holds[1].opened.session)));
        keep(&ledger, &holds[2], refreshed(&holds[2].opened.session));
        assert_eq!(ledger.evictions(), (0, 0), "presented: {is_presented}");
    }
}

/// A result that is gone for another reason frees nothing twice, and none is lost while there is room.
#[test]
fn results_that_are_dropped_or_replaced_count_no_longer() {
    let ledger = Ledger::new(LedgerLimits { entries: 1000, results: 64 });
    let holds: Vec<_> = (0..64).map(|_| hold(&ledger, &sample())).collect();
    for round in 0..3 {
        for held in &holds {
            let newest = held.track.lock().result.as_ref().map(|result| result.opened.clone());
            let newest = newest.unwrap_or_else(|| held.opened.clone());
            keep(&ledger, held, refreshed(&newest.session));
        }
        for held in &holds[..round] {
            ledger.drop_result(&mut held.track.lock());
        }
    }
    assert_eq!(ledger.evictions(), (0, 0));
    let newcomers: Vec<_> = (0..3).map(|_| hold(&ledger, &sample())).collect();
    for newcomer in &newcomers[..2] {
        keep(&ledger, newcomer, refreshed(&newcomer.opened.session));
    }
    assert_eq!(ledger.evictions(), (0, 0), "two places were free");
    keep(&ledger, &newcomers[2], refreshed(&newcomers[2].opened.session));
    assert_eq!(ledger.evictions(), (0, 1));
    let has_result = |held: &Held| held.track.lock().result.is_some();
    assert!(
        !has_result(&holds[2]) && holds[3..].iter().chain(&newcomers).all(has_result),
        "the oldest has gone"
    );
}

#[test]
fn a_higher_pair_forgets_failures_of_the_lower_generation() {
    let ledger = Ledger::new(LIMITS);
    let session = sample();
    let held = hold(&ledger, &session);
    let mut known = held.track.lock();
    known.attempts =
        Some(super::super::Attempts { not_before: Duration::from_secs(9), unknown: 2 });
    held.track.adopt(&mut known, &opened(resealed(&session)));
    assert!(known.attempts.is_some());
    held.track.adopt(&mut known, &opened(refreshed(&session)));
    assert!(known.attempts.is_none());
    assert!(held.track.is_highest(Pair { generation: 1, sequence: 0 }));
}

/// An entry that a stream relies on stays, so that the stream learns of a logout; without a stream
/// it is one like any other.
#[test]
fn a_session_that_is_watched_does_not_give_way() {
    let ledger = Ledger::new(LIMITS);
    let watched = hold(&ledger, &sample());
    let signal = watched.track.lock().watch();
    // All are held, for what nobody holds gives way first. Which of several equals does is chance: so
    // many leave none to it.
    let fill = || (0..50 * LIMITS.entries).map(|_| hold(&ledger, &sample())).collect::<Vec<_>>();
    drop(fill());
    assert_eq!(watched.track.phase(), Phase::Live);
    assert!(matches!(ledger.end(&hold(&ledger, &watched.opened.session).track), Ending::Now(_)));
    assert!(signal.has_changed().unwrap(), "whoever watches is told");

    let unwatched = hold(&ledger, &sample());
    drop(unwatched.track.lock().watch());
    drop(fill());
    assert_eq!(unwatched.track.phase(), Phase::Dropped);
}
