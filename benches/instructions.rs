//! Asks every contender a number of times, to be counted from outside, and says what was counted: see
//! `scripts/instructions.sh`.

#![allow(missing_docs, reason = "a program")]

mod budget;
mod contenders;

use std::{env, fs, process::ExitCode, sync::mpsc, thread};

use tokio::runtime::Handle;
use tower_lp_auth::MemoryStore;

use self::{
    budget::{Breach, Entry},
    contenders::{Contender, all, among, floor_of},
};

/// Contenders that take long to set up: made only when they are asked for.
const AMONG: [(&str, usize, Keeps); 3] = [
    ("among 1000", 1_000, || None),
    ("among 20000", 20_000, || None),
    ("stored among 1000", 1_000, || Some(MemoryStore::default())),
];

/// Where a layer keeps its sessions, if not in their cookies.
type Keeps = fn() -> Option<MemoryStore>;

/// Before anything is counted, everything that happens once has happened.
const WARM_UP: usize = 200;

const REQUESTS: usize = 1000;

fn main() -> Result<ExitCode, String> {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["count", prefix] => count(prefix),
        ["table", counts] => print(&read(counts)?),
        ["check", counts, budget] => return check(&read(counts)?, budget),
        ["renew", counts] => print!("{}", budget::write(&over_floors(&read(counts)?))),
        _ => println!("scripts/instructions.sh counts the instructions of a request"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Asks those whose names begin so, and their floors; prints the name of each when it is done.
#[tokio::main(flavor = "current_thread")]
async fn count(prefix: &str) {
    let mut contenders = all().await;
    for (name, sessions, keeps) in AMONG.into_iter().filter(|(name, ..)| name.starts_with(prefix)) {
        contenders.push(among(name, sessions, keeps()).await);
    }
    let wanted: Vec<&str> =
        contenders.iter().map(|it| it.name).filter(|it| it.starts_with(prefix)).collect();
    for contender in contenders {
        let name = contender.name;
        if wanted.iter().any(|it| *it == name || floor_of(it) == name) {
            on_a_heap_of_its_own(contender);
            println!("{name}");
        }
    }
}

/// What an allocation takes depends on the holes that others have left, which are elsewhere in each
/// run. A thread begins with a heap without any, and keeps it from the next one by not ending.
fn on_a_heap_of_its_own(mut contender: Contender) {
    let runtime = Handle::current();
    let (done, when_done) = mpsc::channel();
    thread::spawn(move || {
        let _entered = runtime.enter();
        (0..WARM_UP).for_each(|_| contender.ask());
        counted(&mut contender);
        done.send(()).expect("somebody who waits");
        loop {
            thread::park();
        }
    });
    when_done.recv().expect("an answer to every request");
}

/// Callgrind counts in here alone, by this name, and writes down what it has counted at its end.
#[inline(never)]
fn counted(contender: &mut Contender) {
    for _ in 0..REQUESTS {
        contender.ask();
    }
}

/// What a request of each contender took, from a file in which the sum of its requests stands.
fn read(counts: &str) -> Result<Vec<Entry>, String> {
    let mut entries = budget::read(&text(counts)?)?;
    for entry in &mut entries {
        entry.instructions /= REQUESTS as i64;
    }
    Ok(entries)
}

fn text(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

fn print(counts: &[Entry]) {
    println!("{:<24} {:>12} {:>12}", "contender", "instructions", "over-floor");
    for own in counts {
        // With a prefix, the floors of floors are not counted.
        let over = over_floor(own, counts).map_or(String::new(), |over| format!("{over:+}"));
        println!("{:<24} {:>12} {over:>12}", own.name, own.instructions);
    }
}

fn check(counts: &[Entry], path: &str) -> Result<ExitCode, String> {
    let limits = budget::read(&text(path)?)?;
    let counted = over_floors(counts);
    let breaches = budget::breaches(&limits, &counted);
    for breach in &breaches {
        eprintln!("{}: {breach}", if breach.is_fatal() { "error" } else { "note" });
    }
    let is_kept = !breaches.iter().any(Breach::is_fatal);
    Ok(if is_kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the layer's contenders add to their floors; floors have no budget.
fn over_floors(counts: &[Entry]) -> Vec<Entry> {
    let is_floor = |name: &str| ["bare", "floor+", "wrap"].iter().any(|it| name.starts_with(it));
    let ours = counts.iter().filter(|it| !is_floor(&it.name));
    let over = |it: &Entry| Entry {
        name: it.name.clone(),
        instructions: over_floor(it, counts).expect("each floor is counted"),
    };
    ours.map(over).collect()
}

/// Nothing where the floor was not counted.
fn over_floor(own: &Entry, counts: &[Entry]) -> Option<i64> {
    let floor = floor_of(&own.name);
    let floor = counts.iter().find(|it| it.name == floor)?;
    Some(own.instructions - floor.instructions)
}
