//! Holds the rules that the compiler does not know: layers, sizes, where raw names and unsafe code
//! may stand, what must not be left behind.
//!
//! Each rule is a function from text to findings, with a test that shows it can fail.

#[path = "../../benches/comparison/mod.rs"]
mod comparison;
mod comparison_tests;
mod drawing;
mod imports;
mod layered;
mod modules;
mod rules;
mod source;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use source::Source;

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const EXAMPLE_LINES_MAX: usize = 60;
const ALL: [&str; 4] = ["src", "examples", "tests", "benches"];

#[test]
fn layers_are_kept() {
    check(&["src"], |source, _| {
        if source.is_tests() {
            return Vec::new();
        }
        rules::layers(&source.without_tests())
    });
}

/// With `--nocapture` it prints how many imports there are between the rooms.
#[test]
fn the_rooms_of_http_are_kept() {
    let imports = imports::Imports::of(library());
    let mut findings = Vec::new();
    for rooms in &imports::ROOMS {
        let (found, count, upward) = imports::rooms(&imports, rooms);
        let pairs = imports.between(rooms.module).len();
        println!(
            "{}: {count} imports between {pairs} pairs of rooms, {upward} upward",
            rooms.module
        );
        findings.extend(found);
    }
    fail_with(findings);
}

#[test]
fn modules_have_one_form() {
    let sources = files("src", "rs").into_iter();
    let findings = sources.flat_map(|(path, _)| modules::module_files(&path));
    fail_with(findings.collect());
    check(&ALL, |source, text| {
        modules::one_import_a_root(&source.path, text)
    });
}

#[test]
fn the_drawing_of_the_modules_is_what_the_sources_give() {
    let drawing = drawing::draw(library);
    comparison_tests::check_svg(&drawing);
    let path = root().join("docs/modules.svg");
    if std::env::var_os("ANNULUS_UPDATE").is_some() {
        let is_strict = std::env::var_os("ANNULUS_REQUIRE_ALL").is_some();
        assert!(
            !is_strict,
            "a strict run compares the drawing and writes none"
        );
        fs::write(&path, &drawing).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        drawing == committed,
        "docs/modules.svg is out of date: `ANNULUS_UPDATE=1 cargo test --test tidy` draws it anew"
    );
}

#[test]
fn raw_names_stand_in_sys() {
    check(&["src"], |source, _| rules::raw_names(source));
}

#[test]
fn unsafe_code_stands_in_its_modules() {
    check(&["src", "examples"], |source, _| rules::unsafe_code(source));
    check(&["src"], |source, _| {
        if source.path == Path::new("src/lib.rs") {
            rules::unsafe_expectations(&source.without_tests())
        } else {
            Vec::new()
        }
    });
}

#[test]
fn lints_are_silenced_with_a_reason() {
    check(&ALL, |source, _| rules::silenced_lints(source));
}

#[test]
fn nothing_is_left_behind() {
    check(&ALL, |source, _| rules::leftovers(source));
}

#[test]
fn features_stand_on_modules() {
    check(&["src"], |source, _| rules::feature_places(source));
}

#[test]
fn layers_below_http_do_not_name_it() {
    check(&["src"], rules::below_http);
}

#[test]
fn examples_use_this_crate_only() {
    check(&["examples"], |source, _| rules::example_uses(source));
}

#[test]
fn files_are_small() {
    check(&["src", "tests", "benches"], |source, text| {
        if source.path.starts_with("src") && source.is_tests() {
            return Vec::new();
        }
        rules::size(source, text, FILE_LINES_MAX)
    });
    check(&["examples"], |source, text| {
        // A package of programs and tests, as the crate is.
        let is_package = source.path.starts_with("examples/ecosystem");
        let lines_max = if is_package {
            FILE_LINES_MAX
        } else {
            EXAMPLE_LINES_MAX
        };
        rules::size(source, text, lines_max)
    });
}

#[test]
fn functions_are_short() {
    check(&["src"], |source, _| {
        if source.is_tests() {
            return Vec::new();
        }
        rules::function_size(&source.without_tests(), FUNCTION_LINES_MAX)
    });
}

#[test]
fn suites_have_their_place_and_share_by_support() {
    check(&["tests"], |source, text| {
        rules::test_places(&source.path, text)
    });
}

#[test]
fn text_has_no_em_dash() {
    check(&ALL, |source, text| rules::em_dashes(&source.path, text));
    let mut texts = files("docs", "md");
    for name in [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.toml",
        ".ci/run",
        ".ci/kernel",
        ".ci/msrv",
    ] {
        texts.push((
            name.into(),
            fs::read_to_string(root().join(name)).unwrap_or_default(),
        ));
    }
    fail_with(
        texts
            .iter()
            .flat_map(|(path, text)| rules::em_dashes(path, text))
            .collect(),
    );
}

#[test]
fn docs_begin_with_the_thing() {
    // Benchmarks begin with the question that they answer.
    check(&["src", "examples", "tests"], |source, text| {
        words::clauses_as_subjects(&source.path, text)
    });
}

#[test]
fn sentences_begin_with_their_subject() {
    check(&["src", "examples"], |source, _| {
        words::clauses_as_sentences(&source.path, &words::prose(source))
    });
    let texts = texts().into_iter();
    // The page about style shows both.
    let texts = texts.filter(|(path, _)| path != Path::new("docs/style.md"));
    fail_with(
        texts
            .flat_map(|(path, text)| words::clauses_as_sentences(&path, &text))
            .collect(),
    );
}

#[test]
fn after_is_for_order() {
    check(&ALL, |source, _| {
        words::order(&source.path, &words::prose(source))
    });
    let texts = texts().into_iter();
    // The page about style shows both.
    let texts = texts.filter(|(path, _)| path != Path::new("docs/style.md"));
    fail_with(
        texts
            .flat_map(|(path, text)| words::order(&path, &text))
            .collect(),
    );
}

#[test]
fn tasks_and_callers_are_no_persons() {
    check(&ALL, |source, _| {
        words::persons(&source.path, &words::prose(source))
    });
    let texts = texts().into_iter();
    // The page about style names the words.
    let texts = texts.filter(|(path, _)| path != Path::new("docs/style.md"));
    fail_with(
        texts
            .flat_map(|(path, text)| words::persons(&path, &text))
            .collect(),
    );
}

#[test]
fn lines_of_prose_are_short() {
    check(&ALL, |source, text| words::long_lines(&source.path, text));
    let texts = texts();
    fail_with(
        texts
            .iter()
            .flat_map(|(path, text)| words::long_lines(path, text))
            .collect(),
    );
}

#[test]
fn dependencies_have_reasons() {
    let text = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let mut manifests = files("benches", "toml");
    manifests.push(("Cargo.toml".into(), text));
    let findings = manifests
        .iter()
        .flat_map(|(path, text)| rules::dependency_reasons(path, text));
    fail_with(findings.collect());
}

#[test]
fn the_top_level_folder_is_in_order() {
    let names: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    fail_with(rules::top_level(&names));
}

/// The pages of `docs/` and those of the top-level folder.
fn texts() -> Vec<(PathBuf, String)> {
    let mut texts = files("docs", "md");
    for name in ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        texts.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    texts
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the library.
fn library() -> Vec<Source> {
    let files = sources("src").iter();
    files.map(|(source, _)| source.clone()).collect()
}

/// The files below `folder` whose names end with `extension`, with their texts.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // A folder of Rust's own products may stand beside a nested manifest.
                if !path.ends_with("target") {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The Rust files below one of the folders of [`ALL`], and their texts. They are read once.
fn sources(folder: &str) -> &'static [(Source, String)] {
    static READ: [OnceLock<Vec<(Source, String)>>; ALL.len()] =
        [const { OnceLock::new() }; ALL.len()];
    let index = ALL.iter().position(|name| *name == folder);
    READ[index.expect("it is one of them")].get_or_init(|| {
        let files = files(folder, "rs").into_iter();
        files
            .map(|(path, text)| (Source::new(path, &text), text))
            .collect()
    })
}

/// Fails with all findings of `rule` in the Rust files of `folders`.
fn check(folders: &[&str], rule: impl Fn(&Source, &str) -> Vec<String>) {
    let files = folders.iter().flat_map(|folder| sources(folder));
    fail_with(
        files
            .flat_map(|(source, text)| rule(source, text))
            .collect(),
    );
}

fn fail_with(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
