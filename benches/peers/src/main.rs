//! Measures tower-lp-auth beside other crates that keep users signed in.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml                    # the table
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --instructions  # valgrind besides
//! ```
//!
//! `contenders/` says who is measured, `measure/` how, `table.rs` prints. `load/` is for
//! `scripts/load.sh`: `serve` answers over sockets, `storm` refreshes one session for thousands of
//! requests, `sessions` has up to a million of them.

mod contenders;
mod keys;
mod load;
mod measure;
mod provider;
mod random;
mod redis_server;
mod session;
mod shared;
mod surroundings;
mod table;
mod versions;

use std::{env, process::ExitCode};

use contenders::NAMES;
use measure::{
    Figures, allocations, instructions, one_thread, start_all, throughput, two_threads, wall,
};
use surroundings::Surroundings;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => compare(false),
        ["--instructions"] => compare(true),
        ["count", name] => instructions::count(name),
        ["serve"] => two_threads().block_on(load::serve()),
        ["storm", turns, requests] => {
            two_threads().block_on(load::storm(number(turns), number(requests)));
        }
        ["sessions", most] => one_thread().block_on(load::sessions(number(most))),
        _ => {
            eprintln!(
                "expected nothing, --instructions, serve, storm TURNS REQUESTS or sessions MOST, not \
                 {arguments:?}"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Measures all contenders and prints the table.
fn compare(count_instructions: bool) {
    let mut figures = vec![Figures::default(); NAMES.len()];
    one_thread().block_on(async {
        let around = Surroundings::with_sessions(throughput::TASKS);
        let contenders = start_all(&around).await;
        for (figures, contender) in figures.iter_mut().zip(&contenders) {
            figures.allocations = allocations::measure(contender).await;
        }
        for (figures, wall) in figures.iter_mut().zip(wall::measure(&contenders).await) {
            figures.wall = wall;
        }
    });
    if count_instructions {
        for (figures, name) in figures.iter_mut().zip(NAMES) {
            figures.instructions = Some(instructions::measure(name));
        }
    }
    // Connections belong to the runtime they were made on, so everybody starts again.
    two_threads().block_on(async {
        let around = Surroundings::with_sessions(throughput::TASKS);
        let contenders = start_all(&around).await;
        for (figures, it) in figures.iter_mut().zip(throughput::measure(&contenders).await) {
            figures.throughput = it;
        }
        table::print(&contenders, &figures);
    });
}
