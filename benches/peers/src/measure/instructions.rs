//! Instructions of one request: this program again, under valgrind's callgrind.

use std::{env, fs, path::Path, process::Command, thread};

use tokio::runtime::Runtime;

use super::one_thread;
use crate::{
    contenders::{Client, NAMES, start},
    surroundings::Surroundings,
};

const REQUESTS: usize = 500;
const WARM_UP: usize = 100;

/// Enough for the contender that opens each cookie anew.
const SESSIONS: usize = 8;

/// How often the name of the function in which callgrind counts; see [`counted`].
const TOGGLE: &str = "--toggle-collect=*instructions::counted*";

/// Instructions of one request of this contender.
pub fn measure(name: &str) -> u64 {
    let out = env::temp_dir().join(format!("tower-lp-auth-peers-{}", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", TOGGLE])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().expect("a program has a path"))
        .args(["count", name])
        .output()
        .expect("valgrind is installed");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    let total = total(&out);
    let _ = fs::remove_file(&out);
    total / REQUESTS as u64
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

/// The other side: asks one contender, to be counted from outside.
pub fn count(name: &str) {
    let name = NAMES.into_iter().find(|it| *it == name).expect("the name of a contender");
    let runtime = one_thread();
    let around = Surroundings::with_sessions(SESSIONS);
    let contender = runtime.block_on(start(name, &around));
    let mut client = contender.client();
    // A thread begins with a heap without the holes that the logins have left in the other one.
    thread::scope(|scope| {
        scope.spawn(|| {
            runtime.block_on(client.ask_times(WARM_UP));
            counted(&runtime, &mut client);
        });
    });
}

/// Callgrind counts in here alone, by this name, which nothing within may bear.
#[inline(never)]
fn counted(runtime: &Runtime, client: &mut Client) {
    runtime.block_on(client.ask_times(REQUESTS));
}
