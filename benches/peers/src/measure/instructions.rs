//! Instructions of one request: this program again, under valgrind's callgrind, once with few and
//! once with many requests; the difference of the two, divided by the difference of their numbers.

use std::{env, fs, path::Path, process::Command};

use tokio::runtime::Runtime;

use super::one_thread;
use crate::{
    contenders::{Client, NAMES, start},
    surroundings::Surroundings,
};

const FEW: u64 = 100;
const MANY: u64 = 600;
const WARM_UP: usize = 100;

/// Enough for the contender that opens each cookie anew.
const SESSIONS: usize = 8;

/// How often the name of the function in which callgrind counts; see [`counted`].
const TOGGLE: &str = "--toggle-collect=*instructions::counted*";

/// Instructions of one request of this contender.
pub fn measure(name: &str) -> u64 {
    let (few, many) = (run(name, FEW), run(name, MANY));
    (many - few) / (MANY - FEW)
}

fn run(name: &str, times: u64) -> u64 {
    let out = env::temp_dir().join(format!("tower-lp-auth-peers-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", TOGGLE])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().expect("a program has a path"))
        .args(["count", name, &times.to_string()])
        .output()
        .expect("valgrind is installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let total = total(&out);
    let _ = fs::remove_file(&out);
    total
}

/// The last summary of callgrind's file.
fn total(out: &Path) -> u64 {
    let text = fs::read_to_string(out).expect("callgrind's file");
    let totals = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("summary: ").or_else(|| line.strip_prefix("totals: ")));
    totals.and_then(|it| it.trim().parse().ok()).expect("callgrind's totals")
}

/// The other side: asks one contender so many times, to be counted from outside.
pub fn count(name: &str, times: usize) {
    let name = NAMES.into_iter().find(|it| *it == name).expect("the name of a contender");
    let runtime = one_thread();
    let around = Surroundings::with_sessions(SESSIONS);
    let contender = runtime.block_on(start(name, &around));
    let mut client = contender.client();
    runtime.block_on(client.ask_times(WARM_UP));
    counted(&runtime, &mut client, times);
}

/// Callgrind counts in here alone, by this name, which nothing within may bear.
#[inline(never)]
fn counted(runtime: &Runtime, client: &mut Client, times: usize) {
    runtime.block_on(client.ask_times(times));
}
