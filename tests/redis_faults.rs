//! `RedisStore` while its server is down, slow, failing over, full or cut off.

mod support;

use std::{error::Error as _, time::Duration};

use support::{
    Logs,
    redis::{Authority, Cluster, FaultProxy, Mode, Pair, RedisServer},
};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};
use tower_lp_auth::{
    RedisConfigError, RedisStore,
    store::{IndexEntry, Lease, SessionStore, StoreError, StoredRecord, Swap, Version},
};

const HOUR: Duration = Duration::from_secs(3_600);

/// How long the layer waits for a read.
const READ: Duration = Duration::from_millis(250);

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What "in under a second" may take on a busy machine.
const A_SECOND: Duration = Duration::from_secs(8);

fn record(content: &str) -> StoredRecord {
    StoredRecord::new(Version::from_bytes([1; 16]), content.to_owned())
}

fn store(url: impl Into<String>) -> RedisStore {
    RedisStore::new(url).expect("a URL of a server")
}

/// Loads a key as the layer does until there is an answer; how long that took.
async fn recovers(store: &RedisStore, key: &str) -> (Option<StoredRecord>, Duration) {
    let begin = Instant::now();
    let loading = async {
        loop {
            if let Ok(Ok(record)) = timeout(READ, store.load(key)).await {
                return record;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let record = timeout(PATIENCE, loading).await.expect("a store that recovers");
    (record, begin.elapsed())
}

/// Loads a key as the layer does until that fails, and returns why; running into the layer's
/// deadline is no reason yet.
async fn fails(store: &RedisStore, key: &str) -> StoreError {
    let failing = async {
        loop {
            if let Ok(Err(error)) = timeout(READ, store.load(key)).await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, failing).await.expect("a store that fails")
}

#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
}

/// D18, S01.
#[tokio::test]
async fn a_store_is_made_without_a_server_and_works_once_there_is_one() {
    let mut server = RedisServer::start().await;
    server.stop();
    let store = store(server.url());
    assert_unavailable(store.load("key").await);
    let begin = Instant::now();
    for _ in 0..100 {
        assert_unavailable(store.create("key", record("a"), HOUR).await);
    }
    assert!(begin.elapsed() < A_SECOND, "calls wait while the server is down");
    assert!(server.start_again().await);
    let (absent, took) = recovers(&store, "key").await;
    assert_eq!(absent, None);
    assert!(took < A_SECOND, "{took:?}");
    assert_eq!(store.epoch(), 0, "there was nothing to lose");
}

/// D14, S02, S08.
#[tokio::test]
async fn a_restart_is_survived_with_its_lost_scripts_and_seen_in_the_epoch() {
    let mut server = RedisServer::start().await;
    let store = store(server.url());
    let one = Version::from_bytes([1; 16]);
    for restarts in 0..3 {
        assert_eq!(store.epoch(), restarts);
        store.create("key", record("a"), HOUR).await.unwrap();
        let swap = store.update("key", one, record("b"), HOUR).await;
        assert_eq!(swap.unwrap(), Swap::Done, "after {restarts} restarts");
        server.restart().await;
        let (lost, took) = recovers(&store, "key").await;
        assert_eq!(lost, None);
        assert!(took < A_SECOND, "{took:?}");
    }
    server.ask(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(store.delete_if("key", one).await.unwrap(), Swap::Absent);
}

/// S04, S08.
#[tokio::test]
async fn a_read_whose_connection_is_cut_is_asked_once_more() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = store(proxy.url());
    store.create("key", record("a"), HOUR).await.unwrap();
    for cut in 1..=20 {
        proxy.set(Mode::CutReplyAfter(cut));
        assert_eq!(store.load("key").await.unwrap(), Some(record("a")), "cut after {cut}");
        assert_eq!(store.epoch(), u64::try_from(cut).unwrap());
    }
}

/// D15.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_never_reaches_another_caller() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = store(proxy.url());
    for key in 0..50 {
        store.create(&format!("key-{key}"), record(&format!("of-{key}")), HOUR).await.unwrap();
    }
    let mut callers = JoinSet::new();
    for caller in 0..50_u64 {
        let store = store.clone();
        callers.spawn(async move {
            let (mut answered, mut dropped) = (0, 0);
            // Whatever the machine's pace: after the last cut all are answered whose callers wait.
            let mut round = 0_u64;
            while round < 200 || answered <= 20 || dropped <= 2 {
                let key = (caller + round * 7) % 50;
                let name = format!("key-{key}");
                // Some give up at once, some in the midst, most not at all.
                let patience = match (caller * 31 + round * 17) % 5 {
                    0 => Duration::ZERO,
                    1 => Duration::from_micros(200),
                    _ => PATIENCE,
                };
                match timeout(patience, store.load(&name)).await {
                    Ok(Ok(found)) => {
                        assert_eq!(found, Some(record(&format!("of-{key}"))), "for {name}");
                        answered += 1;
                    }
                    Ok(Err(StoreError::Unavailable(_))) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Ok(Err(error)) => panic!("{error:?}"),
                    Err(_) => dropped += 1,
                }
                round += 1;
            }
            (answered, dropped)
        });
    }
    let cutting = async {
        for cut in 0..40 {
            tokio::time::sleep(Duration::from_millis(3)).await;
            match cut % 2 {
                0 => proxy.cut(),
                _ => proxy.set(Mode::CutReplyAfter(cut * 3)),
            }
        }
    };
    let (results, ()) = tokio::join!(callers.join_all(), cutting);
    let (answered, dropped) =
        results.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(answered > 1_000 && dropped > 100, "{answered} answered, {dropped} dropped");
    assert!(store.epoch() > 0, "nothing has been cut");
}

/// S03, S11.
#[tokio::test]
async fn a_connection_that_swallows_everything_is_given_up_and_replaced() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = store(proxy.url());
    store.create("key", record("a"), HOUR).await.unwrap();
    proxy.set(Mode::BlackHole);
    let first = timeout(READ, store.load("key")).await;
    assert!(!matches!(first, Ok(Ok(_))), "who has answered? {first:?}");
    assert!(matches!(fails(&store, "key").await, StoreError::Unavailable(_)));
    let accepted = proxy.accepted();
    assert!(accepted > 1, "the connection has not been replaced");
    proxy.set(Mode::Pass);
    let (found, took) = recovers(&store, "key").await;
    assert_eq!(found, Some(record("a")));
    assert!(took < A_SECOND, "{took:?}");
    assert!(store.epoch() > 0);
}

/// S03.
#[tokio::test]
async fn a_call_that_nobody_bounds_ends_by_itself_while_the_server_is_silent() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = store(proxy.url());
    store.create("key", record("a"), HOUR).await.unwrap();
    proxy.set(Mode::BlackHole);
    let write = store.create("other", record("b"), HOUR);
    assert_unavailable(timeout(PATIENCE, write).await.expect("an end"));
}

/// S03.
#[tokio::test]
async fn a_slow_server_is_outwaited_by_nobody_and_serves_when_it_is_fast_again() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let store = store(proxy.url());
    store.create("key", record("a"), HOUR).await.unwrap();
    proxy.set(Mode::Delay(Duration::from_secs(2)));
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let store = store.clone();
        callers.spawn(async move { timeout(READ, store.load("key")).await });
    }
    let begin = Instant::now();
    for answer in callers.join_all().await {
        assert!(!matches!(answer, Ok(Ok(_))), "{answer:?}");
    }
    assert!(begin.elapsed() < A_SECOND);
    proxy.set(Mode::Pass);
    let (found, _) = recovers(&store, "key").await;
    assert_eq!(found, Some(record("a")));
}

/// D12, D13, S04: reads and writes that come after a fail-over go to the new primary.
#[tokio::test]
async fn after_a_fail_over_only_the_new_primary_is_asked() {
    let mut pair = Pair::start().await;
    let store = store(pair.url());
    store.create("key", record("a"), HOUR).await.unwrap();
    for times in 1..=2 {
        pair.catch_up().await;
        pair.fail_over().await;
        // The old connection leads to what is a replica now.
        let late = format!("late-{times}");
        let writing = async {
            loop {
                match store.create(&late, record("new"), HOUR).await {
                    Ok(()) => return,
                    Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        timeout(PATIENCE, writing).await.expect("a write that gets through");
        assert!(store.epoch() >= times, "{}", store.epoch());
        let found: bool =
            redis::from_redis_value(pair.primary.ask(&["EXISTS", &late]).await).unwrap();
        assert!(found, "written elsewhere");
    }
    assert_eq!(store.load("key").await.unwrap(), Some(record("a")));
}

/// D12, S05.
#[tokio::test]
async fn a_replica_is_never_believed() {
    let pair = Pair::start().await;
    let reader = store(pair.replica.url());
    let Err(StoreError::Unavailable(reason)) = reader.load("key").await else {
        panic!("a replica has been asked");
    };
    assert!(reason.to_string().contains("replica"), "{reason}");

    // A server that becomes a replica is left even if it is only read from.
    let store = store(pair.url());
    assert_eq!(store.load("key").await.unwrap(), None);
    let port = pair.replica.port().to_string();
    pair.replica.ask(&["REPLICAOF", "NO", "ONE"]).await;
    pair.primary.ask(&["REPLICAOF", "127.0.0.1", &port]).await;
    assert!(matches!(fails(&store, "key").await, StoreError::Unavailable(_)));
}

/// D01, S04.
#[tokio::test]
async fn a_server_that_loads_its_data_is_unavailable_and_no_record_is_missing() {
    let mut server = RedisServer::with(&["--loading-process-events-interval-bytes", "1024"]).await;
    let store = store(server.url());
    let content = "x".repeat(4_096);
    for key in 0..200 {
        store.create(&format!("key-{key}"), record(&content), HOUR).await.unwrap();
    }
    server.ask(&["SAVE"]).await;
    server.stop();
    // Two seconds in all: a store pauses for half a second between two attempts.
    server.add_options(&["--key-load-delay", "10000", "--rdbcompression", "no"]);
    server.spawn();
    let loading = async {
        loop {
            match store.load("key-199").await {
                Err(StoreError::Unavailable(reason)) if reason.to_string().contains("LOADING") => {
                    return;
                }
                Err(StoreError::Unavailable(_)) => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    };
    timeout(PATIENCE, loading).await.expect("a server that loads");
    let (found, _) = recovers(&store, "key-199").await;
    assert_eq!(found, Some(record(&content)));
}

/// D01, S09.
#[tokio::test]
async fn wrong_credentials_and_rights_are_refused_and_no_absence() {
    let server = RedisServer::with_password("right").await;
    server.ask(&["ACL", "SETUSER", "reader", "on", ">pass", "~*", "+@connection", "+get"]).await;
    for credentials in [None, Some(":wrong"), Some("nobody:right"), Some("reader:wrong")] {
        let url = credentials.map_or_else(
            || format!("redis://{}/", server.addr()),
            |credentials| server.url_as(credentials),
        );
        let refused = store(url).load("key").await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{credentials:?}: {refused:?}");
    }
    let reader = store(server.url_as("reader:pass"));
    assert_eq!(reader.load("key").await.unwrap(), None);
    let writes = [
        reader.create("key", record("a"), HOUR).await,
        reader.delete("key").await,
        reader.release("key", [0; 16]).await,
    ];
    for refused in writes {
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    }
}

/// D16, S09.
#[tokio::test]
async fn the_documented_rights_are_enough() {
    let server = RedisServer::with_password("admin").await;
    let rights = "+@connection +get +set +exists +del +eval +evalsha +getrange +pttl +time +type \
                  +hgetall +hset +hdel +pexpireat";
    let mut command = vec!["ACL", "SETUSER", "sessions", "on", ">p%ss", "~app-*"];
    command.extend(rights.split_whitespace());
    server.ask(&command).await;
    let store = store(server.url_as("sessions:p%25ss"));
    let one = Version::from_bytes([1; 16]);
    store.create("app-key", record("a"), HOUR).await.unwrap();
    store.create("app-none", record("a"), Duration::ZERO).await.unwrap();
    assert_eq!(store.update("app-key", one, record("b"), HOUR).await.unwrap(), Swap::Done);
    assert_eq!(store.delete_if("app-key", one).await.unwrap(), Swap::Done);
    let lease = Lease { owner: [1; 16], note: 0 };
    store.lease("app-lease", lease, HOUR).await.unwrap();
    store.lease("app-lease", Lease { owner: [2; 16], ..lease }, HOUR).await.unwrap();
    store.release("app-lease", [1; 16]).await.unwrap();
    let entry = IndexEntry { record: "app-key".to_owned(), content: "1".into() };
    store.index_add("app-user", entry, HOUR).await.unwrap();
    assert_eq!(store.index("app-user").await.unwrap().len(), 1);
    store.index_remove("app-user", "app-key").await.unwrap();
    store.delete("app-key").await.unwrap();
    // Another application's keys are none of its business.
    let foreign = store.load("other-key").await;
    assert!(matches!(foreign, Err(StoreError::Refused(_))), "{foreign:?}");
}

/// D01, S07.
#[tokio::test]
async fn a_full_server_says_so_loses_nothing_and_still_reads_and_deletes() {
    let server = RedisServer::with(&["--maxmemory-policy", "noeviction"]).await;
    let store = store(server.url());
    let one = Version::from_bytes([1; 16]);
    store.create("key", record("a"), HOUR).await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let lease = Lease { owner: [1; 16], note: 0 };
    let entry = IndexEntry { record: "a".to_owned(), content: "1".into() };
    let writes = [
        store.create("other", record("a"), HOUR).await,
        store.update("key", one, record("b"), HOUR).await.map(|_| ()),
        store.lease("lease", lease, HOUR).await.map(|_| ()),
        store.index_add("user", entry, HOUR).await,
    ];
    for full in writes {
        assert!(matches!(full, Err(StoreError::Full)), "{full:?}");
    }
    assert_eq!(store.load("key").await.unwrap(), Some(record("a")));
    assert_eq!(store.delete_if("key", one).await.unwrap(), Swap::Done);
    store.delete("key").await.unwrap();
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    store.create("other", record("a"), HOUR).await.unwrap();
}

/// S13: databases of one server are apart.
#[tokio::test]
async fn the_database_of_the_url_is_used() {
    let server = RedisServer::start().await;
    let (zero, three) = (store(server.url()), store(format!("{}3", server.url())));
    three.create("key", record("a"), HOUR).await.unwrap();
    assert_eq!(zero.load("key").await.unwrap(), None);
    assert_unavailable(store(format!("{}60000", server.url())).load("key").await);
}

/// S09.
#[tokio::test]
async fn a_server_with_tls_is_believed_only_with_a_certificate_of_its_authority() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = RedisServer::with_tls(&authority).await;
    let with = |authority: &Authority| {
        RedisStore::builder(server.tls_url()).ca_certificate(authority.pem()).build().unwrap()
    };
    let store = with(&authority);
    store.create("key", record("a"), HOUR).await.unwrap();
    assert_eq!(store.load("key").await.unwrap(), Some(record("a")));
    for stranger in [with(&other), RedisStore::new(server.tls_url()).unwrap()] {
        let Err(StoreError::Unavailable(reason)) = stranger.load("key").await else {
            panic!("a stranger's certificate has been accepted");
        };
        assert!(reason.to_string().contains("certificate"), "{reason}");
    }
}

/// D13, S04: one node of three is away, then back without its data.
#[tokio::test]
async fn a_cluster_survives_the_loss_and_return_of_a_node() {
    let mut cluster = Cluster::start().await;
    let mut urls = cluster.urls().into_iter();
    let store = RedisStore::builder(urls.next().unwrap()).cluster(urls).build().unwrap();
    for key in ["a", "b", "c", "d", "e", "f"] {
        store.create(key, record(key), HOUR).await.unwrap();
    }
    let (gone, kept) = (cluster.owner("a").await, cluster.owner("b").await);
    assert_ne!(gone, kept);
    cluster.nodes[gone].stop();
    let lost = timeout(PATIENCE, store.load("a")).await.expect("an end");
    assert_unavailable(lost);
    assert!(store.epoch() > 0, "a node has been lost");
    assert!(cluster.nodes[gone].start_again().await);
    cluster.agree().await;
    let (lost, took) = recovers(&store, "a").await;
    assert_eq!(lost, None, "the node has lost its data");
    assert!(took < A_SECOND, "{took:?}");
    assert_eq!(recovers(&store, "b").await.0, Some(record("b")));
    store.create("a", record("again"), HOUR).await.unwrap();
}

/// S04.
#[tokio::test]
async fn a_key_that_moves_to_another_node_is_found_there() {
    let cluster = Cluster::start().await;
    let store = RedisStore::builder(cluster.urls().remove(0)).cluster([""; 0]).build().unwrap();
    store.create("a", record("a"), HOUR).await.unwrap();
    let from = cluster.owner("a").await;
    cluster.move_key("a", from, (from + 1) % 3).await;
    assert_eq!(store.load("a").await.unwrap(), Some(record("a")));
    let one = Version::from_bytes([1; 16]);
    assert_eq!(store.update("a", one, record("b"), HOUR).await.unwrap(), Swap::Done);
}

/// D19.
#[tokio::test]
async fn the_password_of_the_url_is_printed_nowhere() {
    let (logs, _guard) = Logs::capture();
    let server = RedisServer::with_password("right").await;
    let mut printed = String::new();
    for url in
        [format!("redis://:canary@{}/", server.addr()), "redis://:canary@127.0.0.1:1/".to_owned()]
    {
        let builder = RedisStore::builder(url);
        printed += &format!("{builder:?}");
        let store = builder.build().unwrap();
        let error = store.load("key").await.unwrap_err();
        let source = error.source().map(ToString::to_string);
        printed += &format!("{store:?} {error} {error:?} {source:?}");
    }
    let unusable = [
        ("canary", RedisConfigError::NotAUrl),
        ("http://:canary@host/", RedisConfigError::Scheme),
        ("redis://:canary@/0", RedisConfigError::Host),
        ("redis://:canary@host/zero", RedisConfigError::Database),
        ("redis://:canary%ff@host/", RedisConfigError::Credentials),
        ("redis://:canary@host/?protocol=canary", RedisConfigError::Parameters),
        ("rediss://:canary@host/#insecure", RedisConfigError::Parameters),
    ];
    for (url, expected) in unusable {
        let error = RedisStore::new(url).unwrap_err();
        assert_eq!(error, expected, "{url}");
        printed += &format!("{error} {error:?}");
    }
    printed += &logs.text();
    assert!(printed.contains("stopped working"), "nothing has been logged");
    assert!(!printed.contains("canary"), "{printed}");
}

/// D19: what is wrong with other settings is said too.
#[test]
fn settings_that_contradict_each_other_are_refused() {
    let pem = Authority::new().pem().to_owned();
    let plain = || RedisStore::builder("redis://one");
    let tls = || RedisStore::builder("rediss://one");
    for (builder, expected) in [
        (plain().ca_certificate(pem.clone()), RedisConfigError::CaWithoutTls),
        (tls().ca_certificate("no PEM"), RedisConfigError::CaCertificate),
        (tls().ca_certificate(""), RedisConfigError::CaCertificate),
        (tls().cluster(["redis://two"]), RedisConfigError::MixedCluster),
        (plain().cluster(["redis://:password@two"]), RedisConfigError::MixedCluster),
    ] {
        assert_eq!(builder.build().unwrap_err(), expected);
    }
}

/// D01: one line when it stops, one when it works again, whatever happens in between.
#[tokio::test]
async fn an_outage_is_logged_once_and_so_is_its_end() {
    let (logs, _guard) = Logs::capture();
    let mut server = RedisServer::start().await;
    let store = store(server.url());
    for outages in 1..=2 {
        store.create("key", record("a"), HOUR).await.unwrap();
        server.stop();
        for _ in 0..50 {
            assert_unavailable(store.delete("key").await);
        }
        assert!(server.start_again().await);
        recovers(&store, "key").await;
        let text = logs.text();
        let lines = |of: &str| text.lines().filter(|line| line.contains(of)).count();
        assert_eq!(lines("has stopped working"), outages, "{text}");
        assert_eq!(lines("works again"), outages, "{text}");
    }
    // A server without room for writes is not well because reads work.
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]).await;
    for _ in 0..5 {
        store.create("key", record("a"), HOUR).await.unwrap_err();
        store.load("key").await.unwrap();
    }
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]).await;
    store.create("key", record("a"), HOUR).await.unwrap();
    let text = logs.text();
    assert_eq!(text.matches("has stopped working").count(), 3, "{text}");
    assert_eq!(text.matches("works again").count(), 3, "{text}");
}

/// A store outlives the runtime that it was first used on.
#[test]
fn a_store_works_on_the_next_runtime() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let serving = runtime();
    let server = serving.block_on(RedisServer::start());
    let cluster = serving.block_on(Cluster::start());
    let clustered = RedisStore::builder(cluster.urls().remove(0)).cluster([""; 0]);
    for store in [store(server.url()), clustered.build().unwrap()] {
        for epoch in 0..3 {
            let (_, took) = runtime().block_on(recovers(&store, "key"));
            assert!(took < A_SECOND, "{took:?} at {epoch}");
        }
    }
}
