//! What `scripts/instructions.sh --check` lets pass.

#[path = "../benches/budget/mod.rs"]
mod budget;

use self::budget::{Breach, Entry, breaches, read, write};

fn entry(name: &str, instructions: i64) -> Entry {
    Entry { name: name.to_owned(), instructions }
}

/// A regression over 5 % fails, and what two runs may differ by does not.
#[test]
fn a_budget_is_kept_within_five_per_cent_and_never_missed_by_a_few_instructions() {
    for (limit, counted, kept) in [
        (3000, 3000, true),
        (3000, 3150, true),
        (3000, 3151, false),
        (3000, 2850, true),
        (3000, 2849, false),
        (100, 150, true),
        (100, 151, false),
        (0, 50, true),
        (0, -51, false),
    ] {
        let (limits, counts) = ([entry("cached", limit)], [entry("cached", counted)]);
        let found = breaches(&limits, &counts);
        assert_eq!(found.is_empty(), kept, "{counted} with a budget of {limit}: {found:?}");
    }
}

/// A budget that is not lowered with the count lets a later change take it all back.
#[test]
fn a_budget_that_has_become_stale_is_told_of() {
    let (limits, counts) = ([entry("cached", 3000)], [entry("cached", 2000)]);
    let found = breaches(&limits, &counts);
    assert_eq!(found, [Breach::Below(&limits[0], 2000)]);
    assert!(!found[0].is_fatal());
    assert_eq!(
        found[0].to_string(),
        "cached: only 2000 instructions over its floor, the budget of 3000 is stale (-33.3 %)"
    );
}

/// Whoever reads the message knows what to look for.
#[test]
fn what_has_become_dearer_is_told_with_both_figures() {
    let (limits, counts) = ([entry("cached", 2000)], [entry("cached", 3000)]);
    let found = breaches(&limits, &counts);
    assert_eq!(found, [Breach::Above(&limits[0], 3000)]);
    assert!(found[0].is_fatal());
    assert_eq!(
        found[0].to_string(),
        "cached: 3000 instructions over its floor, the budget is 2000 (+50.0 %)"
    );
}

/// No path goes unwatched because nobody has thought of it.
#[test]
fn every_path_has_a_budget_and_every_budget_a_path() {
    let (limits, counts) = ([entry("cached", 2000), entry("gone", 1)], [entry("new", 1)]);
    let found = breaches(&limits, &counts);
    let [cached, gone] = &limits;
    assert_eq!(found, [Breach::NoBudget(&counts[0]), Breach::NoPath(cached), Breach::NoPath(gone)]);
}

/// The file is written by the program that reads it.
#[test]
fn what_is_written_is_read_again() {
    let entries = [entry("cached", 2807), entry("public, stripped", 1810), entry("odd", -3)];
    assert_eq!(read(&write(&entries)).as_deref(), Ok(&entries[..]));
    assert_eq!(read("# of a compiler\n\n").as_deref(), Ok(&[][..]));
    for line in ["cached", "cached many", "7"] {
        assert!(read(line).is_err(), "{line:?} was read");
    }
}
