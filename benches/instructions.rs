//! Asks one contender a number of times, to be counted from outside: see `scripts/instructions.sh`.
//!
//! Without arguments it lists the contenders, each with the floor that it is compared with.

#![allow(missing_docs, reason = "a program")]

mod contenders;

use std::{env, process::ExitCode};

use self::contenders::{Contender, all, floor_of};

/// Before anything is counted, everything that happens once has happened.
const WARM_UP: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let contenders = all().await;
    let arguments: Vec<String> = env::args().skip(1).filter(|it| it != "--bench").collect();
    let [name, times] = arguments.as_slice() else {
        for contender in contenders {
            println!("{}\t{}", contender.name, floor_of(contender.name));
        }
        return ExitCode::SUCCESS;
    };
    let contender = contenders.into_iter().find(|it| it.name == name);
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
