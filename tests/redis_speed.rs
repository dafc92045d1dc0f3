//! A request with a session in Redis takes one round trip.

#[path = "../benches/contenders/mod.rs"]
mod contenders;
#[path = "../benches/round_trip/mod.rs"]
mod round_trip;
mod support;

use std::{collections::BTreeMap, time::Duration};

use round_trip::{Asked, Client, Sample};
use support::redis::{FaultProxy, Mode, RedisServer};

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
