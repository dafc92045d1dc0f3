//! `RedisStore` against real servers, in good order and in bad.

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use support::{
    Logs, eventually,
    redis::{Authority, Cluster, FaultProxy, Mode, Pair, RedisServer},
};
use tokio::time::timeout;
use tower_lp_auth::{
    RedisConfigError, RedisStore,
    store::{IndexEntry, Lease, Leased, SessionStore, StoreError, StoredRecord, Swap, Version},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// What the layer waits for a read, with the room that a busy machine needs.
const DEADLINE: Duration = Duration::from_secs(5);

fn record(version: u8, content: &str) -> StoredRecord {
    StoredRecord::new(Version::from_bytes([version; 16]), content.to_owned())
}

fn store(url: impl Into<String>) -> RedisStore {
    RedisStore::new(url).unwrap()
}

/// Loads a key until the store answers, within `DEADLINE`.
async fn recovered(store: &RedisStore, key: &str) -> Option<StoredRecord> {
    let loading = async {
        loop {
            match timeout(Duration::from_millis(250), store.load(key)).await {
                Ok(Ok(record)) => return record,
                Ok(Err(_)) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(DEADLINE, loading).await.expect("a store that recovers")
}

async fn keeps_its_promises(store: &RedisStore) {
    let (one, two) = (Version::from_bytes([1; 16]), Version::from_bytes([2; 16]));

    assert_eq!(store.load("record").await.unwrap(), None);
    store.create("record", record(1, "first"), HOUR).await.unwrap();
    let again = store.create("record", record(2, "other"), HOUR).await;
    assert!(matches!(again, Err(StoreError::Taken)), "{again:?}");
    assert_eq!(store.load("record").await.unwrap(), Some(record(1, "first")));

    let second = record(2, "second");
    assert_eq!(store.update("none", one, second.clone(), HOUR).await.unwrap(), Swap::Absent);
    assert_eq!(store.update("record", two, second.clone(), HOUR).await.unwrap(), Swap::Changed);
    assert_eq!(store.update("record", one, second.clone(), HOUR).await.unwrap(), Swap::Done);
    assert_eq!(store.load("record").await.unwrap(), Some(second));

    assert_eq!(store.delete_if("none", one).await.unwrap(), Swap::Absent);
    assert_eq!(store.delete_if("record", one).await.unwrap(), Swap::Changed);
    assert_eq!(store.delete_if("record", two).await.unwrap(), Swap::Done);
    assert_eq!(store.load("record").await.unwrap(), None);
    store.delete("record").await.unwrap();

    let (mine, theirs) = (Lease { owner: [1; 16], note: 7 }, Lease { owner: [2; 16], note: 200 });
    assert_eq!(store.lease("lease", theirs, HOUR).await.unwrap(), Leased::Held);
    match store.lease("lease", mine, HOUR).await.unwrap() {
        Leased::Other { note: 200, left } => assert!(left > HOUR / 2 && left <= HOUR, "{left:?}"),
        other => panic!("{other:?}"),
    }
    let renewed = Lease { note: 0, ..theirs };
    assert_eq!(store.lease("lease", renewed, HOUR).await.unwrap(), Leased::Held);
    let Leased::Other { note: 0, .. } = store.lease("lease", mine, HOUR).await.unwrap() else {
        panic!("the note has not been renewed");
    };
    store.release("lease", mine.owner).await.unwrap();
    assert!(matches!(store.lease("lease", mine, HOUR).await.unwrap(), Leased::Other { .. }));
    store.release("lease", theirs.owner).await.unwrap();
    assert_eq!(store.lease("lease", mine, HOUR).await.unwrap(), Leased::Held);

    assert!(store.index("user").await.unwrap().is_empty());
    let entry = |record: &str, content: &[u8]| IndexEntry {
        record: record.to_owned(),
        content: content.to_vec().into(),
    };
    store.index_add("user", entry("a", b"1"), HOUR).await.unwrap();
    store.index_add("user", entry("b", b"x:\0\xff:\n"), HOUR).await.unwrap();
    store.index_add("user", entry("a", b"2"), HOUR).await.unwrap();
    let mut entries = store.index("user").await.unwrap();
    entries.sort_by(|left, right| left.record.cmp(&right.record));
    assert_eq!(entries, [entry("a", b"2"), entry("b", b"x:\0\xff:\n")]);
    store.index_remove("user", "b").await.unwrap();
    store.index_remove("user", "b").await.unwrap();
    assert_eq!(store.index("user").await.unwrap(), [entry("a", b"2")]);
}

#[tokio::test]
async fn every_verb_does_what_the_trait_says_on_one_server() {
    let server = RedisServer::start().await;
    let store = store(server.url());
    keeps_its_promises(&store).await;
    assert_eq!(store.epoch(), 0, "nothing has been lost");
}

#[tokio::test]
async fn every_verb_does_what_the_trait_says_in_a_cluster() {
    let cluster = Cluster::start().await;
    let mut urls = cluster.urls().into_iter();
    let store = RedisStore::builder(urls.next().unwrap()).cluster(urls).build().unwrap();
    keeps_its_promises(&store).await;
    assert_eq!(store.epoch(), 0, "nothing has been lost");
}

/// D05.
#[tokio::test]
async fn what_is_no_record_is_unreadable_and_can_be_removed() {
    let server = RedisServer::start().await;
    let store = store(server.url());
    for command in [
        &["SET", "key", "short"][..],
        &["RPUSH", "key", "a"],
        &["HSET", "key", "a", "b"],
        &["SET", "key", ""],
    ] {
        let unreadable = StoredRecord::unreadable();
        for by_version in [false, true] {
            server.ask(command).await;
            assert_eq!(store.load("key").await.unwrap(), Some(unreadable.clone()), "{command:?}");
            let taken = store.create("key", record(1, ""), HOUR).await;
            assert!(matches!(taken, Err(StoreError::Taken)), "{command:?}: {taken:?}");
            let other = Version::from_bytes([9; 16]);
            let swap = store.update("key", other, record(1, ""), HOUR).await.unwrap();
            assert_eq!(swap, Swap::Changed, "{command:?}");
            if by_version {
                let swap = store.delete_if("key", unreadable.version()).await.unwrap();
                assert_eq!(swap, Swap::Done, "{command:?}");
            } else {
                store.delete("key").await.unwrap();
            }
            assert_eq!(store.load("key").await.unwrap(), None, "{command:?}");
        }
        // Neither a lease nor an index is kept from its work by what is none.
        server.ask(command).await;
        let lease = Lease { owner: [1; 16], note: 0 };
        assert_eq!(store.lease("key", lease, HOUR).await.unwrap(), Leased::Held, "{command:?}");
        server.ask(&["DEL", "key"]).await;
    }
    server.ask(&["SET", "user", "no index"]).await;
    assert!(store.index("user").await.unwrap().is_empty());
    let entry = IndexEntry { record: "a".to_owned(), content: "1".into() };
    store.index_add("user", entry.clone(), HOUR).await.unwrap();
    assert_eq!(store.index("user").await.unwrap(), [entry]);
}

/// D08 as far as it concerns a store: nothing stays for ever, and nothing goes early.
#[tokio::test]
async fn everything_ends_with_its_time_to_live() {
    let server = RedisServer::start().await;
    let store = store(server.url());
    let version = Version::from_bytes([1; 16]);
    let lease = Lease { owner: [1; 16], note: 0 };
    let entry = |record: &str| IndexEntry { record: record.to_owned(), content: "1".into() };

    store.create("record", record(1, ""), HOUR).await.unwrap();
    store.update("record", version, record(1, ""), 2 * HOUR).await.unwrap();
    store.lease("lease", lease, 2 * HOUR).await.unwrap();
    store.index_add("user", entry("long"), 2 * HOUR).await.unwrap();
    store.index_add("user", entry("short"), HOUR).await.unwrap();
    for key in ["record", "lease", "user"] {
        let left: i64 = redis::from_redis_value(server.ask(&["PTTL", key]).await).unwrap();
        assert!((5_400_000..=7_200_010).contains(&left), "{key}: {left} ms");
    }

    // An entry ends by itself, long before its index.
    store.index_add("user", entry("short"), Duration::from_millis(1)).await.unwrap();
    let ended = async {
        while store.index("user").await.unwrap() != [entry("long")] {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, ended).await.expect("the entry ends");
    let fields: u64 = redis::from_redis_value(server.ask(&["HLEN", "user"]).await).unwrap();
    assert_eq!(fields, 1, "what is over is removed");

    // Zero is over at once.
    let nothing = Duration::ZERO;
    store.update("record", version, record(1, ""), nothing).await.unwrap();
    assert_eq!(store.load("record").await.unwrap(), None);
    store.create("record", record(1, ""), nothing).await.unwrap();
    assert_eq!(store.load("record").await.unwrap(), None);
    assert_eq!(store.lease("lease", lease, nothing).await.unwrap(), Leased::Held);
    store.index_add("user", entry("long"), nothing).await.unwrap();
    let keys: u64 = redis::from_redis_value(server.ask(&["DBSIZE"]).await).unwrap();
    assert_eq!(keys, 0);

    store.create("record", record(1, ""), Duration::MAX).await.unwrap();
    let left: i64 = redis::from_redis_value(server.ask(&["PTTL", "record"]).await).unwrap();
    assert!(left > 0, "{left}");
    let taken = store.create("record", record(1, ""), nothing).await;
    assert!(matches!(taken, Err(StoreError::Taken)), "{taken:?}");
}

/// D17.
#[tokio::test]
async fn a_verb_is_one_command_and_none_of_them_scans() {
    let server = RedisServer::start().await;
    let store = store(server.url());
    keeps_its_promises(&store).await;
    server.ask(&["CONFIG", "RESETSTAT"]).await;
    keeps_its_promises_once_more(&store).await;
    let stats = server.text(&["INFO", "commandstats"]).await;
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.and_then(|line| line.split(['=', ',']).nth(1)).map_or(0, |n| n.parse::<u32>().unwrap())
    };
    assert_eq!((calls("get"), calls("evalsha"), calls("eval")), (1, 2, 0), "{stats}");
    for name in ["keys", "scan", "hscan", "flushdb", "flushall"] {
        assert_eq!(calls(name), 0, "{name}: {stats}");
    }
}

async fn keeps_its_promises_once_more(store: &RedisStore) {
    assert_eq!(store.load("record").await.unwrap(), None);
    store.index("user").await.unwrap();
    store.delete_if("record", Version::from_bytes([1; 16])).await.unwrap();
}
