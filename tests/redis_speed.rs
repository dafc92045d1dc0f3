//! A request with a session in Redis takes one round trip.

#[path = "../benches/contenders/mod.rs"]
mod contenders;
#[path = "../benches/round_trip/mod.rs"]
mod round_trip;
mod support;

use std::{collections::BTreeMap, time::Duration};

use futures_util::future::join_all;
use round_trip::{Asked, Client, Sample};
use support::redis::{FaultProxy, Mode, RedisServer};
use tower_lp_auth::{
    RedisStore,
    store::{SessionStore, StoredRecord, Version},
};

/// Each command that the server has been asked, and how often.
async fn commands(server: &RedisServer) -> BTreeMap<String, u64> {
    let info = server.text(&["INFO", "commandstats"]).await;
    let lines = info.lines().filter_map(|line| line.strip_prefix("cmdstat_"));
    let command = |line: &str| {
        let (name, rest) = line.split_once(":calls=")?;
        let (calls, _) = rest.split_once(',')?;
        Some((name.to_owned(), calls.parse().expect("a number")))
    };
    lines.filter_map(command).collect()
}

/// D17, P03: the server is asked for the record, and nothing else but who it is, four times a second.
/// The requests come one after the other here.
#[tokio::test]
async fn a_thousand_requests_are_a_thousand_gets() {
    let server = RedisServer::start().await;
    let mut client = Client::start(&server, &server.url()).await;
    server.ask(&["CONFIG", "RESETSTAT"]).await;
    for _ in 0..1000 {
        client.ask(Asked::Stored).await;
    }
    let mut commands = commands(&server).await;
    // Those of the connection that asks for the counts, and the greeting.
    commands.retain(|name, _| {
        !["client|setinfo", "config|resetstat", "info", "hello"].contains(&&**name)
    });
    assert_eq!(commands, BTreeMap::from([("get".to_owned(), 1000)]));
}

/// Loads that come at once share commands, if the user may ask so; each has the answer that it would
/// have had alone.
#[tokio::test]
async fn loads_at_once_share_commands_and_each_has_its_own_answer() {
    const RECORDS: u8 = 60;
    let server = RedisServer::start().await;
    let record = |number: u8| StoredRecord::new(Version::from_bytes([number; 16]), vec![number]);
    server.ask(&["RPUSH", "list", "no record"]).await;
    for (user, right) in [("may", "+mget"), ("may-not", "-mget")] {
        let rights = ["ACL", "SETUSER", user, "on", ">pw", "~*", "+@connection", "+get", "+set"];
        server.ask(&[&rights[..], &[right]].concat()).await;
        let store = RedisStore::new(server.url_as(&format!("{user}:pw"))).expect("a URL");
        let keys: Vec<String> = (0..RECORDS).map(|number| format!("{user}-{number}")).collect();
        for (number, key) in (0..RECORDS).zip(&keys) {
            let hour = Duration::from_secs(3600);
            store.create(key, record(number), hour).await.expect("a free key");
        }
        server.ask(&["CONFIG", "RESETSTAT"]).await;
        let all = keys.iter().map(String::as_str).chain(["list", "none"]);
        let mut loaded = join_all(all.map(|key| store.load(key))).await.into_iter();
        for number in 0..RECORDS {
            let found = loaded.next().expect("an answer").expect("a record");
            assert_eq!(found, Some(record(number)), "{user}");
        }
        let rest: Vec<_> = loaded.map(|found| found.expect("an answer")).collect();
        assert_eq!(rest, [Some(StoredRecord::unreadable()), None], "{user}");
        let commands = commands(&server).await;
        let most = if right == "+mget" { 3 } else { u64::from(RECORDS) + 2 };
        assert!(commands["get"] <= most, "{user}: {commands:?}");
    }
}

/// P03: where the way to the server is long, a request takes as long as one command.
#[tokio::test]
async fn a_request_takes_the_time_of_one_round_trip() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::to(server.addr()).await;
    let client = Client::start(&server, &proxy.url()).await;
    proxy.set(Mode::Delay(Duration::from_millis(50)));
    let length = Duration::from_secs(1);
    let get = Sample::take(&client, Asked::Get, 1, length).await.quantile(0.5);
    let request = Sample::take(&client, Asked::Stored, 1, length).await.quantile(0.5);
    assert!(get >= Duration::from_millis(100), "{get:?}");
    assert!(request < get * 17 / 10, "{request:?} against {get:?}: more than one round trip");
}

/// The page for operators says what a session takes in Redis; versions differ a little.
#[tokio::test]
async fn the_documented_sizes_are_the_servers() {
    let page = include_str!("../docs/operators.md");
    let server = RedisServer::start().await;
    let client = Client::start(&server, &server.url()).await;
    for (kind, bytes) in round_trip::sizes(&server, &client).await {
        let mut rows = page.lines().filter(|line| line.starts_with(&format!("| `…:{kind}:…` |")));
        let cell = rows.next().and_then(|row| row.split('|').nth(3)).map(str::trim);
        let documented = cell.and_then(|cell| cell.parse::<u64>().ok());
        let documented = documented.unwrap_or_else(|| panic!("no size of {kind}: {cell:?}"));
        assert!(bytes.abs_diff(documented) * 4 <= documented, "{kind}: {bytes}, not {documented}");
    }
}
