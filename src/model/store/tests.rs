use super::{
    flaws::Flaw,
    state::{Budget, Kind, Scenario, State, WorldRules},
};
use crate::{
    model::explore::explore,
    refresh::plan::{Rules, Step},
};

const NONE: Budget = Budget {
    kills: 0,
    faults: 0,
    stalls: 0,
    freezes: 0,
    unknown: 0,
    unspent: 0,
    logouts: 0,
    touches: 0,
    failovers: 0,
    outages: 0,
};
const WORLD: WorldRules =
    WorldRules { update_if_version: true, delete_if_version: true, catch_up: true, excuses: true };

/// Two requests at each of two instances.
fn two(budget: Budget) -> Scenario {
    Scenario::new(2, budget).tries(2)
}

/// One request at each of three instances.
fn three(budget: Budget) -> Scenario {
    Scenario::new(3, budget)
}

fn is_refreshed(state: &State) -> bool {
    state.store.record.is_some_and(|record| record.generation == 1)
}

/// Store rules 2, 3, 8.
#[test]
fn one_session_is_refreshed_once_by_any_number_of_instances() {
    for (what, scenario) in [
        ("three instances", three(NONE)),
        ("two requests each", two(NONE)),
        ("activity beside it", two(Budget { touches: 2, ..NONE })),
        ("a sentinel that does not rotate", three(NONE).at(Kind::Steady)),
    ] {
        let explored = explore(&scenario);
        explored.holds(what).comes_to("a refresh", is_refreshed);
        explored.comes_to("somebody who waits", |state| {
            state.flights().any(|flight| flight.step == Step::FollowRead)
        });
    }
}

/// Store rules 2, 4, 5, 6.
#[test]
fn nothing_is_lost_to_a_store_that_fails_or_to_holders_that_stop() {
    let outage = Budget { outages: 1, ..NONE };
    for (what, scenario) in [
        ("calls that are not answered", two(Budget { faults: 2, ..NONE })),
        ("one of them beside activity", two(Budget { faults: 1, touches: 1, ..NONE })),
        ("an outage", two(outage)),
        ("an outage beside activity", two(Budget { touches: 1, ..outage })),
        ("an outage with three instances", three(outage)),
        ("two holders killed", three(Budget { kills: 2, ..NONE })),
        ("holders that stand still", two(Budget { stalls: 2, ..NONE })),
        ("a holder that stands still for long", two(Budget { freezes: 1, ..NONE })),
        ("attempts that spend nothing", three(Budget { unspent: 2, ..NONE })),
        ("attempts with unknown outcome", three(Budget { unknown: 2, ..NONE })),
    ] {
        explore(&scenario).holds(what).comes_to("a refresh", is_refreshed);
    }
}

/// Store rule 10: nothing comes back from the dead.
#[test]
fn a_logout_is_final_whatever_happens_beside_it() {
    let logout = Budget { logouts: 1, ..NONE };
    for (what, scenario) in [
        ("a refresh", three(logout)),
        ("activity", two(Budget { touches: 1, ..logout })),
        ("a call that is not answered", two(Budget { faults: 1, ..logout })),
        ("an outage", two(Budget { outages: 1, ..logout })),
        ("a kill and activity", two(Budget { kills: 1, touches: 1, ..logout })),
        ("a fail-over", two(Budget { failovers: 1, ..logout })),
    ] {
        let explored = explore(&scenario);
        explored.holds(what).comes_to("its end", |state| state.past.deleted);
        explored.comes_to("a result that is discarded", |state| {
            let has_result = state.flights().any(|flight| flight.result.is_some());
            has_result && state.past.deleted
        });
    }
}

/// Store rule 11.
#[test]
fn what_a_fail_over_has_lost_is_written_again_or_waited_for() {
    let failover = Budget { failovers: 1, ..NONE };
    for (what, scenario) in [
        ("two instances", two(failover)),
        ("three requests each", Scenario::new(2, failover).tries(3)),
        ("three instances", three(failover)),
        ("activity beside it", two(Budget { touches: 1, ..failover })),
    ] {
        let explored = explore(&scenario);
        explored.holds(what).comes_to("a refresh", is_refreshed);
        explored.comes_to("a fail-over after a refresh", |state| {
            state.past.failed_over && state.instances.iter().any(|it| it.wrote.is_some())
        });
    }
}

/// Store rule 6: within Sentinel's grace for a spent token a killed holder costs nothing.
#[test]
fn with_grace_a_killed_holder_does_not_sign_anybody_out() {
    let world = WorldRules { excuses: false, ..WORLD };
    for (what, kills) in [("one", 1), ("two", 2)] {
        let scenario = three(Budget { kills, ..NONE }).in_world(world);
        explore(&scenario.at(Kind::Grace)).holds(what);
        explore(&scenario).breaks("without grace", Flaw::RotationLost);
    }
}

/// Store rules 1 to 7 and 11: what each of them prevents.
#[test]
fn without_any_one_rule_of_a_refresh_the_session_is_lost() {
    let all = Rules::ALL;
    let activity = Budget { touches: 1, ..NONE };
    let outage = Budget { outages: 1, ..NONE };
    let freeze = two(Budget { freezes: 1, ..NONE });
    for (rule, scenario, rules, flaw) in [
        (
            "2: read again under the lease",
            two(outage),
            Rules { reread: false, ..all },
            Flaw::PresentedAgain,
        ),
        ("2: mark", two(outage), Rules { mark: false, ..all }, Flaw::PresentedAgain),
        (
            "2: read again, and mark",
            two(NONE),
            Rules { reread: false, mark: false, ..all },
            Flaw::PresentedAgain,
        ),
        ("2: check the lease", freeze, Rules { keep_lease: false, ..all }, Flaw::PresentedAgain),
        ("3: merge", two(activity), Rules { merge: false, ..all }, Flaw::RotationLost),
        ("4: keep the result", two(outage), Rules { insist: false, ..all }, Flaw::RotationLost),
        (
            "5: remember for all",
            two(Budget { unspent: 1, ..NONE }),
            Rules { remember: false, ..all },
            Flaw::PresentedInHaste,
        ),
        (
            "6: pause at a mark",
            two(outage),
            Rules { pause_at_mark: false, ..all },
            Flaw::PresentedAgain,
        ),
        (
            "11: doubt",
            two(Budget { failovers: 1, ..NONE }).at(Kind::Strict),
            Rules { doubt: false, ..all },
            Flaw::PresentedAgain,
        ),
    ] {
        explore(&scenario).holds(rule);
        explore(&scenario.with(rules)).breaks(rule, flaw);
    }
}

/// Store rules 1, 7, 11: the same for what the store and the process do around a refresh.
#[test]
fn without_any_one_rule_around_a_refresh_the_session_is_lost() {
    let freeze = two(Budget { freezes: 1, ..NONE }).at(Kind::Refusing);
    let no_recheck = Rules { recheck: false, ..Rules::ALL };
    let unconditional = WorldRules { delete_if_version: false, ..WORLD };
    for (rule, with, without, flaw) in [
        (
            "1: update if version",
            two(Budget { touches: 1, ..NONE }),
            two(Budget { touches: 1, ..NONE })
                .in_world(WorldRules { update_if_version: false, ..WORLD }),
            Flaw::WriteLost,
        ),
        ("7: delete if version", freeze, freeze.in_world(unconditional), Flaw::EndedGood),
        (
            "7: read again, delete if version",
            freeze,
            freeze.with(no_recheck).in_world(unconditional),
            Flaw::EndedGood,
        ),
        (
            "11: repeat a deletion",
            two(Budget { failovers: 1, logouts: 1, ..NONE }),
            two(Budget { failovers: 1, logouts: 1, ..NONE })
                .in_world(WorldRules { catch_up: false, ..WORLD }),
            Flaw::BackFromTheDead,
        ),
    ] {
        explore(&with).holds(rule);
        explore(&without).breaks(rule, flaw);
    }
}
