//! How often one request allocates behind the layer, and behind layers that do less; and what a
//! session takes in a `MemoryStore`.

#![allow(missing_docs, reason = "a program")]

mod contenders;
mod counted;
mod stored;

use tokio::runtime::Builder;

use self::counted::allocations;

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let counts: Vec<_> = runtime
        .block_on(contenders::all())
        .iter_mut()
        .map(|contender| (contender.name, allocations(contender)))
        .collect();
    let count = |name: &str| counts.iter().find(|(known, _)| *known == name).map_or(0, |it| it.1);
    println!("{:<24} {:>12} {:>12}", "contender", "allocations", "over-floor");
    for (name, own) in &counts {
        let floor = count(contenders::floor_of(name));
        let over = i128::from(*own) - i128::from(floor);
        println!("{name:<24} {own:>12} {over:>+12}");
    }
    println!("{}", stored::measure());
}
