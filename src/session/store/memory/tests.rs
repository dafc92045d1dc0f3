use std::{sync::mpsc, thread};

use bytes::Bytes;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A clock without a wall clock.
#[derive(Clone, Debug, Default)]
struct Hand(Arc<std::sync::Mutex<Duration>>);

impl Hand {
    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Hand {
    fn now(&self) -> std::time::SystemTime {
        panic!("lives go by the monotonic reading")
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

fn store_of(max_sessions: usize) -> (MemoryStore, Hand) {
    let clock = Hand::default();
    (MemoryStore::with_clock(max_sessions, clock.clone()), clock)
}

fn record(content: &'static [u8]) -> StoredRecord {
    StoredRecord::new(Version::random(), content)
}

fn counts(store: &MemoryStore) -> [usize; 3] {
    let room = &store.inner.room;
    [room.records.taken(), room.leases.taken(), room.entries.taken()]
}

/// Everything that has a limit, written once.
fn write_all(store: &MemoryStore, name: &str, ttl: Duration) -> [Result<(), StoreError>; 3] {
    let entry = IndexEntry { record: name.to_owned(), content: Bytes::new() };
    let lease = Lease { owner: [1; 16], note: 0 };
    let inner = &store.inner;
    [
        inner.create(name, record(b"content"), ttl),
        inner.lease(name, lease, ttl).map(drop),
        inner.index_add(name, &entry, ttl),
    ]
}

#[track_caller]
fn assert_written(store: &MemoryStore, name: &str, ttl: Duration) {
    for (outcome, kind) in write_all(store, name, ttl).into_iter().zip(["record", "lease", "entry"])
    {
        assert!(outcome.is_ok(), "{kind} {name}: {outcome:?}");
    }
}

/// What is over is gone before anything is refused, whatever shard it is in.
#[test]
fn a_flood_of_what_is_over_does_not_count_as_full() {
    let (store, clock) = store_of(1000);
    for wave in 0..3 {
        for n in 0..1000 {
            assert_written(&store, &format!("{wave}-{n}"), MINUTE);
        }
        assert_eq!(counts(&store), [1000; 3]);
        for outcome in write_all(&store, "more", MINUTE) {
            assert!(matches!(outcome, Err(StoreError::Full)), "{outcome:?}");
        }
        clock.advance(MINUTE);
    }
}

/// A shard whose first end has been put off is looked at again, and only what is over goes.
#[test]
fn what_lives_longer_stays_when_the_rest_is_over() {
    let (store, clock) = store_of(100);
    for n in 0..100 {
        assert_written(&store, &n.to_string(), MINUTE);
    }
    let kept = store.inner.load("7").unwrap();
    assert_eq!(store.inner.update("7", kept.version(), kept.clone(), 9 * MINUTE), Swap::Done);
    clock.advance(MINUTE);
    for n in 0..99 {
        assert_written(&store, &format!("new-{n}"), MINUTE);
    }
    assert_eq!(store.inner.load("7"), Some(kept));
    assert!(matches!(store.inner.create("x", record(b""), MINUTE), Err(StoreError::Full)));
}

/// Writes go round the shards: what is over does not wait for its key to be asked for.
#[test]
fn writes_clear_away_what_is_over() {
    let (store, clock) = store_of(50_000);
    for n in 0..5000 {
        assert_written(&store, &n.to_string(), MINUTE);
    }
    clock.advance(MINUTE);
    for _ in 0..store.inner.shards.len() {
        store.inner.delete("nothing");
    }
    assert_eq!(counts(&store), [0; 3]);
}

#[test]
fn reading_what_is_over_removes_it() {
    let (store, clock) = store_of(10);
    store.inner.create("key", record(b"content"), MINUTE).unwrap();
    clock.advance(MINUTE - Duration::from_nanos(1));
    assert!(store.inner.load("key").is_some(), "gone before its time");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(store.inner.load("key"), None);
    assert_eq!(counts(&store), [0; 3]);
}

/// Each way in has its way out: nothing is counted for good.
#[test]
fn what_is_removed_gives_its_place_back() {
    let (store, _) = store_of(1);
    let inner = &store.inner;
    for _ in 0..3 {
        assert_written(&store, "key", MINUTE);
        assert_eq!(counts(&store), [1; 3]);
        assert!(matches!(inner.create("key", record(b""), MINUTE), Err(StoreError::Taken)));
        let version = inner.load("key").unwrap().version();
        assert_eq!(inner.delete_if("key", version), Swap::Done);
        inner.delete("key");
        inner.release("key", [1; 16]);
        inner.release("key", [1; 16]);
        inner.index_remove("key", "key");
        inner.index_remove("key", "key");
        assert_eq!(counts(&store), [0; 3]);
    }
    assert_written(&store, "key", MINUTE);
    let current = inner.load("key").unwrap();
    assert_eq!(inner.update("key", current.version(), current, Duration::ZERO), Swap::Done);
    inner.lease("key", Lease { owner: [1; 16], note: 0 }, Duration::ZERO).unwrap();
    let entry = IndexEntry { record: "key".to_owned(), content: Bytes::new() };
    inner.index_add("key", &entry, Duration::ZERO).unwrap();
    assert_eq!(counts(&store), [0; 3]);
}

/// A shard that somebody works in keeps nobody else waiting.
#[test]
fn a_locked_shard_does_not_hold_up_the_others() {
    let (store, clock) = store_of(100);
    let other_shard = |key: &str, than: &str| {
        let at = |key| store.inner.spread.hash_one(key) % store.inner.shards.len() as u64;
        at(key) != at(than)
    };
    let elsewhere = (0..).map(|n| n.to_string()).find(|key| other_shard(key, "busy")).unwrap();
    store.inner.create("busy", record(b""), MINUTE).unwrap();
    clock.advance(MINUTE);
    let busy = store.inner.open("busy", store.inner.now());
    let (done, is_done) = mpsc::channel();
    let worker = thread::spawn({
        let store = store.clone();
        move || {
            for _ in 0..store.inner.shards.len() {
                assert_written(&store, &elsewhere, MINUTE);
                assert!(store.inner.load(&elsewhere).is_some());
                store.inner.delete(&elsewhere);
                store.inner.release(&elsewhere, [1; 16]);
            }
            done.send(()).unwrap();
        }
    });
    let in_time = is_done.recv_timeout(Duration::from_secs(20));
    drop(busy);
    worker.join().unwrap();
    assert_eq!(in_time, Ok(()), "waited for another shard's lock");
}

#[test]
fn a_record_keeps_no_larger_buffer_alive() {
    let (store, _) = store_of(1);
    let buffer = Bytes::from(vec![7; 4096]);
    let content = buffer.slice(..16);
    store.inner.create("key", StoredRecord::new(Version::random(), content), MINUTE).unwrap();
    assert!(buffer.is_unique(), "the store shares the buffer");
    assert_eq!(store.inner.load("key").unwrap().content()[..], [7; 16]);
}

#[test]
fn debug_shows_counts_and_nothing_else() {
    let (store, _) = store_of(10);
    store.inner.create("canary-key", record(b"canary"), MINUTE).unwrap();
    let text = format!("{store:?}");
    assert_eq!(
        text,
        "MemoryStore { records: 1, leases: 0, index_entries: 0, max_sessions: 10, .. }"
    );
}
