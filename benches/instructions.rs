//! Asks one contender a number of times, to be counted from outside: see `scripts/instructions.sh`.
//!
//! Without arguments it lists the contenders, each with the floor that it is compared with.

#![allow(missing_docs, reason = "a program")]

mod contenders;

use std::{env, process::ExitCode};

use self::contenders::{Contender, all, among, floor_of};

/// Contenders that take long to set up: made only when they are asked for.
const AMONG: [(&str, usize); 2] = [("among 1000", 1_000), ("among 20000", 20_000)];

/// Before anything is counted, everything that happens once has happened.
const WARM_UP: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let [name, times] = arguments.as_slice() else {
        let names = all().await.into_iter().map(|it| it.name);
        for name in names.chain(AMONG.map(|(name, _)| name)) {
            println!("{name}\t{}", floor_of(name));
        }
        return ExitCode::SUCCESS;
    };
    let contender = match AMONG.iter().find(|it| it.0 == name) {
        Some((name, sessions)) => Some(among(name, *sessions).await),
        None => all().await.into_iter().find(|it| it.name == name),
    };
    let (Some(mut contender), Ok(times)) = (contender, times.parse()) else {
        eprintln!("expected the name of a contender and a number, not {name:?} and {times:?}");
        return ExitCode::from(2);
    };
    for _ in 0..WARM_UP {
        contender.ask();
    }
    counted(&mut contender, times);
    ExitCode::SUCCESS
}

/// Callgrind counts in here alone, by this name.
#[inline(never)]
fn counted(contender: &mut Contender, times: usize) {
    for _ in 0..times {
        contender.ask();
    }
}
