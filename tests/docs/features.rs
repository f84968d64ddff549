//! Looks whether items that need a feature say so in their documentation.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The modules that `text` declares with a feature: the feature, the name, whether it is public.
fn gated_modules(text: &str) -> Vec<(String, String, bool)> {
    let mut found = Vec::new();
    for (gate, item) in text.lines().zip(text.lines().skip(1)) {
        let feature = gate
            .strip_prefix("#[cfg(feature = \"")
            .and_then(|rest| rest.strip_suffix("\")]"));
        let Some(feature) = feature else { continue };
        let Some((before, name)) = item.split_once("mod ") else {
            continue;
        };
        let name = name.trim_end_matches(';').to_owned();
        found.push((feature.to_owned(), name, before == "pub "));
    }
    found
}

/// The public items of `text` whose documentation has no line `told`.
fn untold(text: &str, told: &str) -> Vec<String> {
    let (mut found, mut docs) = (Vec::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(doc) = line.strip_prefix("///") {
            docs.push(doc.trim());
        } else if !line.starts_with("#[") {
            let is_public = line.starts_with("pub ");
            if is_public && !docs.is_empty() && !docs.contains(&told) {
                found.push(line.to_owned());
            }
            docs.clear();
        }
    }
    found
}

/// The Rust files of a module: its own, and those of its folder.
fn files_of(module: &Path) -> Vec<PathBuf> {
    let mut found = vec![module.with_extension("rs")];
    let mut folders = vec![module.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn items_that_need_a_feature_say_so() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut count = 0;
    for file in files_of(&source.join("lib"))
        .into_iter()
        .chain(files_of(&source))
    {
        let Ok(text) = fs::read_to_string(&file) else {
            continue; // there is no src.rs
        };
        let is_root = file.ends_with("src/lib.rs");
        let folder = if is_root {
            source.clone()
        } else {
            file.with_extension("")
        };
        for (feature, name, is_public) in gated_modules(&text) {
            let module = folder.join(name);
            let told = format!("Feature: `{feature}`");
            count += 1;
            if is_public {
                let text = fs::read_to_string(module.with_extension("rs")).unwrap();
                assert!(
                    text.contains(&format!("//! {told}")),
                    "{}",
                    module.display()
                );
                continue;
            }
            for file in files_of(&module) {
                let text = fs::read_to_string(&file).unwrap();
                let untold = untold(&text, &format!("{told}."));
                assert!(untold.is_empty(), "{}: {untold:?}", file.display());
            }
        }
    }
    assert!(count > 8, "expected many modules, found {count}");
}

#[test]
fn an_item_that_does_not_say_its_feature_is_found() {
    let text = "/// Reads.\npub fn read() {}\n\n/// Writes.\n///\n/// Feature: `a`.\n#[inline]\npub fn write() {}\n";
    assert_eq!(untold(text, "Feature: `a`."), ["pub fn read() {}"]);
    let text = "#[cfg(feature = \"a\")]\npub mod b;\n#[cfg(not(feature = \"a\"))]\nmod c;\n";
    assert_eq!(
        gated_modules(text),
        [("a".to_owned(), "b".to_owned(), true)]
    );
}
