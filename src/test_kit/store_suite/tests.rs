//! The suite catches stores that break a promise.

mod flawed;

use std::collections::BTreeSet;

use self::flawed::{Flaw, Flawed};
use super::*;
use crate::MemoryStore;

/// Each flaw, and the promise that it breaks (others may break with it).
const FLAWS: &[(Flaw, &str)] = &[
    (Flaw::CutsLongRecords, "a record is loaded as it was stored"),
    (Flaw::DeletingNothingFails, "what is not there is absent, which is no error"),
    (Flaw::CreateOverwrites, "create overwrites nothing"),
    (Flaw::UpdateKeepsContent, "update replaces a record of the version that it names"),
    (Flaw::UpdateIgnoresVersion, "update changes nothing where the version is another"),
    (Flaw::DeleteDoesNothing, "delete removes a record, and its key is free"),
    (Flaw::DeleteIfDoesNothing, "delete_if removes a record of the version that it names"),
    (Flaw::DeleteIfIgnoresVersion, "delete_if changes nothing where the version is another"),
    (Flaw::KeysWithoutCase, "keys are told apart, byte by byte"),
    (Flaw::KeysAreCut, "keys are told apart, byte by byte"),
    (Flaw::DeletesByPattern, "keys are told apart, byte by byte"),
    (Flaw::UnreadableIsAbsent, "what is unreadable is loaded, replaced and deleted like a record"),
    (Flaw::OtherKindFails, "what is under a key and no record can be loaded and deleted"),
    (Flaw::ReadsLag, "reads see every write that was acknowledged"),
    (Flaw::EveryoneHolds, "a lease has one holder"),
    (Flaw::HalfAnOwner, "a lease has one holder"),
    (Flaw::NotesAreLost, "who asks for a held lease learns the note"),
    (Flaw::LeftInSeconds, "who asks for a held lease learns the time left"),
    (Flaw::RenewalKeepsNote, "the holder renews a lease, its note included"),
    (Flaw::EveryoneReleases, "the holder releases a lease, nobody else"),
    (Flaw::NobodyReleases, "the holder releases a lease, nobody else"),
    (Flaw::ListsAHundred, "an index lists a user's entries, and nobody else's"),
    (Flaw::OneIndexForAll, "an index lists a user's entries, and nobody else's"),
    (Flaw::CutsEntries, "an entry is kept as it was added"),
    (Flaw::FirstEntryStays, "an entry that is added again is replaced"),
    (Flaw::RemovesByPrefix, "an entry that is removed is gone, and no other"),
    (Flaw::RecordsStay, "a record ends with its ttl, not before"),
    (Flaw::RecordsEndEarly, "a record ends with its ttl, not before"),
    (Flaw::UpdateKeepsTtl, "update replaces the ttl"),
    (Flaw::LeasesStay, "a lease ends with its ttl, not before"),
    (Flaw::LeasesEndEarly, "a lease ends with its ttl, not before"),
    (Flaw::RenewalKeepsTtl, "a renewal replaces the lease's ttl"),
    (Flaw::EntriesShareATtl, "an index entry ends with its own ttl, not before"),
    (Flaw::EntriesEndEarly, "an index entry ends with its own ttl, not before"),
    (Flaw::AddingAgainKeepsTtl, "an entry that is added again has the new ttl"),
    (Flaw::RefusalProlongs, "a write that is refused leaves the ttl"),
    (Flaw::ZeroIsForever, "a ttl of zero is over at once"),
    (Flaw::MonthsAreRefused, "a ttl may be a year"),
    (Flaw::CreateLooksFirst, "of creates at once one wins"),
    (Flaw::UpdateLooksFirst, "of updates at once one wins"),
    (Flaw::DeleteIfLooksFirst, "of deletions of one version at once one wins"),
    (Flaw::DeleteIfLooksFirst, "of an update and a delete_if at once one wins"),
    (Flaw::LeaseLooksFirst, "of those who ask for a lease at once one gets it"),
    (Flaw::UpdateRevives, "nothing comes back after a deletion"),
    (Flaw::IndexIsRewritten, "entries that are added at once are all there"),
    (Flaw::UpdatesInTwoSteps, "nobody reads half a write"),
    (Flaw::AnswersShift, "a call that is dropped disturbs no other"),
    (Flaw::CreatesInTwoSteps, "a write that is dropped takes effect whole or not at all"),
    (Flaw::SaysWhatWas, "a version that is said at once is the one that load finds"),
    (Flaw::EpochFalls, "the epoch never falls"),
];

/// So many suites run at once: each waits most of the time.
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_flaw_is_caught_under_the_name_of_the_promise_it_breaks() {
    for some in FLAWS.chunks(AT_ONCE) {
        let mut running = JoinSet::new();
        for &(flaw, promise) in some {
            running.spawn(async move { (flaw, promise, caught(flaw).await) });
        }
        while let Some(finished) = running.join_next().await {
            let (flaw, promise, message) = finished.unwrap();
            let named = message.lines().any(|line| line.starts_with(&format!("- {promise}: ")));
            assert!(named, "{flaw:?} was not caught: {message}");
        }
    }
}

/// What the suite says of a store with a flaw.
async fn caught(flaw: Flaw) -> String {
    let store = Flawed::new(MemoryStore::new(2000), flaw);
    let outcome = tokio::spawn(store_suite([store.clone(), store])).await;
    let panic = outcome.err().map(|error| *error.into_panic().downcast::<String>().unwrap());
    panic.unwrap_or_default()
}

#[test]
fn for_each_promise_there_is_a_flaw() {
    let tried: BTreeSet<&str> = CHECKS.iter().map(|check| check.promise).collect();
    let broken: BTreeSet<&str> = FLAWS.iter().map(|(_, promise)| *promise).collect();
    assert_eq!(tried, broken);
    assert_eq!(tried.len(), CHECKS.len(), "two checks of one name");
}

#[tokio::test]
#[should_panic(expected = "store_suite needs a handle on the store")]
async fn a_suite_without_a_store_proves_nothing() {
    store_suite(None::<MemoryStore>).await;
}

/// The store's own panic is told as its breach, and the others are tried all the same.
#[tokio::test]
async fn a_store_that_panics_is_told_so() {
    let message = caught(Flaw::EmptyRecordsPanic).await;
    let lines: Vec<&str> = message.lines().collect();
    assert!(lines[1].starts_with("- a record is loaded as it was stored: task"), "{message}");
    assert!(lines[1].contains("panicked"), "{message}");
}
