//! `RedisStore` against real servers, in good order and in bad.

mod support;

use std::time::Duration;

use support::redis::{Cluster, RedisServer};
use tokio::time::timeout;
use tower_lp_auth::{
    RedisStore,
    store::{IndexEntry, Lease, Leased, SessionStore, StoreError, StoredRecord, Swap, Version},
    test_kit::store_suite,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(5);

fn record(version: u8, content: &str) -> StoredRecord {
    StoredRecord::new(Version::from_bytes([version; 16]), content.to_owned())
}

fn store(url: impl Into<String>) -> RedisStore {
    RedisStore::new(url).expect("a URL of a server")
}

fn in_cluster(cluster: &Cluster) -> RedisStore {
    let mut urls = cluster.urls().into_iter();
    let first = urls.next().expect("a node");
    RedisStore::builder(first).cluster(urls).build().expect("URLs of one cluster")
}

/// Every promise of a store; nothing of it looks like a loss.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_on_one_server() {
    let server = RedisServer::start().await;
    let handles = [store(server.url()), store(server.url())];
    store_suite(handles.clone()).await;
    assert_eq!(handles.map(|store| store.epoch()), [0, 0]);
}

/// The same, with the keys on three nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_in_a_cluster() {
    let cluster = Cluster::start().await;
    let handles = [in_cluster(&cluster), in_cluster(&cluster)];
    store_suite(handles.clone()).await;
    assert_eq!(handles.map(|store| store.epoch()), [0, 0]);
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
    let version = Version::from_bytes([1; 16]);
    // Scripts are sent in full once.
    for warm in [false, true] {
        store.create("record", record(1, ""), HOUR).await.unwrap();
        store.load("record").await.unwrap();
        store.update("record", version, record(1, ""), HOUR).await.unwrap();
        store.delete_if("record", version).await.unwrap();
        store.index("user").await.unwrap();
        store.delete("record").await.unwrap();
        if !warm {
            server.ask(&["CONFIG", "RESETSTAT"]).await;
        }
    }
    let stats = server.text(&["INFO", "commandstats"]).await;
    let calls = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        line.and_then(|line| line.split(['=', ',']).nth(1)).map_or(0, |n| n.parse::<u32>().unwrap())
    };
    // `update` sets and `delete_if` deletes inside its script.
    for (name, expected) in [
        ("set", 2),
        ("get", 1),
        ("del", 2),
        ("evalsha", 3),
        ("eval", 0),
        ("keys", 0),
        ("scan", 0),
        ("hscan", 0),
        ("flushdb", 0),
        ("flushall", 0),
    ] {
        assert_eq!(calls(name), expected, "{name}: {stats}");
    }
}
