//! Compares what the pages say with the code: limits, paths of files, names of suites, features,
//! libraries.
#![cfg(feature = "http")]

mod ecosystem;
mod features;
mod pages;

use std::{collections::HashMap, fs, path::Path};

use annulus::http::{Limits, Timeouts};

/// A row of a table.
struct Row {
    name: String,
    default: String,
    places: String,
}

/// Parts of a constant's name that make it one of those that are told.
const TOLD: [&str; 6] = ["_MAX", "_MIN", "_TIMEOUT", "_LIMIT", "_PER_TURN", "_PART"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows() -> Vec<Row> {
    let text = read("docs/limits.md");
    let rows: Vec<Row> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 5, "expected five cells: {line}");
            Row {
                name: cells[0].trim_matches('`').to_owned(),
                default: cells[1].to_owned(),
                places: cells[2].to_owned(),
            }
        })
        .collect();
    assert!(
        rows.len() > 80,
        "expected the tables, found {} rows",
        rows.len()
    );
    rows
}

/// A figure with its unit in its smallest: bytes, or microseconds.
fn quantity(text: &str) -> Option<u64> {
    let (figure, unit) = text.split_once(' ').unwrap_or((text, ""));
    let scale = match unit {
        "" | "bytes" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "ms" => 1000,
        "s" => 1_000_000,
        _ => return None,
    };
    Some(figure.replace(',', "").parse::<u64>().ok()? * scale)
}

/// The value of an expression as limits are written.
fn value(expression: &str) -> Option<u64> {
    let expression = expression.trim();
    let inside = |begin: &str| expression.strip_prefix(begin)?.strip_suffix(')');
    if let Some(inner) = inside("Some(") {
        return value(inner);
    }
    if let Some(seconds) = inside("Duration::from_secs(") {
        return Some(value(seconds)? * 1_000_000);
    }
    if let Some(millis) = inside("Duration::from_millis(") {
        return Some(value(millis)? * 1000);
    }
    if let Some((left, right)) = expression.split_once("<<") {
        return Some(value(left)? << value(right)?);
    }
    if let Some((left, right)) = expression.split_once('*') {
        return Some(value(left)? * value(right)?);
    }
    let figure = expression.trim_end_matches(".0").replace('_', "");
    match &*figure {
        "u16::MAX as usize" => Some(u64::from(u16::MAX)),
        figure => figure.parse().ok(),
    }
}

/// The value that a file gives a constant, or a field of a default.
fn expression<'a>(source: &'a str, name: &str) -> Option<&'a str> {
    source.lines().map(str::trim).find_map(|line| {
        if let Some((declared, value)) = line.split_once(" = ") {
            let (before, _) = declared.split_once(':')?;
            let is_it = before.contains("const ") && before.ends_with(&format!(" {name}"));
            return is_it.then(|| value.trim_end_matches(';'));
        }
        let value = line
            .strip_prefix(name)?
            .strip_prefix(": ")?
            .strip_suffix(',')?;
        (value == "None" || self::value(value).is_some()).then_some(value)
    })
}

/// Fields and values of a structure, as it prints itself.
fn fields(printed: &str) -> HashMap<&str, u64> {
    let (_, inner) = printed.split_once('{').unwrap();
    let inner = inner.trim_end_matches('}');
    inner
        .split(',')
        .map(|field| {
            let (name, value) = field.split_once(':').unwrap();
            let value = value.trim();
            let seconds = value.strip_suffix('s').map(str::parse::<u64>);
            let value = match seconds {
                Some(seconds) => seconds.ok().map(|seconds| seconds * 1_000_000),
                None => value.parse().ok(),
            };
            (
                name.trim(),
                value.unwrap_or_else(|| panic!("cannot read {field}")),
            )
        })
        .collect()
}

fn check_structure(name: &str, printed: &str) {
    let mut found = fields(printed);
    for row in rows() {
        let Some(field) = row
            .name
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix("::"))
        else {
            continue;
        };
        let value = found.remove(field);
        assert_eq!(quantity(&row.default), value, "{}", row.name);
    }
    assert!(
        found.is_empty(),
        "docs/limits.md does not tell of {name}'s {found:?}"
    );
}

#[test]
fn the_limits_and_times_of_a_server_are_told_as_they_are() {
    check_structure("Limits", &format!("{:?}", Limits::default()));
    let printed = format!("{:?}", Timeouts::default());
    check_structure("Timeouts", &printed.replace("0ns", "0s"));
}

#[test]
fn the_other_limits_are_told_as_they_are() {
    let mut count = 0;
    for row in rows() {
        for place in row.places.split('`').filter(|place| place.ends_with(".rs")) {
            let source = read(&format!("src/{place}"));
            let Some(expression) = expression(&source, &row.name) else {
                panic!("{place} has no {}", row.name);
            };
            let told = quantity(&row.default);
            assert_eq!(
                told,
                value(expression),
                "{} in {place}: {expression}",
                row.name
            );
            assert!(told.is_some() || row.default == "none", "{}", row.name);
            count += 1;
        }
    }
    assert!(count > 60, "expected many places, found {count}");
}

#[test]
fn every_limit_of_http_is_told() {
    let rows = rows();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("tests") {
                    folders.push(path);
                }
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let names = source.lines().filter_map(|line| {
                let (_, declared) = line.split_once("const ")?;
                declared.split_once(':').map(|(name, _)| name)
            });
            for name in names.filter(|name| TOLD.iter().any(|part| name.ends_with(part))) {
                let is_told = rows.iter().any(|row| {
                    let mut places = row.places.split('`');
                    row.name == name && places.any(|place| path.ends_with(place))
                });
                // 2^63 stands in the reason of the row before.
                assert!(
                    is_told || name == "SIZE_LIMIT",
                    "docs/limits.md lacks {name} of {}",
                    path.display()
                );
            }
        }
    }
}

/// The paths of all Rust files of the repository.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["src", "tests", "benches", "examples"]
        .map(|folder| root.join(folder))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let path = path.strip_prefix(root).unwrap();
                found.push(format!("/{}", path.display()));
            }
        }
    }
    found
}

/// The names of Rust files in `text`, in backticks, that are the end of no path in `sources`.
fn unknown_files<'a>(text: &'a str, sources: &[String]) -> Vec<&'a str> {
    text.split('`')
        .filter(|name| name.ends_with(".rs") && !name.contains([' ', '\n', '*']))
        .filter(|name| {
            !sources
                .iter()
                .any(|path| path.ends_with(&format!("/{name}")))
        })
        .collect()
}

#[test]
fn the_files_that_pages_name_exist() {
    let sources = sources();
    let pages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(&page).unwrap();
        let unknown = unknown_files(&text, &sources);
        assert!(unknown.is_empty(), "{}: {unknown:?}", page.display());
    }
}

#[test]
fn a_file_that_does_not_exist_is_found() {
    let sources = ["/src/net/turns.rs".to_owned()];
    let text = "`net/turns.rs`, `turns.rs`, `urns.rs`, `fs/turns.rs`";
    assert_eq!(unknown_files(text, &sources), ["urns.rs", "fs/turns.rs"]);
}

/// The names of the suites in `tests/`.
fn suites() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let entries = fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let suites = paths.filter(|path| path.join("main.rs").exists());
    suites
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// The suites of which `text` does not tell, as "**`NAME`**".
fn untold_suites<'a>(text: &str, suites: &'a [String]) -> Vec<&'a String> {
    let is_told = |suite: &&String| text.contains(&format!("**`{suite}`**"));
    suites.iter().filter(|suite| !is_told(suite)).collect()
}

#[test]
fn contributors_are_told_of_every_suite() {
    let suites = suites();
    let untold = untold_suites(&read("CONTRIBUTING.md"), &suites);
    assert!(untold.is_empty(), "CONTRIBUTING.md lacks {untold:?}");
}

#[test]
fn a_suite_that_is_not_told_is_found() {
    let suites = ["api", "late"].map(str::to_owned);
    assert_eq!(untold_suites("**`api`** and `late`", &suites), ["late"]);
}
