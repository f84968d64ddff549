//! The rules, each a function from text to findings.

use std::path::Path;

use super::source::{Source, closing, crate_uses, find_all, test_items, words};

/// The modules, a line for each layer. A module uses what stands on the lines above its own.
pub(crate) const LAYERS: [&[&str]; 14] = [
    &["unwind", "budget", "shrink", "wait_note"],
    &["primitives"],
    &["mailbox", "park", "trace"],
    &["sys", "buf", "task", "time", "sync", "future"],
    &["driver", "blocking"],
    &["pool"],
    &["io", "op"],
    &["net", "fs", "process", "signal"],
    &["runtime"],
    &["workers", "diagnosis", "inspect"],
    &["tls", "systemd"],
    &["http"],
    &["compat"],
    // Pages, and no code.
    &["docs"],
];
pub(crate) const UNSAFE_MODULES: [&str; 6] = ["sys", "buf", "task", "driver", "pool", "op"];
/// The entries that the top-level folder may hold besides hidden ones.
const TOP_LEVEL: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "src",
    "examples",
    "tests",
    "benches",
    "docs",
    "target",
];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// A module uses only what stands above it.
pub(crate) fn layers(source: &Source) -> Vec<String> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let Some(own) = layer(&module) else {
        return vec![source.finding(0, format!("`{module}` stands in no layer"))];
    };
    let mut findings = Vec::new();
    for (index, name) in crate_uses(&source.code) {
        if name == module {
            continue;
        }
        match layer(&name) {
            Some(used) if used < own => {}
            Some(_) => findings.push(source.finding(
                index,
                format!("`{module}` uses `{name}`, which does not stand above it"),
            )),
            None => findings.push(source.finding(
                index,
                format!("expected a module behind `crate::`, found `{name}`"),
            )),
        }
    }
    let steps_max = source.depth();
    for start in find_all(&source.code, &"super::".repeat(steps_max)) {
        findings.push(source.finding(start, "`super::` leaves the module"));
    }
    findings
}

/// The kernel's raw names stand in `sys`.
pub(crate) fn raw_names(source: &Source) -> Vec<String> {
    if source.module().as_deref() == Some("sys") {
        return Vec::new();
    }
    words(&source.code)
        .into_iter()
        .filter(|(_, word)| word == "libc" || word == "io_uring")
        .map(|(index, word)| source.finding(index, format!("`{word}` outside of `sys`")))
        .collect()
}

/// Unsafe code stands in the modules that are named for it, and in the example of a library that
/// gives its descriptor as a number.
pub(crate) fn unsafe_code(source: &Source) -> Vec<String> {
    let module = source.module();
    if module.is_some_and(|module| UNSAFE_MODULES.contains(&&*module))
        || source.path.ends_with("examples/ecosystem/src/zeromq.rs")
    {
        return Vec::new();
    }
    words(&source.code)
        .into_iter()
        .filter(|(_, word)| word == "unsafe")
        .map(|(index, _)| source.finding(index, "unsafe code outside of its modules"))
        .collect()
}

/// In lib.rs the `mod` lines of the unsafe modules expect unsafe code, and no others.
pub(crate) fn unsafe_expectations(lib: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let mut index = 0;
    for item in lib.code.split_inclusive([';', '}']) {
        let words: Vec<String> = words(item).into_iter().map(|(_, word)| word).collect();
        let expects = words.iter().any(|word| word == "unsafe_code");
        if let Some(place) = words.iter().position(|word| word == "mod") {
            let name = words.get(place + 1).map_or("", |name| name);
            if expects != UNSAFE_MODULES.contains(&name) {
                findings.push(lib.finding(
                    index,
                    format!("expected `#[expect(unsafe_code)]` on {UNSAFE_MODULES:?} only: {name}"),
                ));
            }
            if layer(name).is_none() {
                findings.push(lib.finding(index, format!("`{name}` stands in no layer")));
            }
        }
        index += item.chars().count();
    }
    findings
}

/// A lint is silenced by `expect`, with a reason.
pub(crate) fn silenced_lints(source: &Source) -> Vec<String> {
    let chars: Vec<char> = source.code.chars().collect();
    let mut findings = Vec::new();
    for start in find_all(&source.code, "#[")
        .into_iter()
        .chain(find_all(&source.code, "#!["))
    {
        let end = closing(&chars, start + if chars[start + 1] == '!' { 2 } else { 1 });
        let attribute: String = chars[start..end].iter().collect();
        for place in find_all(&attribute, "allow(") {
            findings.push(source.finding(start + place, "`allow` in place of `expect`"));
        }
        for place in find_all(&attribute, "expect(") {
            let end = closing(&chars, start + place + "expect".len());
            let inside: String = chars[start + place..end].iter().collect();
            if find_all(&inside, "reason").is_empty() {
                findings.push(source.finding(start + place, "`expect` without a reason"));
            }
        }
    }
    findings
}

/// No note of unfinished work is left behind.
pub(crate) fn leftovers(source: &Source) -> Vec<String> {
    let in_comments = words(&source.comments)
        .into_iter()
        .filter(|(_, word)| matches!(&**word, "TODO" | "FIXME" | "XXX" | "HACK"));
    let in_code = ["todo!", "dbg!", "unimplemented!"]
        .into_iter()
        .flat_map(|name| {
            find_all(&source.code, name)
                .into_iter()
                .map(|index| (index, name.to_owned()))
        });
    in_comments
        .chain(in_code)
        .map(|(index, word)| source.finding(index, format!("`{word}` was left behind")))
        .collect()
}

/// A feature's `#[cfg]` stands on a `mod` or a `use`.
pub(crate) fn feature_places(source: &Source) -> Vec<String> {
    let chars: Vec<char> = source.code.chars().collect();
    let mut findings = Vec::new();
    for start in find_all(&source.code, "#[cfg(") {
        let end = closing(&chars, start + 1);
        let attribute: String = chars[start..end].iter().collect();
        let item: String = chars[end..]
            .iter()
            .take_while(|&&c| c != ';' && c != '{')
            .collect();
        let names_feature = words(&attribute).iter().any(|(_, word)| word == "feature");
        let fits = words(&item)
            .iter()
            .any(|(_, word)| word == "mod" || word == "use");
        if names_feature && !fits {
            findings.push(source.finding(start, "a feature's `cfg` is not on a `mod` or `use`"));
        }
    }
    findings
}

/// The layers below HTTP work without it: they name neither its feature nor, even in docs, its
/// module.
pub(crate) fn below_http(source: &Source, text: &str) -> Vec<String> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    if layer(&module) >= layer("http") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let names = ["feature = \"http\"", "crate::http", "http::"];
        if let Some(name) = names.into_iter().find(|name| line.contains(name)) {
            let place = format!("{}:{}", source.path.display(), index + 1);
            findings.push(format!(
                "{place}: `{module}` names `{name}`, which stands above it"
            ));
        }
    }
    findings
}

/// An example uses this crate and std. Those of the ecosystem show how other crates run on this
/// one.
pub(crate) fn example_uses(source: &Source) -> Vec<String> {
    if source.path.starts_with("examples/ecosystem") {
        return Vec::new();
    }
    let words = words(&source.code);
    words
        .windows(2)
        .filter(|pair| pair[0].1 == "use" && pair[1].1 != "std" && pair[1].1 != "annulus")
        .map(|pair| source.finding(pair[1].0, format!("an example uses `{}`", pair[1].1)))
        .collect()
}

/// A file has one subject, and an example fits on a screen.
pub(crate) fn size(source: &Source, text: &str, lines_max: usize) -> Vec<String> {
    let tests: usize = test_items(&source.code)
        .into_iter()
        .map(|(start, end)| {
            text.chars()
                .skip(start)
                .take(end - start)
                .filter(|&c| c == '\n')
                .count()
        })
        .sum();
    let count = text.lines().count().saturating_sub(tests);
    if count <= lines_max {
        return Vec::new();
    }
    vec![source.finding(
        0,
        format!("expected at most {lines_max} lines, found {count}"),
    )]
}

/// A function has one subject, too.
pub(crate) fn function_size(source: &Source, lines_max: usize) -> Vec<String> {
    let chars: Vec<char> = source.code.chars().collect();
    let mut findings = Vec::new();
    for start in find_all(&source.code, "fn ") {
        let mut index = start;
        while index < chars.len() && !matches!(chars[index], ';' | '{') {
            // Skips the brackets of parameters and of arrays in types.
            index = if matches!(chars[index], '(' | '[') {
                closing(&chars, index)
            } else {
                index + 1
            };
        }
        let end = closing(&chars, index).min(chars.len());
        let count = 1 + chars[start..end].iter().filter(|&&c| c == '\n').count();
        if count > lines_max {
            let found = format!("expected at most {lines_max} lines in a function, found {count}");
            findings.push(source.finding(start, found));
        }
    }
    findings
}

pub(crate) fn em_dashes(path: &Path, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.contains('\u{2014}'))
        .map(|(index, _)| format!("{}:{}: an em-dash", path.display(), index + 1))
        .collect()
}

/// A suite stands in `tests/NAME/main.rs`, and `#[path]` in it names the shared helpers or a source
/// that is no test.
pub(crate) fn test_places(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    if path.parent() == Some(Path::new("tests")) {
        let place = "a suite stands in `tests/NAME/main.rs`";
        findings.push(format!("{}:1: {place}", path.display()));
    }
    for (index, line) in text.lines().enumerate() {
        let named = line
            .split_once("#[path = \"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let Some((named, _)) = named else {
            continue;
        };
        let is_shared = named == "../support/mod.rs";
        let is_no_test = ["../../src/", "../../examples/", "../../benches/"]
            .iter()
            .any(|folder| named.starts_with(folder));
        if !is_shared && !is_no_test {
            findings.push(format!(
                "{}:{}: `#[path]` names {named}: what suites share stands in `tests/support`",
                path.display(),
                index + 1
            ));
        }
    }
    findings
}

/// Every dependency says in a comment what it saves us from writing.
pub(crate) fn dependency_reasons(path: &Path, manifest: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut in_dependencies = false;
    let mut depth = 0_i32;
    let mut above = "";
    for (index, line) in manifest.lines().enumerate() {
        let opens_table = depth == 0 && line.starts_with('[');
        if opens_table {
            in_dependencies = line.contains("dependencies");
        }
        let names_one = if opens_table {
            line.contains("dependencies.")
        } else {
            in_dependencies && depth == 0 && line.contains('=') && !line.starts_with('#')
        };
        if names_one && !above.starts_with('#') {
            findings.push(format!(
                "{}:{}: no reason above `{line}`",
                path.display(),
                index + 1
            ));
        }
        if !opens_table && !line.starts_with('#') {
            depth += line.matches(['[', '{']).count() as i32;
            depth -= line.matches([']', '}']).count() as i32;
        }
        above = line;
    }
    findings
}

pub(crate) fn top_level(names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&&***name))
        .map(|name| format!("{name}: the top-level folder has no place for it"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Source {
        Source::new(path, text)
    }

    /// Checks how many findings `rule` has in `text`, as a file at `path`.
    fn finds(rule: fn(&Source) -> Vec<String>, path: &str, text: &str, count: usize) {
        let findings = rule(&file(path, text));
        assert_eq!(findings.len(), count, "{text}: {findings:?}");
    }

    #[test]
    fn a_module_uses_only_what_stands_above_it() {
        finds(
            layers,
            "src/net.rs",
            "use crate::{buf::IoBuf, op::Op, net::Own};",
            0,
        );
        finds(layers, "src/sys/ring.rs", "use crate::driver::Driver;", 1);
        finds(
            layers,
            "src/op/send.rs",
            "use crate::{sys::Fd, net::{A, B}, runtime::run};",
            2,
        );
        finds(layers, "src/time.rs", "crate::task::spawn()", 1);
        finds(layers, "src/net.rs", "crate::spawn()", 1);
        finds(layers, "src/other.rs", "", 1);
        finds(layers, "src/lib.rs", "pub use crate::http::Server;", 0);
        finds(layers, "src/net.rs", "// crate::http", 0);
    }

    #[test]
    fn a_path_through_super_stays_in_its_module() {
        finds(layers, "src/net/turns.rs", "use super::Ticket;", 0);
        finds(layers, "src/net/turns.rs", "use super::super::op;", 1);
        finds(layers, "src/net.rs", "use super::op;", 1);
        finds(layers, "src/sync.rs", "use super::op;", 1);
    }

    #[test]
    fn raw_names_stand_in_sys() {
        finds(
            raw_names,
            "src/sys/ring.rs",
            "use io_uring::IoUring; libc::EINTR",
            0,
        );
        finds(
            raw_names,
            "src/net.rs",
            "use io_uring::IoUring; libc::EINTR",
            2,
        );
        finds(raw_names, "src/net.rs", "my_libc(\"libc\") // libc", 0);
    }

    #[test]
    fn unsafe_code_stands_in_its_modules() {
        finds(
            unsafe_code,
            "src/op/send.rs",
            "unsafe impl Op for Send {}",
            0,
        );
        finds(unsafe_code, "src/net/turns.rs", "unsafe { f() }", 1);
        finds(unsafe_code, "src/lib.rs", "unsafe { f() }", 1);
        finds(unsafe_code, "examples/echo.rs", "unsafe { f() }", 1);
        let library = "examples/ecosystem/src/zeromq.rs";
        finds(unsafe_code, library, "unsafe { f() }", 0);
        finds(
            unsafe_code,
            "src/net/turns.rs",
            "f(unsafe_code, \"unsafe\") // unsafe",
            0,
        );
    }

    #[test]
    fn the_unsafe_modules_and_no_others_expect_it() {
        let check = |text, count| finds(unsafe_expectations, "src/lib.rs", text, count);
        check(
            "#[expect(unsafe_code, reason = \"r\")]\nmod sys;\nmod net;",
            0,
        );
        check("mod sys;", 1);
        check("#[expect(unsafe_code, reason = \"r\")]\npub mod net;", 1);
        check("mod unheard_of;", 1);
    }

    #[test]
    fn lints_are_silenced_with_a_reason() {
        let check = |text, count| finds(silenced_lints, "src/net.rs", text, count);
        check("#[expect(dead_code, reason = \"r\")] fn f() {}", 0);
        check("#[expect(dead_code)] fn f() {}", 1);
        check("#![allow(dead_code)]", 1);
        check("#[cfg_attr(test, allow(dead_code))] fn f() {}", 1);
        check(
            "#[cfg_attr(\n    test,\n    expect(dead_code)\n)] fn f() {}",
            1,
        );
        check("result.expect(swallow(allow(4)))", 0);
    }

    #[test]
    fn leftovers_are_found_in_code_and_comments() {
        let check = |text, count| finds(leftovers, "src/net.rs", text, count);
        check("// TODO: later\nf();", 1);
        check("dbg!(1); todo!()", 2);
        check("f(\"TODO\"); my_todo!(); // MASTODON", 0);
    }

    #[test]
    fn a_feature_stands_on_a_mod_or_a_use() {
        let check = |text, count| finds(feature_places, "src/net.rs", text, count);
        check("#[cfg(feature = \"http\")]\npub mod http;", 0);
        check("#[cfg(feature = \"http\")]\npub use http::Server;", 0);
        check("fn f() { #[cfg(feature = \"http\")] g(); }", 1);
        check("#[cfg(loom)] fn f() {}", 0);
    }

    #[test]
    fn a_layer_below_http_does_not_name_it() {
        let check = |path: &str, text: &str, count: usize| {
            let findings = below_http(&file(path, text), text);
            assert_eq!(findings.len(), count, "{path}, {text}: {findings:?}");
        };
        check("src/tls.rs", "//! As the [client](crate::http::client).", 1);
        check(
            "src/tls.rs",
            "//! Without the feature `http`, for `https`.",
            0,
        );
        check("src/tls/a.rs", "/// use annulus::{http::Client, tls};", 1);
        check("src/net.rs", "#[cfg(feature = \"http\")]\nmod a;", 1);
        check("src/lib.rs", "#[cfg(feature = \"http\")]\nmod a;", 0);
        check(
            "src/http/a.rs",
            "#[cfg(feature = \"http\")]\nuse crate::http;",
            0,
        );
    }

    #[test]
    fn an_example_uses_this_crate_only() {
        let check = |text, count| finds(example_uses, "examples/a.rs", text, count);
        check("use std::io;\nuse annulus::{run, spawn};", 0);
        check("use futures_util::select;", 1);
        let ecosystem = "examples/ecosystem/src/bin/a.rs";
        finds(example_uses, ecosystem, "use redis::Client;", 0);
    }

    #[test]
    fn a_file_has_its_size_without_its_tests() {
        let text = "a\nb\n#[cfg(test)]\nmod tests {\n    c\n}\n";
        let source = file("src/net.rs", text);
        assert_eq!(size(&source, text, 3).len(), 0);
        assert_eq!(size(&source, text, 2).len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        let text =
            "fn a(x: [u8; 3]) -> u8 {\n    1\n}\ntrait T {\n    fn b();\n\n    fn c() {}\n}\n";
        let source = file("src/net.rs", text);
        assert_eq!(function_size(&source, 3), [""; 0]);
        assert_eq!(function_size(&source, 2).len(), 1);
        assert_eq!(function_size(&source, 0).len(), 3);
    }

    #[test]
    fn an_em_dash_is_found() {
        let path = Path::new("docs/a.md");
        assert_eq!(em_dashes(path, "a - b \u{2013} c\n"), [""; 0]);
        assert_eq!(em_dashes(path, "a\nb \u{2014} c\n").len(), 1);
    }

    #[test]
    fn a_suite_has_its_place_and_shares_by_support() {
        let finds = |path: &str, text: &str, count: usize| {
            let findings = test_places(Path::new(path), text);
            assert_eq!(findings.len(), count, "{path}, {text}: {findings:?}");
        };
        let path = |named: &str| format!("mod a;\n#[path = \"{named}\"]\nmod b;\n");
        finds("tests/api/main.rs", "mod a;", 0);
        finds("tests/api.rs", "mod a;", 1);
        finds("tests/api/main.rs", &path("../support/mod.rs"), 0);
        finds("tests/api/main.rs", &path("../../src/http"), 0);
        finds("tests/api/main.rs", &path("../../examples/a.rs"), 0);
        finds("tests/api/main.rs", &path("../../benches/a.rs"), 0);
        finds("tests/api/main.rs", &path("api/a.rs"), 1);
        finds("tests/api/main.rs", &path("../cancel/a.rs"), 1);
        finds("tests/api.rs", &path("api/a.rs"), 2);
    }

    #[test]
    fn a_dependency_has_its_reason_above_it() {
        let check = |text: &str, count| {
            let findings = dependency_reasons(Path::new("Cargo.toml"), text);
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        check("[dependencies]\n# Saves us a parser.\na = \"1\"\n", 0);
        check(
            "[dependencies]\n# Saves us a parser.\na = \"1\"\nb = \"1\"\n",
            1,
        );
        check(
            "[dev-dependencies]\n# r\na = { features = [\n  \"b=c\",\n] }\nd = \"1\"\n",
            1,
        );
        check("[target.'cfg(loom)'.dependencies]\nloom = \"1\"\n", 1);
        check("[dependencies.a]\nversion = \"1\"\n", 2);
        check("[package]\nname = \"a\"\n[features]\nb = []\n", 0);
    }

    #[test]
    fn the_top_level_folder_holds_what_it_should() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(top_level(&names(&["src", ".ci", "Cargo.toml"])), [""; 0]);
        assert_eq!(top_level(&names(&["notes.txt", "src"])).len(), 1);
    }
}
