//! Compares docs/ecosystem.md with the tests and the lock file of `examples/ecosystem`.

use std::{collections::HashMap, fs, path::Path};

use crate::read;

/// A library of the page.
#[derive(Debug)]
struct Row<'a> {
    crates: Vec<&'a str>,
    version: &'a str,
    shown_by: &'a str,
}

/// The rows of the tables with five columns.
fn rows(page: &str) -> Vec<Row<'_>> {
    let mut found = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if cells.len() != 5 {
            continue;
        }
        // Names of items stand after the word `its`.
        let (crates, _) = cells[0].split_once("its ").unwrap_or((cells[0], ""));
        found.push(Row {
            crates: crates.split('`').skip(1).step_by(2).collect(),
            version: cells[1],
            shown_by: cells[4],
        });
    }
    found
}

/// The versions of each package in a lock file.
fn locked(lock: &str) -> HashMap<&str, Vec<&str>> {
    let mut found: HashMap<&str, Vec<&str>> = HashMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key))?;
            line.strip_prefix(" = \"")?.strip_suffix('"')
        };
        let name = value("name").expect("a package has a name");
        let version = value("version").expect("a package has a version");
        found.entry(name).or_default().push(version);
    }
    found
}

/// The mistakes of a row: versions that are not locked, tests that are not there.
fn mistakes(
    row: &Row<'_>,
    locked: &HashMap<&str, Vec<&str>>,
    has_test: &dyn Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    let tests: Vec<&str> = row.shown_by.split('`').skip(1).step_by(2).collect();
    let is_by_hand = row.shown_by.starts_with("by hand, 20");
    if tests.is_empty() {
        if row.shown_by != "not tried" && !is_by_hand {
            found.push(format!("{row:?} names no test, no day and no `not tried`"));
        }
        return found;
    }
    for test in tests.iter().filter(|test| !has_test(test)) {
        found.push(format!("{row:?}: there is no {test}"));
    }
    for name in &row.crates {
        let versions = locked.get(name).map_or(&[][..], Vec::as_slice);
        if !versions.contains(&row.version) {
            found.push(format!(
                "{name}: the lock file has {versions:?}, not {}",
                row.version
            ));
        }
    }
    found
}

#[test]
fn the_libraries_are_told_as_they_are_tested() {
    let page = read("docs/ecosystem.md");
    let lock = read("examples/ecosystem/Cargo.lock");
    let (rows, locked) = (rows(&page), locked(&lock));
    assert!(rows.len() > 10, "{rows:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let has_test = |test: &str| {
        let (package, own) = (root.join("examples/ecosystem").join(test), root.join(test));
        package.exists() || own.join("main.rs").exists()
    };
    let found: Vec<String> = rows
        .iter()
        .flat_map(|row| mistakes(row, &locked, &has_test))
        .collect();
    assert!(found.is_empty(), "docs/ecosystem.md: {found:#?}");
    // A test that no row names is one of which no reader hears.
    let folder = fs::read_dir(root.join("examples/ecosystem/tests")).unwrap();
    for entry in folder.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let is_test = name.ends_with(".rs") || entry.path().join("main.rs").exists();
        // A row may name one file of a suite.
        let told = [format!("`tests/{name}`"), format!("`tests/{name}/")];
        assert!(
            !is_test || told.iter().any(|told| page.contains(told)),
            "docs/ecosystem.md lacks {}",
            told[0]
        );
    }
    let untried = rows.iter().filter(|row| row.shown_by == "not tried");
    for name in untried.flat_map(|row| &row.crates) {
        let of_it = rows.iter().filter(|row| row.crates.contains(name));
        assert_eq!(of_it.count(), 1, "{name} is tried and not tried");
    }
}

#[test]
fn a_library_that_is_not_tested_is_found() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"a\"\nversion = \"0.9.0\"\n";
    let locked = locked(lock);
    let count = |line: &str| {
        let rows = rows(line);
        mistakes(&rows[0], &locked, &|test| test == "tests/a.rs").len()
    };
    assert_eq!(count("| `a` | 1.0.0 | x |  | `tests/a.rs` |"), 0);
    assert_eq!(count("| `a`, its `b` | 0.9.0 | x |  | `tests/a.rs` |"), 0);
    assert_eq!(count("| `a` | 1.1.0 | x |  | `tests/a.rs` |"), 1);
    assert_eq!(
        count("| `b` | 1.0.0 | x |  | `tests/a.rs`, `tests/b.rs` |"),
        2
    );
    assert_eq!(count("| `b` | 1 | x |  | not tried |"), 0);
    assert_eq!(count("| `b` | 1 | x |  | by hand, 2026-11-30 |"), 0);
    assert_eq!(count("| `b` | 1 | x |  | it works |"), 1);
}
