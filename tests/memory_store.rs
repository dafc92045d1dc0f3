//! `MemoryStore` from outside.

use std::{thread, time::Duration};

use futures_util::FutureExt;
use tower_lp_auth::{
    BoxFuture, MemoryStore,
    store::{IndexEntry, Lease, Leased, SessionStore, StoreError, StoredRecord, Swap, Version},
    test_kit::{ManualClock, store_suite},
};

const MINUTE: Duration = Duration::from_secs(60);

fn record(number: u8) -> StoredRecord {
    StoredRecord::new(Version::from_bytes([number; 16]), vec![number; 300])
}

fn lease(number: u8) -> Lease {
    Lease { owner: [number; 16], note: number }
}

fn entry(record: &str) -> IndexEntry {
    IndexEntry { record: record.to_owned(), content: "sealed".into() }
}

/// A store in this process has its answer at once.
#[track_caller]
fn now<T>(verb: BoxFuture<'_, T>) -> T {
    verb.now_or_never().expect("no verb waits")
}

/// Every promise of a store, seen through two handles.
#[tokio::test]
async fn every_promise_is_kept_on_one_thread() {
    let store = MemoryStore::new(1000);
    store_suite([store.clone(), store]).await;
}

/// Every promise of a store, with calls that truly run at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_promise_is_kept_on_several_threads() {
    store_suite([MemoryStore::new(1000)]).await;
}

/// Store rule 12.
#[test]
fn a_full_store_refuses_what_is_new_and_keeps_what_it_has() {
    let store = MemoryStore::with_clock(200, ManualClock::new());
    let key = |number: u8| format!("key-{number}");
    for number in 0..200 {
        now(store.create(&key(number), record(number), MINUTE)).unwrap();
        assert_eq!(now(store.lease(&key(number), lease(number), MINUTE)).unwrap(), Leased::Held);
        now(store.index_add("user", entry(&key(number)), MINUTE)).unwrap();
    }
    let refused = [
        now(store.create("new", record(0), MINUTE)).unwrap_err(),
        now(store.lease("new", lease(0), MINUTE)).unwrap_err(),
        now(store.index_add("user", entry("new"), MINUTE)).unwrap_err(),
        now(store.index_add("another", entry("new"), MINUTE)).unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, StoreError::Full), "{error:?}");
    }
    assert!(matches!(now(store.create(&key(7), record(8), MINUTE)), Err(StoreError::Taken)));
    for number in 0..200 {
        assert_eq!(now(store.load(&key(number))).unwrap(), Some(record(number)), "{number}");
        // Whoever is in goes on as ever.
        let version = record(number).version();
        let swap = now(store.update(&key(number), version, record(number), MINUTE));
        assert_eq!(swap.unwrap(), Swap::Done, "{number}");
        assert_eq!(now(store.lease(&key(number), lease(number), MINUTE)).unwrap(), Leased::Held);
        now(store.index_add("user", entry(&key(number)), MINUTE)).unwrap();
    }
    assert_eq!(now(store.index("user")).unwrap().len(), 200);
    now(store.delete(&key(0))).unwrap();
    now(store.create("new", record(0), MINUTE)).unwrap();
    assert!(matches!(now(store.create("newer", record(0), MINUTE)), Err(StoreError::Full)));
}

/// Only the monotonic clock counts.
#[test]
fn everything_ends_at_its_ttl_to_the_moment() {
    let clock = ManualClock::new();
    let store = MemoryStore::with_clock(10, clock.clone());
    now(store.create("key", record(1), MINUTE)).unwrap();
    now(store.lease("key", lease(1), MINUTE)).unwrap();
    now(store.index_add("user", entry("key"), MINUTE)).unwrap();
    now(store.index_add("user", entry("longer"), 2 * MINUTE)).unwrap();
    clock.jump_wall_forward(60 * MINUTE);
    clock.advance(MINUTE - Duration::from_millis(1));
    clock.jump_wall_backward(120 * MINUTE);
    assert_eq!(now(store.load("key")).unwrap(), Some(record(1)));
    let left = Duration::from_millis(1);
    assert_eq!(now(store.lease("key", lease(2), MINUTE)).unwrap(), Leased::Other { note: 1, left });
    assert_eq!(now(store.index("user")).unwrap().len(), 2);
    clock.advance(left);
    assert_eq!(now(store.load("key")).unwrap(), None);
    assert_eq!(now(store.lease("key", lease(2), MINUTE)).unwrap(), Leased::Held);
    assert_eq!(now(store.index("user")).unwrap(), [entry("longer")]);
}

/// However many ask: the number of records is exact, and each place is given once.
#[test]
fn threads_at_once_fill_a_store_to_its_limit_and_no_further() {
    const THREADS: usize = 8;
    const EACH: usize = 500;
    const ROOM: usize = 1500;
    let store = MemoryStore::new(ROOM);
    let fill = |thread: usize| {
        (0..EACH)
            .filter(|n| match now(store.create(&format!("{thread}-{n}"), record(1), MINUTE)) {
                Ok(()) => true,
                Err(StoreError::Full) => false,
                Err(error) => panic!("{error:?}"),
            })
            .count()
    };
    let count_all = |work: &(dyn Fn(usize) -> usize + Sync)| -> usize {
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || work(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        })
    };
    assert_eq!(count_all(&fill), ROOM);
    let loaded = count_all(&|thread| {
        let there = |n: &usize| now(store.load(&format!("{thread}-{n}"))).unwrap().is_some();
        (0..EACH).filter(there).count()
    });
    assert_eq!(loaded, ROOM);
    count_all(&|thread| {
        (0..EACH).for_each(|n| now(store.delete(&format!("{thread}-{n}"))).unwrap());
        EACH
    });
    assert_eq!(count_all(&fill), ROOM, "after all were deleted");
}

/// Several layers can have one store.
#[test]
fn clones_share_their_content() {
    let store = MemoryStore::default();
    now(store.clone().create("key", record(1), MINUTE)).unwrap();
    assert_eq!(now(store.load("key")).unwrap(), Some(record(1)));
    assert!(store.stays_in_process());
    assert_eq!(store.epoch(), 0);
}

/// A future that nobody polls does nothing.
#[test]
fn a_verb_takes_effect_when_it_is_polled() {
    let store = MemoryStore::new(1);
    drop(store.create("key", record(1), MINUTE));
    assert_eq!(now(store.load("key")).unwrap(), None);
}
