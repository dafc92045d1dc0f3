//! The figures as Markdown.

use crate::{
    contenders::Contender,
    measure::{Figures, throughput::Throughput},
    versions,
};

const HEAD: &str = "\
| contender | × floor | × bare | ns median | ns least | allocations | 64 tasks, one session | 64 sessions | 64 sessions, × floor |";
const RULE: &str = "|---|--:|--:|--:|--:|--:|--:|--:|--:|";

/// One row for each contender, a list of what they do, and the versions.
pub fn print(contenders: &[Contender], figures: &[Figures]) {
    let counted = figures.iter().any(|it| it.instructions.is_some());
    let (head, rule) =
        if counted { (" instructions | over floor |", "--:|--:|") } else { ("", "") };
    println!("{HEAD}{head}\n{RULE}{rule}");
    for (contender, own) in contenders.iter().zip(figures) {
        let floor = contenders.iter().position(|it| it.name == contender.floor);
        let floor = floor.map(|at| &figures[at]);
        println!("{}{}", row(contender, own), instructions(own, floor));
    }
    println!();
    for contender in contenders.iter().filter(|it| !it.note.is_empty()) {
        println!("* *{}*: {}.", contender.name, contender.note);
    }
    println!("\nVersions: {}.", versions::line());
}

fn row(contender: &Contender, figures: &Figures) -> String {
    let wall = figures.wall;
    let Throughput { one_session, many_sessions, many_to_floor } = figures.throughput;
    let one_session = one_session.map_or("–".to_owned(), |it| format!("{it:.3}"));
    format!(
        "| {} | {:.2} | {:.2} | {:.0} | {:.0} | {:.1} | {one_session} | {many_sessions:.3} | \
         {many_to_floor:.3} |",
        contender.name, wall.to_floor, wall.to_bare, wall.median, wall.least, figures.allocations,
    )
}

fn instructions(own: &Figures, floor: Option<&Figures>) -> String {
    let Some(count) = own.instructions else { return String::new() };
    let floor = floor.and_then(|it| it.instructions).unwrap_or_default();
    format!(" {count} | {:+} |", i128::from(count) - i128::from(floor))
}
