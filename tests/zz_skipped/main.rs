//! The closing line of `cargo test`: which tests were skipped, and why.
//!
//! Cargo runs suites in the order of their names, so this one is the last; only the tests in docs
//! come after it, and they skip nothing. It has no test harness, which would hide the line.

#[path = "../support/mod.rs"]
mod support;

use std::{env, fs, path::Path, process};

use support::{Folder, build, skip};

fn main() {
    // Editors and cargo's companions ask for the names of tests.
    if env::args().any(|argument| argument == "--list") {
        return;
    }
    tests_are_named_by_reason();
    only_records_of_this_run_are_told();
    it_is_the_last_suite();
    all_features_are_known();
    let records = skip::take_records(&skip::records(), &skip::Run::current());
    println!("{}", closing_line(&records));
}

/// The line, the features that were left out by the caller of cargo, and the package that has tests
/// of its own.
fn closing_line(records: &str) -> String {
    let mut line = skip::closing_line(records);
    let off = build::OPTIONAL.iter().filter(|(_, is_on)| !is_on);
    let mut off: Vec<&str> = off.map(|(name, _)| *name).collect();
    if !cfg!(feature = "http") {
        off.insert(0, "http");
    }
    if !off.is_empty() {
        line += "; not built: the tests of ";
        line += &off.join(", ");
        line += " (`--all-features` builds them)";
    }
    line += "; other libraries are tested in a package of their own (`cd examples/ecosystem && cargo test`)";
    line
}

fn tests_are_named_by_reason() {
    for (records, line) in [
        ("", "nothing was skipped"),
        ("a::b\tno wrk\n", "skipped: 1 test (a::b: no wrk)"),
        ("a\tno wrk\na\tno wrk\n", "skipped: 1 test (a: no wrk)"),
        (
            "c\tno wrk\na\tno curl\nb\tno wrk\n",
            "skipped: 3 tests (a: no curl; b, c: no wrk)",
        ),
        // A line that was cut.
        ("a\tno wrk\nb", "skipped: 1 test (a: no wrk)"),
    ] {
        assert_eq!(skip::closing_line(records), line);
    }
}

fn only_records_of_this_run_are_told() {
    let place = Folder::new("skipped");
    let folder = place.path("records");
    let this = skip::Run::current();
    let ended = skip::Run {
        start: this.start + 1,
        ..this
    };
    let beside = skip::Run::of(process::id()).unwrap();
    assert_eq!(skip::take_records(&folder, &this), "");
    skip::record(&folder, &this, "a", "two\nlines").unwrap();
    skip::record(&folder, &ended, "b", "no wrk").unwrap();
    skip::record(&folder, &this, "c", "no wrk").unwrap();
    fs::write(folder.join("stray"), "d\tno wrk\n").unwrap();
    skip::record(&folder, &beside, "e", "no wrk").unwrap();
    assert_eq!(
        skip::take_records(&folder, &this),
        "a\ttwo lines\nc\tno wrk\n"
    );
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    assert_eq!(skip::take_records(&folder, &this), "");
    assert_eq!(skip::take_records(&folder, &beside), "e\tno wrk\n");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

fn it_is_the_last_suite() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let suites = fs::read_dir(tests).unwrap().flatten();
    let suites = suites.filter(|entry| entry.path().join("main.rs").exists());
    let last = suites.map(|entry| entry.file_name()).max();
    assert_eq!(last.unwrap(), env!("CARGO_CRATE_NAME"));
}

/// A suite that builds other programs would build the whole crate anew without a feature.
fn all_features_are_known() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = fs::read_to_string(manifest).unwrap();
    let lines = manifest.lines().skip_while(|line| *line != "[features]");
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let mut names: Vec<&str> = lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with('#') && !["default", "http"].contains(name))
        .collect();
    names.sort_unstable();
    assert_eq!(build::OPTIONAL.map(|(name, _)| name).as_slice(), names);
}
