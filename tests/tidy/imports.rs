//! The imports between the rooms of `src/http`: its modules on one level.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Source, closing, find_all};

/// The rooms of a module, a line for each layer: a room imports from those on the lines above its
/// own. Rooms in one pair of quotes know each other.
pub(crate) struct Rooms {
    pub(crate) module: &'static str,
    pub(crate) layers: &'static [&'static [&'static str]],
    /// Imports that go up, as `from room -> to room`, each with its reason beside it.
    pub(crate) exceptions: &'static [&'static str],
}

pub(crate) const ROOMS: [Rooms; 3] = [
    Rooms {
        module: "http",
        layers: &[
            &[
                "h1",
                "base64",
                "percent",
                "alarm",
                "stop_notice",
                "trusted_proxies",
                "proxy_header",
            ],
            &["cookies", "multipart", "tick"],
            &[
                "error_kind",
                "error_answer",
                "representation",
                "transport",
                "ws",
            ],
            &["compression", "topics"],
            &["websocket"],
            &["error"],
            &["client"],
            &["server"],
            &["forward", "health", "layers", "test", "to_https"],
        ],
        // An `io::Error` may carry the client's error, which has a status of its own for a handler.
        exceptions: &["error -> client"],
    },
    Rooms {
        module: "http::server",
        layers: &[
            &[
                "announcer",
                "end_reason",
                "extensions",
                "forwarded",
                "http2_options",
                "no_http2_options",
                "phase",
                "request_id",
                "timeouts",
                "tls",
            ],
            &["report", "access_log", "refusals", "trace", "prefaces"],
            &["connection_info", "settings"],
            &["worker_shared"],
            &["exchange", "job", "unserved"],
            &["message"],
            &["files", "made_request", "h2", "no_h2"],
            &["router", "serve", "detached"],
            &["connection", "worker"],
            &["listening"],
            &["workers"],
            &[
                "stop_signal",
                "handle",
                "metrics",
                "refusal_hook",
                "trace_hook",
            ],
            &["shared_server", "preparing", "behind_proxy", "versions"],
        ],
        exceptions: &[],
    },
    Rooms {
        module: "http::client",
        layers: &[
            &["phase"],
            &["error url", "timings"],
            &["body", "informational", "retry", "trace"],
            &["options"],
            &["pool"],
            &["exchange"],
            &["connect"],
            &["shared"],
            &["response"],
            &["redirect"],
            &["flow"],
            &["request"],
            &["json", "builder", "websocket"],
            &["synchronous"],
        ],
        exceptions: &[],
    },
];

/// The modules of the crate with what each imports, and what each lifts from others.
pub(crate) struct Imports {
    modules: BTreeMap<String, Vec<String>>,
    lifted: BTreeMap<String, String>,
}

impl Imports {
    pub(crate) fn of(sources: Vec<Source>) -> Self {
        let sources: Vec<Source> = sources
            .into_iter()
            .filter(|source| !source.is_tests())
            .map(|source| source.without_tests())
            .collect();
        let names: BTreeSet<String> = sources.iter().map(path_of).collect();
        let mut modules = BTreeMap::new();
        let mut lifted = BTreeMap::new();
        for source in &sources {
            let own = path_of(source);
            let mut imports = Vec::new();
            for (is_public, path) in uses(&source.code) {
                let Some(path) = absolute(&own, &path, &names) else {
                    continue;
                };
                if is_public {
                    let name = path.rsplit("::").next().expect("a path has an end");
                    lifted.insert(join(&own, name), path);
                } else {
                    imports.push(path);
                }
            }
            modules.insert(own, imports);
        }
        Self { modules, lifted }
    }

    /// The module that has the item of `path`, whichever module lifts it.
    fn home(&self, path: &str) -> String {
        let mut path = path.to_owned();
        // A name can be lifted once on each level.
        for _ in 0..8 {
            let Some((from, to)) =
                prefixes(&path).find_map(|prefix| Some((prefix.len(), self.lifted.get(prefix)?)))
            else {
                break;
            };
            path = format!("{to}{}", &path[from..]);
        }
        let home = prefixes(&path).find(|prefix| self.modules.contains_key(*prefix));
        home.unwrap_or_default().to_owned()
    }

    /// The pairs of rooms of `module` of which one imports from the other, with the number of
    /// imports and one of their places.
    pub(crate) fn between(&self, module: &str) -> BTreeMap<(String, String), (usize, String)> {
        let mut between = BTreeMap::new();
        for (from, imports) in &self.modules {
            let Some(own) = room(module, from) else {
                continue;
            };
            for import in imports {
                let Some(other) = room(module, &self.home(import)) else {
                    continue;
                };
                if other != own {
                    let place = || (0, format!("{from} imports {import}"));
                    between.entry((own.clone(), other)).or_insert_with(place).0 += 1;
                }
            }
        }
        between
    }
}

/// The findings for `rooms`, and how many imports there are and how many of them go up.
pub(crate) fn rooms(imports: &Imports, rooms: &Rooms) -> (Vec<String>, usize, usize) {
    let layer = |name: &str| {
        let of = |group: &&&str| group.split(' ').any(|room| room == name);
        let line = rooms
            .layers
            .iter()
            .position(|layer| layer.iter().any(|group| of(&group)));
        let group = rooms.layers.iter().flat_map(|layer| layer.iter()).find(of);
        line.zip(group)
    };
    let mut findings = Vec::new();
    let (mut count, mut upward) = (0, 0);
    for ((from, to), (imports, place)) in imports.between(rooms.module) {
        count += imports;
        let (Some((own, own_group)), Some((other, other_group))) = (layer(&from), layer(&to))
        else {
            findings.push(format!(
                "{}: `{from}` or `{to}` is in no layer",
                rooms.module
            ));
            continue;
        };
        if other < own || own_group == other_group {
            continue;
        }
        upward += imports;
        let pair = format!("{from} -> {to}");
        if !rooms.exceptions.contains(&&*pair) {
            findings.push(format!("{}: {pair} goes up: {place}", rooms.module));
        }
    }
    (findings, count, upward)
}

/// The room of `module` that `path` is in.
fn room(module: &str, path: &str) -> Option<String> {
    let inside = path.strip_prefix(module)?.strip_prefix("::")?;
    inside.split("::").next().map(str::to_owned)
}

/// `a::b::c`, `a::b` and `a`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| Some(path.rsplit_once("::")?.0))
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() {
        name.to_owned()
    } else {
        format!("{module}::{name}")
    }
}

/// The path of the module that a file of src is.
fn path_of(source: &Source) -> String {
    let parts = source
        .path
        .iter()
        .skip(1)
        .map(|part| part.to_str().expect("names are text"));
    let path = parts.collect::<Vec<_>>().join("::");
    let path = path.trim_end_matches(".rs").trim_end_matches("::mod");
    if path == "lib" { "" } else { path }.to_owned()
}

/// `path` as it is written in module `own`, from the crate's root; none for other crates.
fn absolute(own: &str, path: &str, names: &BTreeSet<String>) -> Option<String> {
    let (mut base, mut rest) = (own, path);
    if let Some(inside) = path.strip_prefix("crate::") {
        return Some(inside.to_owned());
    }
    if let Some(inside) = path.strip_prefix("self::") {
        return Some(join(own, inside));
    }
    while let Some(outside) = rest.strip_prefix("super::") {
        base = base.rsplit_once("::").map_or("", |(base, _)| base);
        rest = outside;
    }
    let path = join(base, rest);
    let first = rest.split("::").next().expect("a path has a beginning");
    (base != own || names.contains(&join(own, first))).then_some(path)
}

/// The paths of all `use` items, and whether they lift what they name.
fn uses(code: &str) -> Vec<(bool, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    for start in find_all(code, "use ") {
        let before: String = chars[..start].iter().collect();
        let line = before
            .rsplit('\n')
            .next()
            .expect("a text has a last line")
            .trim();
        if !line.is_empty() && !line.starts_with("pub") {
            continue;
        }
        let tree: String = chars[start + "use ".len()..]
            .iter()
            .take_while(|&&c| c != ';')
            .collect();
        let mut paths = Vec::new();
        leaves("", tree.trim(), &mut paths);
        found.extend(paths.into_iter().map(|path| (!line.is_empty(), path)));
    }
    found
}

/// Adds the paths of a tree as `a::{b, c::{self, d as e}}`.
fn leaves(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some(open) = tree.find('{') else {
        let path = tree
            .split(" as ")
            .next()
            .expect("a text has a beginning")
            .trim();
        let path = path.trim_start_matches("::");
        match path {
            "" => {}
            "self" => paths.push(prefix.trim_end_matches("::").to_owned()),
            _ => paths.push(format!("{prefix}{path}")),
        }
        return;
    };
    let chars: Vec<char> = tree.chars().collect();
    let open = tree[..open].chars().count();
    let end = closing(&chars, open);
    let prefix = format!("{prefix}{}", chars[..open].iter().collect::<String>());
    let (mut start, mut index) = (open + 1, open + 1);
    while index < end {
        match chars[index] {
            '{' => index = closing(&chars, index) - 1,
            ',' | '}' if index + 1 == end || chars[index] == ',' => {
                let part: String = chars[start..index].iter().collect();
                leaves(&prefix, part.trim(), paths);
                start = index + 1;
            }
            _ => {}
        }
        index += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: Rooms = Rooms {
        module: "a",
        layers: &[&["low"], &["one two"], &["high"]],
        exceptions: &["low -> two"],
    };

    fn look(files: &[(&str, &str)]) -> (Vec<String>, usize, usize) {
        let sources = files
            .iter()
            .map(|(path, text)| Source::new(*path, text))
            .collect();
        rooms(&Imports::of(sources), &TEST)
    }

    #[test]
    fn an_import_goes_down() {
        let (findings, count, upward) = look(&[
            (
                "src/a.rs",
                "mod low; mod one; mod two; mod high;\npub use high::High;",
            ),
            ("src/a/low.rs", "use crate::a::two::{self, Two as Other};"),
            (
                "src/a/one.rs",
                "use super::{low::Low, two::Two};\nuse std::fmt;",
            ),
            (
                "src/a/two.rs",
                "use super::one::One;\n#[cfg(test)]\nmod tests { use crate::a::high; }",
            ),
            (
                "src/a/high.rs",
                "mod inside;\nuse inside::Inside;\nuse crate::a::low::Low;",
            ),
            (
                "src/a/high/inside.rs",
                "use super::High;\nuse crate::{b, a::{one, two::{Two}}};",
            ),
        ]);
        assert_eq!(findings, [""; 0]);
        assert_eq!((count, upward), (8, 2));
    }

    #[test]
    fn an_import_that_goes_up_is_found_through_whoever_lifts_it() {
        for import in [
            "use super::high::inside::Item;",
            "use super::High;",
            "use crate::a::{High as Other, low::Low};",
            "use crate::Top;",
        ] {
            let (findings, _, upward) = look(&[
                (
                    "src/lib.rs",
                    "mod a;\npub use a::High as Top;\npub use a::high::Top;",
                ),
                ("src/a.rs", "pub use high::High;"),
                ("src/a/low.rs", ""),
                ("src/a/one.rs", import),
                ("src/a/high.rs", "pub use inside::High;"),
                ("src/a/high/inside.rs", ""),
            ]);
            assert_eq!(upward, 1, "{import}");
            assert!(
                findings[0].starts_with("a: one -> high goes up"),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn a_room_stands_in_a_layer() {
        let (findings, ..) = look(&[("src/a/new.rs", "use super::low;"), ("src/a/low.rs", "")]);
        assert_eq!(findings, ["a: `new` or `low` is in no layer"]);
    }
}
