//! The blocks of the guide: files, and sessions of a shell.

/// The parts of the page that are tried.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// The lines for `Cargo.toml`.
    pub(crate) manifest: String,
    pub(crate) files: Vec<File>,
    /// The sessions of each part: a reader may begin with any of them.
    pub(crate) parts: Vec<Vec<Session>>,
}

/// A Rust file, whose first line has its path.
#[derive(Debug, PartialEq)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A block of the language `console`.
#[derive(Debug, PartialEq)]
pub(crate) struct Session {
    /// The line of the page on which it begins.
    pub(crate) line: usize,
    /// Whether its figures differ from run to run.
    pub(crate) has_figures: bool,
    pub(crate) steps: Vec<Step>,
}

/// A command and its output. Without a command they are lines of the server that runs.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Step {
    pub(crate) command: Option<String>,
    pub(crate) output: Vec<String>,
}

impl Page {
    pub(crate) fn read(text: &str) -> Self {
        let mut page = Self::default();
        let mut lines = text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            if line.starts_with("# Part ") {
                page.parts.push(Vec::new());
            }
            let Some(language) = line.strip_prefix("```") else {
                continue;
            };
            let block = lines.by_ref().map(|(_, line)| line);
            let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
            match language {
                "toml" => page.manifest = block.join("\n"),
                "rust" => page.files.push(file(index, &block)),
                "console" | "console figures" => {
                    let part = page.parts.last_mut().expect("a session is in a part");
                    part.push(Session {
                        line: index + 1,
                        has_figures: language.ends_with("figures"),
                        steps: steps(&block),
                    });
                }
                "text" => {}
                _ => panic!("line {}: unknown language `{language}`", index + 1),
            }
        }
        page
    }

    /// Whether the page runs the program `name` as built with optimizations.
    pub(crate) fn is_optimized(&self, name: &str) -> bool {
        let mut steps = self
            .parts
            .iter()
            .flatten()
            .flat_map(|session| &session.steps);
        let command = format!("cargo run --release --bin {name}");
        steps.any(|step| step.command.as_ref() == Some(&command))
    }
}

fn file(index: usize, block: &[&str]) -> File {
    let path = block.first().and_then(|line| line.strip_prefix("// "));
    let path = path.filter(|path| path.ends_with(".rs"));
    let Some(path) = path else {
        panic!("line {}: expected the file's path", index + 2);
    };
    File {
        path: path.to_owned(),
        text: block.join("\n") + "\n",
    }
}

fn steps(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: Some(command.to_owned()),
                output: Vec::new(),
            });
            continue;
        }
        if steps.is_empty() {
            steps.push(Step::default());
        }
        let step = steps.last_mut().expect("there is one");
        step.output.push((*line).to_owned());
    }
    steps
}

/// Whether lines of output are those that the page shows. There, `...` stands for any number of
/// lines, or for the rest of its line. Without `exact` figures and blanks do not matter.
pub(crate) fn is_shown(shown: &[String], found: &[String], exact: bool) -> bool {
    let Some((first, rest)) = shown.split_first() else {
        return found.is_empty();
    };
    if first == "..." {
        return (0..=found.len()).any(|skipped| is_shown(rest, &found[skipped..], exact));
    }
    let Some((line, others)) = found.split_first() else {
        return false;
    };
    let (first, line) = if exact {
        (first.clone(), line.clone())
    } else {
        (without_figures(first), without_figures(line))
    };
    let is_same = match first.strip_suffix("...") {
        Some(start) => line.starts_with(start),
        None => line == first,
    };
    is_same && is_shown(rest, others, exact)
}

/// The line with one `#` for each figure and one blank for several.
fn without_figures(line: &str) -> String {
    let mut text = String::new();
    for c in line.chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if !(text.ends_with(c) && matches!(c, '#' | ' ')) {
            text.push(c);
        }
    }
    text
}

#[test]
fn a_page_is_read() {
    let page = Page::read(
        "a\n```toml\nb = 1\n```\n```rust\n// src/bin/a.rs\nfn main() {}\n```\n# Part one\n\
         ```console figures\nx\n$ y 1\nz\n```\n# Part two\n",
    );
    assert_eq!(page.manifest, "b = 1");
    assert_eq!(page.files[0].path, "src/bin/a.rs");
    assert_eq!(page.files[0].text, "// src/bin/a.rs\nfn main() {}\n");
    assert_eq!(page.parts.len(), 2);
    let session = &page.parts[0][0];
    assert!(session.line == 10 && session.has_figures);
    assert_eq!(session.steps[0].output, ["x"]);
    assert_eq!(session.steps[1].command.as_deref(), Some("y 1"));
    assert_eq!(session.steps[1].output, ["z"]);
}

#[test]
fn output_that_differs_is_found() {
    for (shown, found, exact, same) in [
        ("a\nb", "a\nb", true, true),
        ("a\nb", "a", true, false),
        ("a", "a\nb", true, false),
        ("a\n...\nc", "a\nb\nb\nc", true, true),
        ("a\n...", "a", true, true),
        ("...\nc", "a", true, false),
        ("a 1; ...", "a 1; b", true, true),
        ("a 1", "a 2", true, false),
        ("a  17 ms", "a 5 ms", false, true),
        ("a 17 ms", "b 17 ms", false, false),
    ] {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            is_shown(&lines(shown), &lines(found), exact),
            same,
            "{shown:?} {found:?}"
        );
    }
}
