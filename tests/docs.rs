//! The documentation does not drift from the code.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A case's number: a capital letter and two digits, and nothing that makes it part of a word.
fn case_numbers(text: &str) -> impl Iterator<Item = String> {
    let is_number = |word: &&str| {
        let bytes = word.as_bytes();
        bytes.len() == 3
            && matches!(bytes[0], b'A'..=b'P' | b'X' | b'Y')
            && bytes[1..].iter().all(u8::is_ascii_digit)
    };
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(is_number).map(str::to_owned)
}

/// The numbers that the page explains, ranges such as "A01 to A12" counted out.
fn explained() -> BTreeSet<String> {
    let mut numbers = BTreeSet::new();
    for line in read("docs/cases.md").lines().filter(|line| line.starts_with("| ")) {
        let cell = line.split('|').nth(1).unwrap_or_default();
        let named: Vec<String> = case_numbers(cell).collect();
        if let ([first, last], true) = (&named[..], cell.contains(" to ")) {
            let number = |text: &str| text[1..].parse::<u32>().expect("two digits");
            numbers.extend(
                (number(first)..=number(last)).map(|number| format!("{}{number:02}", &first[..1])),
            );
        } else {
            numbers.extend(named);
        }
    }
    numbers
}

#[test]
fn every_case_that_a_test_names_is_explained() {
    let explained = explained();
    assert!(explained.len() > 150, "only {} cases", explained.len());
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut missing = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("///")) {
            for number in case_numbers(line).filter(|number| !explained.contains(number)) {
                missing.insert(format!("{number} in {}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "docs/cases.md does not explain {missing:#?}");
}

#[test]
fn the_readme_names_every_variable_and_setter() {
    let readme = read("README.md");
    let errors = read("src/config/error.rs");
    let variables = errors.split('"').filter(|text| text.starts_with("LP_"));
    for variable in variables.filter(|variable| *variable != "LP_REDIS_URL") {
        assert!(readme.contains(&format!("`{variable}`")), "README.md lacks {variable}");
    }
    let builder = read("src/config/builder.rs");
    let setters = builder
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub fn "))
        .filter_map(|line| line.split(['(', '<']).next())
        // Of tests alone.
        .filter(|name| *name != "clock");
    for setter in setters {
        assert!(readme.contains(&format!("`{setter}`")), "README.md lacks {setter}");
    }
}

/// N09.
#[test]
fn documented_defaults_are_the_codes() {
    let builder = read("src/config/builder.rs");
    let readme = read("README.md");
    for (constant, documented) in [
        ("REFRESH_AFTER: Duration = Duration::from_secs(30 * 60)", "| `1800` |"),
        ("IDLE_LIFETIME: Duration = Duration::from_secs(8 * 60 * 60)", "`idle_lifetime` (8 h)"),
        (
            "ABSOLUTE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60)",
            "`absolute_lifetime` (24 h)",
        ),
        ("LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60)", "`login_lifetime` (10 min)"),
    ] {
        assert!(builder.contains(constant), "the default has changed: {constant}");
        assert!(readme.contains(documented), "README.md does not say {documented}");
    }
}
