//! How modules are named and how they import.

use std::{collections::BTreeSet, path::Path};

/// A module of `src` is `name.rs`, beside the folder `name` of its own modules.
pub(crate) fn module_files(path: &Path) -> Vec<String> {
    if path.ends_with("mod.rs") {
        let place = path.display();
        return vec![format!("{place}: expected `name.rs`, found `mod.rs`")];
    }
    Vec::new()
}

/// A file imports once from each crate, from `crate` and from `super`, with nested braces.
///
/// Imports that are lifted (`pub use`) or that have a `cfg` stand alone.
pub(crate) fn one_import_a_root(path: &Path, text: &str) -> Vec<String> {
    let mut roots = BTreeSet::new();
    let mut findings = Vec::new();
    let mut has_attribute = false;
    for (index, line) in text.lines().enumerate() {
        if let Some(import) = line.strip_prefix("use ").filter(|_| !has_attribute) {
            // `::http` is the crate, `http` a module.
            let name = import.trim_start_matches("::");
            let name_len = name.find([':', ';', ' ']).unwrap_or(name.len());
            let root = &import[..import.len() - name.len() + name_len];
            if !roots.insert(root) {
                let place = path.display();
                findings.push(format!(
                    "{place}:{}: expected one `use {root}::{{..}}`, found another",
                    index + 1
                ));
            }
        }
        has_attribute = line.ends_with(']') && line.starts_with("#[");
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_in_the_file_of_its_name() {
        let count = |path: &str| module_files(Path::new(path)).len();
        assert_eq!(count("src/sync.rs"), 0);
        assert_eq!(count("src/sync/mpsc.rs"), 0);
        assert_eq!(count("src/sync/mod.rs"), 1);
    }

    #[test]
    fn each_root_is_imported_from_once() {
        let count = |text: &str| one_import_a_root(Path::new("a.rs"), text).len();
        assert_eq!(
            count("use std::{fmt, io};\nuse crate::sys;\nuse super::*;"),
            0
        );
        assert_eq!(count("use std::fmt;\nuse std::io;\nuse std::rc::Rc;"), 2);
        assert_eq!(count("use ::http::Method;\nuse ::http::Uri;"), 1);
        assert_eq!(count("use ::http::Method;\nuse http::h1;"), 0);
        assert_eq!(count("use std::fmt;\n#[cfg(test)]\nuse std::io;"), 0);
        assert_eq!(count("pub use a::A;\npub use a::B;\n    use std::fmt;"), 0);
    }
}
