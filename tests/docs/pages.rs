//! Compares the readme, and the pages that rustdoc shows, with the project.

use std::{fs, path::Path};

use crate::{read, suites};

/// The pages of `docs/` that a source file lists, in its order.
fn listed_pages(source: &str) -> Vec<String> {
    let source = read(source);
    let (_, list) = source.split_once("pages! {").expect("it lists the pages");
    list.split_whitespace()
        .take_while(|word| *word != "}")
        .map(str::to_owned)
        .collect()
}

/// The pages of `docs/`, in the order of their names.
fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let paths = fs::read_dir(folder).unwrap();
    let paths = paths.map(|entry| entry.unwrap().path());
    let pages = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut pages: Vec<String> = pages
        .map(|page| page.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    pages.sort();
    pages
}

/// The features that `Cargo.toml` declares, without the list of defaults.
fn features() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, table) = manifest.split_once("\n[features]\n").unwrap();
    let (table, _) = table.split_once("\n[").unwrap();
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.to_owned())
        .filter(|name| name != "default")
        .collect()
}

/// The first cells of the table that `text` has after a line with `head`, without backticks and
/// what stands after them.
fn first_cells(text: &str, head: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim_start_matches("//! "));
    let lines = lines.skip_while(|line| !line.starts_with(head)).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let cell = row.trim_start_matches('|').split('|').next().unwrap();
        let names = cell.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_features_are_told_as_they_are() {
    for (page, head) in [("README.md", "| Feature |"), ("src/lib.rs", "| Feature |")] {
        let mut told = first_cells(&read(page), head);
        let mut features = features();
        told.sort();
        features.sort();
        assert_eq!(told, features, "{page}");
    }
}

#[test]
fn the_readme_tells_of_every_example() {
    let mut told = first_cells(&read("README.md"), "| Example |");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension().is_some_and(|extension| extension == "rs")
                || path.join("main.rs").exists()
        })
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    told.sort();
    examples.sort();
    assert_eq!(told, examples);
}

#[test]
fn the_readme_tells_the_oldest_compiler_and_commands_that_exist() {
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let (_, rest) = manifest.split_once("rust-version = \"").unwrap();
    let (version, _) = rest.split_once('"').unwrap();
    assert!(readme.contains(&format!("| Rust | {version} or newer |")));
    for line in readme.lines().filter(|line| line.starts_with("cargo ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |option: &str| {
            let index = words.iter().position(|word| *word == option)?;
            Some(words[index + 1])
        };
        if let Some(example) = after("--example") {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
            assert!(file.join(example).with_extension("rs").exists(), "{line}");
        }
        if let Some(suite) = after("--test") {
            assert!(suites().iter().any(|name| name == suite), "{line}");
        }
    }
}

/// The targets of the links in `text` that are neither places on the same page nor on the net.
fn local_links(text: &str) -> Vec<&str> {
    let inline = text.split("](").skip(1);
    let inline = inline.filter_map(|rest| rest.split(')').next());
    let defined = text.lines().filter_map(|line| {
        let (name, target) = line.split_once("]: ")?;
        name.starts_with('[').then_some(target)
    });
    inline
        .chain(defined)
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect()
}

#[test]
fn links_lead_to_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    let folder = fs::read_dir(root.join("docs")).unwrap();
    pages.extend(folder.map(|entry| entry.unwrap().path()));
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for link in local_links(&text) {
            let file = link.split('#').next().unwrap();
            let target = page.parent().unwrap().join(file);
            assert!(target.exists(), "{}: {link}", page.display());
        }
    }
}

/// A link of a shown page has the form `[limits.md]` and is defined at the page's end, so that the
/// same text leads to the file here and to the module in rustdoc.
#[test]
fn links_between_shown_pages_work_in_rustdoc() {
    let (pages, source) = (listed_pages("src/docs.rs"), read("src/docs.rs"));
    assert!(pages.len() > 7, "{pages:?}");
    for page in &pages {
        let text = read(&format!("docs/{page}.md"));
        let inline = text.split("](").skip(1);
        for target in inline.filter_map(|rest| rest.split(')').next()) {
            let is_near = target.starts_with('#');
            assert!(is_near || target.contains("://"), "{page}.md: ]({target})");
        }
        for target in local_links(&text) {
            if target.ends_with(".svg") {
                let defined = format!("[{target}]: ../../../../../docs/{target}\"]");
                assert!(source.contains(&defined), "src/docs.rs lacks {defined}");
                continue;
            }
            let name = target.trim_end_matches(".md");
            assert!(pages.iter().any(|page| page == name), "{page}.md: {target}");
            let defined = format!("[{target}]: crate::docs::{name}\"]");
            assert!(source.contains(&defined), "src/docs.rs lacks {defined}");
        }
    }
}

#[test]
fn every_page_is_shown_but_that_for_contributors() {
    let mut pages = pages();
    pages.retain(|page| page != "style");
    let mut shown = listed_pages("src/docs.rs");
    shown.sort();
    assert_eq!(shown, pages);
}

/// Whether a page has a block that rustdoc takes for Rust.
fn has_rust(page: &str) -> bool {
    let mut fences = page.lines().filter_map(|line| line.strip_prefix("```"));
    let is_rust = |opening: &str| opening.is_empty() || opening.starts_with("rust");
    std::iter::from_fn(|| {
        let opening = fences.next()?;
        fences.next();
        Some(opening)
    })
    .any(is_rust)
}

/// The suite `guide` plays the guide, whose blocks are the files of programs.
#[test]
fn the_rust_of_every_page_is_compiled() {
    let mut pages = pages();
    pages.retain(|page| page != "guide" && has_rust(&read(&format!("docs/{page}.md"))));
    assert_eq!(listed_pages("examples/ecosystem/src/lib.rs"), pages);
}

#[test]
fn blocks_of_rust_are_found() {
    for (page, expected) in [
        ("```rust\nfn f() {}\n```\n", true),
        ("```rust,no_run\nfn f() {}\n```\n", true),
        ("```\nfn f() {}\n```\n", true),
        ("```text\na\n```\nb\n```console\nc\n```\n", false),
        ("```text\na\n```\n```rust\nfn f() {}\n```\n", true),
        ("no block", false),
    ] {
        assert_eq!(has_rust(page), expected, "{page}");
    }
}

#[test]
fn links_are_found() {
    let text = "[a](b.md#c) [d](#e) [f](https://g.test/) [h.md]\n\n[h.md]: h.md\n";
    assert_eq!(local_links(text), ["b.md#c", "h.md"]);
}
