//! What a session in a store costs per request, against what it cannot cost less than: with Redis a
//! bare `GET` over a connection of the same kind, in memory no session at all.
//!
//! All of it in one run against one server, in turns, and the medians of the turns: what disturbs the
//! machine disturbs them alike.

#![allow(missing_docs, reason = "a program")]

mod contenders;
mod round_trip;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Duration;

use round_trip::{Asked, Client, Sample};
use support::redis::{FaultProxy, Mode, RedisServer};
use tokio::runtime::Builder;

const TURNS: usize = 9;
const TURN: Duration = Duration::from_millis(250);

/// The shortest way that tokio's timers can tell from none.
const FAR_AWAY: Duration = Duration::from_millis(1);

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let server = RedisServer::start().await;
        let client = Client::start(&server, &server.url()).await;
        println!(
            "{:<12} {:>8} {:>10} {:>10} {:>10} {:>12} {:>8} {:>8} {:>8} {:>8}",
            "asked",
            "at once",
            "mean us",
            "p50 us",
            "p99 us",
            "per second",
            "mean",
            "p50",
            "p99",
            "rate"
        );
        for at_once in [1, 16, 64] {
            compare(&client, at_once, &[Asked::Get, Asked::Load, Asked::Stored]).await;
        }
        compare(&client, 1, &[Asked::Floor, Asked::Remembered]).await;
        sizes(&server, &client).await;

        println!("\nthe server {FAR_AWAY:?} away, each way");
        let server = RedisServer::start().await;
        let proxy = FaultProxy::to(server.addr()).await;
        let client = Client::start(&server, &proxy.url()).await;
        proxy.set(Mode::Delay(FAR_AWAY));
        // More at once come in several pieces, which the proxy holds up one after the other.
        for at_once in [1, 16] {
            compare(&client, at_once, &[Asked::Get, Asked::Stored]).await;
        }
    });
}

/// Prints each beside its ratios to the first.
async fn compare(client: &Client, at_once: usize, all: &[Asked]) {
    let mut turns: Vec<Vec<[f64; 4]>> = vec![Vec::new(); all.len()];
    for _ in 0..TURNS {
        for (asked, turns) in all.iter().zip(&mut turns) {
            let sample = Sample::take(client, *asked, at_once, TURN).await;
            let [mean, p50, p99] = [sample.mean(), sample.quantile(0.5), sample.quantile(0.99)]
                .map(|latency| latency.as_secs_f64() * 1e6);
            turns.push([mean, p50, p99, sample.per_second]);
        }
    }
    let medians: Vec<[f64; 4]> = turns.iter().map(|turns| median(turns)).collect();
    for (asked, own) in all.iter().zip(&medians) {
        let [mean, p50, p99, rate] = own;
        print!(
            "{:<12} {at_once:>8} {mean:>10.1} {p50:>10.1} {p99:>10.1} {rate:>12.0}",
            format!("{asked:?}"),
        );
        for (own, first) in own.iter().zip(&medians[0]) {
            print!(" {:>8.2}", own / first);
        }
        println!();
    }
}

fn median(turns: &[[f64; 4]]) -> [f64; 4] {
    [0, 1, 2, 3].map(|at| {
        let mut values: Vec<f64> = turns.iter().map(|turn| turn[at]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values[values.len() / 2]
    })
}

/// Prints what one session takes in Redis.
async fn sizes(server: &RedisServer, client: &Client) {
    println!("{:<12} {:>12}", "in redis", "bytes");
    for (kind, bytes) in round_trip::sizes(server, client).await {
        println!("{kind:<12} {bytes:>12}");
    }
}
