//! How many instructions each path of the layer may add to its floor, and what breaks that. Counts
//! come from `scripts/instructions.sh`; nothing here counts.

#![allow(dead_code, unreachable_pub, reason = "each target uses a part of it")]

use std::{fmt, num::ParseIntError};

/// So many per cent above or below break a budget. Runs differ by half of one.
const PERCENT: u64 = 5;

/// So many instructions do not, where the budget is small: a floor and its path can differ by as much
/// when a value that is moved begins elsewhere on its cache line.
const SLACK: u64 = 50;

/// What one path adds to its floor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub instructions: i64,
}

/// Why a budget is not kept.
#[derive(Debug, PartialEq, Eq)]
pub enum Breach<'a> {
    /// The path has become dearer.
    Above(&'a Entry, i64),
    /// The path has become cheaper, and a later loss of that would pass unseen.
    Below(&'a Entry, i64),
    /// Somebody has added a path.
    NoBudget(&'a Entry),
    /// Somebody has removed a path.
    NoPath(&'a Entry),
}

/// Reads lines of a name, blanks and a number; those that begin with `#` are comments.
pub fn read(text: &str) -> Result<Vec<Entry>, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines.map(|line| entry(line).ok_or_else(|| format!("no name and number: {line:?}"))).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let (name, number) = line.trim().rsplit_once(char::is_whitespace)?;
    let number: Result<i64, ParseIntError> = number.parse();
    Some(Entry { name: name.trim_end().to_owned(), instructions: number.ok()? })
}

/// What [`read`] reads.
pub fn write(entries: &[Entry]) -> String {
    entries.iter().map(|it| format!("{:<20} {:>6}\n", it.name, it.instructions)).collect()
}

/// All that is wrong, in the order of what was counted; budgets of nothing come last.
pub fn breaches<'a>(budget: &'a [Entry], counted: &'a [Entry]) -> Vec<Breach<'a>> {
    let wrong = counted.iter().filter_map(|it| match named(&it.name, budget) {
        Some(limit) => compare(limit, it.instructions),
        None => Some(Breach::NoBudget(it)),
    });
    let unused = budget.iter().filter(|it| named(&it.name, counted).is_none());
    wrong.chain(unused.map(Breach::NoPath)).collect()
}

fn compare(budget: &Entry, counted: i64) -> Option<Breach<'_>> {
    let room = (budget.instructions.unsigned_abs() * PERCENT / 100).max(SLACK);
    if counted.abs_diff(budget.instructions) <= room {
        None
    } else if counted > budget.instructions {
        Some(Breach::Above(budget, counted))
    } else {
        Some(Breach::Below(budget, counted))
    }
}

fn named<'a>(name: &str, entries: &'a [Entry]) -> Option<&'a Entry> {
    entries.iter().find(|it| it.name == name)
}

impl Breach<'_> {
    /// A stale budget is only told of: another machine may take a few instructions less.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Below(..))
    }
}

impl fmt::Display for Breach<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(Entry { name, instructions }, counted) => {
                write!(
                    f,
                    "{name}: {counted} instructions over its floor, the budget is {instructions}"
                )?;
                change(f, *instructions, *counted)
            }
            Self::Below(Entry { name, instructions }, counted) => {
                write!(
                    f,
                    "{name}: only {counted} instructions over its floor, the budget of {instructions} is stale"
                )?;
                change(f, *instructions, *counted)
            }
            Self::NoBudget(Entry { name, instructions }) => {
                write!(f, "{name}: {instructions} instructions over its floor, and no budget")
            }
            Self::NoPath(Entry { name, instructions }) => {
                write!(
                    f,
                    "{name}: a budget of {instructions} instructions, and nothing by that name"
                )
            }
        }
    }
}

fn change(f: &mut fmt::Formatter<'_>, from: i64, to: i64) -> fmt::Result {
    write!(f, " ({:+.1} %)", (to - from) as f64 * 100.0 / from as f64)
}
