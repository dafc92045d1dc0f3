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

/// The numbers in a text, ranges such as "A01 to A12" counted out.
fn counted_out(text: &str) -> BTreeSet<String> {
    let mut numbers: BTreeSet<String> = case_numbers(text).collect();
    for (before, after) in text.match_indices(" to ").map(|(at, to)| text.split_at(at + to.len())) {
        let first = case_numbers(before).last().filter(|it| before.ends_with(&format!("{it} to ")));
        let last = case_numbers(after).next().filter(|it| after.starts_with(it.as_str()));
        let (Some(first), Some(last)) = (first, last) else { continue };
        let number = |text: &str| text[1..].parse::<u32>().expect("two digits");
        let between = number(&first)..=number(&last);
        numbers.extend(between.map(|number| format!("{}{number:02}", &first[..1])));
    }
    numbers
}

/// The numbers that the page explains.
fn explained() -> BTreeSet<String> {
    let page = read("docs/cases.md");
    let cells = page.lines().filter(|line| line.starts_with("| "));
    cells.flat_map(|line| counted_out(line.split('|').nth(1).unwrap_or_default())).collect()
}

fn files_with_tests() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        rust_files(&root().join(folder), &mut files);
    }
    files
}

/// The tests of a file, by name, each with its doc comment.
fn tests_in(file: &Path) -> Vec<(String, String)> {
    let (mut tests, mut doc, mut is_test) = (Vec::new(), String::new(), false);
    for line in fs::read_to_string(file).expect("text").lines().map(str::trim_start) {
        if let Some(text) = line.strip_prefix("///") {
            doc += text;
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else {
            let doc = std::mem::take(&mut doc);
            if let (true, Some((_, name))) = (std::mem::take(&mut is_test), line.split_once("fn "))
            {
                let name = name.split(['(', '<']).next().unwrap_or_default();
                tests.push((name.to_owned(), doc));
            }
        }
    }
    tests
}

/// From the tests to the page: no number without a statement.
#[test]
fn every_case_that_a_test_names_is_explained() {
    let explained = explained();
    assert!(explained.len() > 150, "only {} cases", explained.len());
    let mut missing = BTreeSet::new();
    for file in files_with_tests() {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines().filter(|line| line.trim_start().starts_with("///")) {
            for number in case_numbers(line).filter(|number| !explained.contains(number)) {
                missing.insert(format!("{number} in {}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "docs/cases.md does not explain {missing:#?}");
}

/// And back: no statement that no test claims to prove.
#[test]
fn every_case_that_is_explained_is_named_by_a_test() {
    let mut named = BTreeSet::new();
    for file in files_with_tests() {
        for (_, doc) in tests_in(&file) {
            named.extend(counted_out(&doc));
        }
    }
    let missing: Vec<String> = explained().into_iter().filter(|it| !named.contains(it)).collect();
    assert!(missing.is_empty(), "no test names {missing:?} of docs/cases.md");
}

/// A test says what it proves, by number or in words.
#[test]
fn every_test_of_the_whole_stack_says_what_it_proves() {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    let tests: Vec<_> = files.iter().flat_map(|file| tests_in(file)).collect();
    assert!(tests.len() > 250, "only {} tests", tests.len());
    let silent: Vec<_> = tests.iter().filter(|(_, doc)| doc.is_empty()).collect();
    assert!(silent.is_empty(), "without a doc comment: {silent:?}");
}

/// Every relative link leads to a file.
#[test]
fn links_between_the_pages_lead_somewhere() {
    let pages = fs::read_dir(root().join("docs")).expect("a folder");
    let pages = pages.map(|page| page.expect("an entry").path()).chain([root().join("README.md")]);
    let mut links = 0;
    for page in pages.filter(|path| path.extension().is_some_and(|it| it == "md")) {
        let text = fs::read_to_string(&page).expect("text");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains(':') {
                continue; // on the same page, elsewhere, or an item of the crate
            }
            links += 1;
            let path = page.parent().expect("a folder").join(file);
            assert!(path.is_file(), "{} links to {file}", page.display());
        }
    }
    assert!(links >= 6, "only {links} links");
}

/// O06: each row of the page about orders names its tests, and each test about orders has its row.
#[test]
fn every_row_of_the_page_about_orders_has_its_tests() {
    let mut files = Vec::new();
    rust_files(&root().join("tests"), &mut files);
    let known: BTreeSet<String> =
        files.iter().flat_map(|file| tests_in(file)).map(|(name, _)| name).collect();
    let page = read("docs/order.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("Proved by |"));
    let mut named = BTreeSet::new();
    for row in rows {
        let proofs = row.trim_end_matches(" |").rsplit(" | ").next().unwrap_or_default();
        let proofs: Vec<&str> = code_in(proofs).collect();
        assert!(!proofs.is_empty(), "nothing proves {row}");
        for proof in proofs {
            assert!(known.contains(proof), "no test is {proof} of {row}");
            named.insert(proof.to_owned());
        }
    }
    assert!(named.len() > 40, "only {} tests", named.len());
    for file in ["tests/order.rs", "tests/order_bodies.rs", "tests/order_limits.rs"] {
        for (test, _) in tests_in(&root().join(file)) {
            assert!(named.contains(&test), "docs/order.md has no row for {test}");
        }
    }
}

/// Y08: each sentence about several instances is quoted by a test, and no test quotes another.
#[test]
fn every_sentence_about_instances_has_its_test() {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let page = read("docs/instances.md");
    let lists = page.split("\n\n").flat_map(|block| block.split("\n* ").map(move |it| (block, it)));
    let sentences: BTreeSet<String> = lists
        .filter(|(block, _)| block.starts_with("* "))
        .map(|(_, sentence)| words(sentence.trim_start_matches("* ")))
        .collect();
    assert!(sentences.len() > 15, "only {} sentences", sentences.len());
    let quoted: BTreeSet<String> = tests_in(&root().join("tests/instances.rs"))
        .iter()
        .filter_map(|(_, doc)| Some(words(doc.split_once('"')?.1.rsplit_once('"')?.0)))
        .collect();
    assert_eq!(sentences, quoted);
}

/// N09: nothing can be set that README.md does not name.
#[test]
fn the_readme_names_every_variable_and_setter() {
    let readme = read("README.md");
    let errors = read("src/config/error.rs");
    let variables = errors.split('"').filter(|text| text.starts_with("LP_"));
    for variable in variables {
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

/// The text of all sources, string literals that go on in the next line put together.
fn source() -> String {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    let texts = files.iter().map(|file| fs::read_to_string(file).expect("text"));
    let mut whole = String::new();
    for text in texts {
        let mut lines = text.split("\\\n");
        whole += lines.next().unwrap_or_default();
        lines.for_each(|line| whole += line.trim_start());
    }
    whole
}

/// The code in a page.
fn code_in(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

/// What operators are told to look for is what the code says.
#[test]
fn messages_and_metrics_of_the_page_for_operators_are_the_codes() {
    let (page, source) = (read("docs/operators.md"), source());
    let messages: BTreeSet<&str> = code_in(&page).filter(|code| code.starts_with('"')).collect();
    assert!(messages.len() >= 10, "only {messages:?}");
    for message in messages {
        assert!(source.contains(message), "nothing logs {message}");
    }
    let metrics: BTreeSet<&str> =
        code_in(&page).filter(|code| code.starts_with("lp_auth_")).collect();
    assert!(metrics.len() >= 6, "only {metrics:?}");
    for metric in metrics {
        assert!(source.contains(&format!("\"{metric}\"")), "nothing counts {metric}");
        assert!(read("docs/observability.md").contains(metric), "{metric} is not explained");
    }
    for label in [
        "unavailable",
        "refused",
        "full",
        "failed",
        "unknown",
        "misconfigured",
        "rotation_lost",
        "refresh_refused",
        "not_signed_in",
        "clock_skew",
        "foreign",
    ] {
        assert!(page.contains(&format!("`{label}`")), "the page does not mention {label}");
        assert!(source.contains(&format!("\"{label}\"")), "no label is {label}");
    }
}

/// The times and rights that operators are told are the code's.
#[test]
fn times_and_rights_of_the_page_for_operators_are_the_codes() {
    let (page, source) = (read("docs/operators.md"), source());
    for (constant, documented) in [
        ("READ_WITHIN: Duration = Duration::from_millis(250)", "503 after 250 ms (a read)"),
        ("WRITE_WITHIN: Duration = Duration::from_millis(500)", "500 ms (a write)"),
        ("LEASE: Duration = Duration::from_secs(12)", "| 12 s, renewed every 4 s;"),
        ("FRESH_PART: u32 = 3", "| 12 s, renewed every 4 s;"),
        ("PAUSE: Duration = Duration::from_secs(2)", "once more after 2 s"),
        ("FAILURE_MEMORY: Duration = Duration::from_secs(10)", "tried again after 10 s"),
        ("REMEMBERED: Duration = Duration::from_secs(60)", "refreshes of the last 60 s"),
        ("QUIET: Duration = Duration::from_millis(250)", "at most four times a second"),
        ("DEFAULT_SESSIONS: usize = 100_000", "It holds 100,000"),
        ("LEDGER_ENTRIES: usize = 100_000", "at most 100,000 entries"),
        ("LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60)", "| 10 min (`login_lifetime`)"),
    ] {
        assert!(source.contains(constant), "the constant has changed: {constant}");
        assert!(page.contains(documented), "the page does not say {documented}");
    }
    let rights: BTreeSet<String> = page
        .split_whitespace()
        .map(|word| word.trim_matches(['`', ',', ';', ':']))
        .filter(|word| word.starts_with('+'))
        .map(str::to_owned)
        .collect();
    let code = read("src/session/store/redis/mod.rs");
    let documented = code.lines().filter_map(|line| line.strip_prefix("///"));
    let documented: BTreeSet<String> = documented
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_matches(['`', ',', ';', '.', ':']))
        .filter(|word| word.starts_with('+'))
        .map(str::to_owned)
        .collect();
    assert!(rights.len() > 10, "only {rights:?}");
    assert_eq!(rights, documented);
}
