//! The rules of `docs/style.md` about prose that a machine can hold.

use std::path::Path;

use super::source::{Source, words};

/// The most columns of a line of comments and docs. The formatter holds those of code.
const COLUMNS_MAX: usize = 100;
/// Nouns of things that come one after the other: "behind" one of them means "after".
const IN_ORDER: [&str; 17] = [
    "answer",
    "answers",
    "await",
    "body",
    "end",
    "handshake",
    "head",
    "last",
    "message",
    "messages",
    "request",
    "requests",
    "response",
    "responses",
    "visit",
    "write",
    "writes",
];
/// Words that may stand between "behind" and its noun.
const BETWEEN: [&str; 20] = [
    "a", "all", "an", "chunked", "each", "every", "first", "her", "his", "its", "last", "other",
    "our", "ready", "that", "the", "their", "these", "this", "those",
];
/// Words for persons, where a task, a caller, a peer or a client is meant.
const PERSONS: [&str; 8] = [
    "anybody",
    "anyone",
    "everybody",
    "everyone",
    "nobody",
    "somebody",
    "someone",
    "whoever",
];
/// Words that make a clause of order after "behind".
const CLAUSES: [&str; 3] = ["everything", "what", "whatever"];

/// No line of docs begins with a relative clause: it would be a subject.
pub(crate) fn clauses_as_subjects(path: &Path, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let docs = line.strip_prefix("///").or(line.strip_prefix("//!"));
        let first = docs.and_then(|docs| docs.split_whitespace().next());
        if let Some(first @ ("What" | "Whom")) = first {
            findings.push(format!(
                "{}:{}: docs begin with `{first}`: expected a noun or a verb of the thing",
                path.display(),
                index + 1
            ));
        }
    }
    findings
}

/// "After" is for order, "behind" for memory and for places in a queue.
pub(crate) fn order(path: &Path, prose: &str) -> Vec<String> {
    let words = words(prose);
    let name = |index: usize| words.get(index).map_or("", |(_, word)| word.as_str());
    let mut findings = Vec::new();
    for (index, (place, word)) in words.iter().enumerate() {
        if word != "behind" {
            continue;
        }
        let mut next = index + 1;
        while BETWEEN.contains(&name(next)) {
            next += 1;
        }
        // "Behind the last" alone is of order, too.
        let is_last = name(next - 1) == "last";
        if is_last || IN_ORDER.contains(&name(next)) || CLAUSES.contains(&name(index + 1)) {
            let line = prose.chars().take(*place).filter(|&c| c == '\n').count() + 1;
            findings.push(format!(
                "{}:{line}: `behind .. {}` is of order: expected `after`",
                path.display(),
                name(next)
            ));
        }
    }
    findings
}

/// Tasks, callers, peers and clients do things: no word for a person stands in their place.
pub(crate) fn persons(path: &Path, prose: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (index, line) in prose.lines().enumerate() {
        for (_, word) in words(line) {
            let word = word.to_lowercase();
            if PERSONS.contains(&word.as_str()) {
                findings.push(format!(
                    "{}:{}: expected the task, caller, peer or client, found `{word}`",
                    path.display(),
                    index + 1
                ));
            }
        }
    }
    findings
}

/// No sentence begins with a relative clause. A question may, and so may a heading or a table's
/// cell, which is a title.
pub(crate) fn clauses_as_sentences(path: &Path, prose: &str) -> Vec<String> {
    let chars: Vec<char> = prose.chars().collect();
    let mut findings = Vec::new();
    for (place, word) in words(prose) {
        if !["What", "Whatever", "Who", "Whom", "Whose"].contains(&word.as_str()) {
            continue;
        }
        let mut before = chars[..place].iter().rev();
        let before = before.find(|letter| !letter.is_whitespace());
        let mut after = chars[place..].iter();
        let is_question = after.find(|letter| ".?|".contains(**letter)) == Some(&'?');
        let is_title = matches!(before, Some('#' | '|' | '*' | '[' | '"'));
        if !is_question && !is_title {
            let line = chars[..place].iter().filter(|&&c| c == '\n').count() + 1;
            findings.push(format!(
                "{}:{line}: a sentence begins with `{word}`: expected a noun or a verb",
                path.display()
            ));
        }
    }
    findings
}

/// The comments of `source` as prose, without what marks them.
pub(crate) fn prose(source: &Source) -> String {
    source.comments.replace("//", "  ").replace("/*", "  ")
}

/// Lines of comments in a Rust file, or of any text in Markdown, are not long. Tables, code and
/// lines with a link may be.
pub(crate) fn long_lines(path: &Path, text: &str) -> Vec<String> {
    let is_rust = path.extension().is_some_and(|extension| extension == "rs");
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if is_rust && !trimmed.starts_with("//") {
            in_code = false;
            continue;
        }
        let inner = trimmed.trim_start_matches(['/', '!']).trim_start();
        if inner.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        let may_be_long = in_code || inner.starts_with('|') || inner.contains("](");
        if !may_be_long && !inner.contains("://") && line.chars().count() > COLUMNS_MAX {
            findings.push(format!(
                "{}:{}: expected at most {COLUMNS_MAX} columns",
                path.display(),
                index + 1
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_do_not_begin_with_a_clause() {
        let finds = |text, count| {
            let findings = clauses_as_subjects(Path::new("src/net.rs"), text);
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        finds("/// What a client is told.\nfn f() {}", 1);
        finds("//! Whom the client trusts.", 1);
        finds("struct A {\n    /// What came.\n    b: u8,\n}", 1);
        finds("/// The answer.\n/// What follows is kept.", 1);
        finds("/// Whatever comes.", 0);
        finds("// What is left goes on.", 0);
        finds("/// Tells what came.", 0);
    }

    #[test]
    fn behind_is_not_for_order() {
        let finds = |text, count| {
            let findings = order(Path::new("docs/a.md"), &prose(&Source::new("a.rs", text)));
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        finds("// It is closed behind its answer.", 1);
        finds("// It is sent behind the last.", 1);
        finds("// Fields behind a chunked body.", 1);
        finds("/// Ends the direction behind what was sent.", 1);
        finds("// It is closed behind\n// the response.", 1);
        finds("// The future stands behind the header.", 0);
        finds("// It waits behind the other tasks.", 0);
        finds("// Nothing is left behind.", 0);
        finds("let behind = behind(request);", 0);
    }

    #[test]
    fn sentences_do_not_begin_with_a_clause() {
        let finds = |text, count| {
            let findings = clauses_as_sentences(Path::new("docs/a.md"), text);
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        finds("It ends. What is left\nis dropped.", 1);
        finds("Who waits is woken.", 1);
        finds("Whatever comes is kept: a byte.", 1);
        finds("What does it cost? Little.", 0);
        finds("## What a client may send", 0);
        finds("| What | How often |", 0);
        finds("The rest of what came.", 0);
    }

    #[test]
    fn persons_are_found_in_prose_alone() {
        let finds = |text, count| {
            let findings = persons(Path::new("a.rs"), &prose(&Source::new("a.rs", text)));
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        finds("/// Takes a send that nobody waits for.", 1);
        finds("// Whoever waits is woken, and nobody else.", 2);
        finds("// The task that waits is woken.", 0);
        finds("let nobody = \"somebody\";", 0);
    }

    #[test]
    fn a_finding_of_order_names_its_line() {
        let findings = order(Path::new("docs/a.md"), "one\ntwo behind the answer\n");
        assert!(findings[0].starts_with("docs/a.md:2:"), "{findings:?}");
    }

    #[test]
    fn long_lines_are_found() {
        let finds = |path: &str, text: String, count| {
            let findings = long_lines(Path::new(path), &text);
            assert_eq!(findings.len(), count, "{text}: {findings:?}");
        };
        let long = "word ".repeat(20);
        finds("src/net.rs", format!("    /// {long}"), 1);
        finds("src/net.rs", format!("// {long}"), 1);
        finds("src/net.rs", format!("/// | {long}|"), 0);
        finds("src/net.rs", format!("/// ```\n/// {long}\n/// ```"), 0);
        finds("src/net.rs", format!("let text = \"{long}\";"), 0);
        finds("docs/a.md", format!("{long}end"), 1);
        finds("docs/a.md", format!("{long}[end](a.md)"), 0);
        finds("docs/a.md", format!("```text\n{long}end\n```"), 0);
        finds("docs/a.md", format!("```text\n```\n{long}end"), 1);
        finds("docs/a.md", "word ".repeat(19), 0);
    }
}
