//! A Rust file as the rules see it: code apart from comments, quoted text taken out.

use std::path::{Path, PathBuf};

/// A file of ours, seen as its code and as its comments.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// The code, with spaces in place of comments and of what stands in quotes.
    pub(crate) code: String,
    /// The comments, with spaces in place of everything else.
    pub(crate) comments: String,
}

impl Source {
    pub(crate) fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        let mut code = String::with_capacity(text.len());
        let mut comments = String::with_capacity(text.len());
        let chars: Vec<char> = text.chars().collect();
        let mut start = 0;
        while start < chars.len() {
            let (kind, end) = token(&chars, start);
            for (index, &letter) in chars.iter().enumerate().take(end).skip(start) {
                let blank = if letter == '\n' { '\n' } else { ' ' };
                let is_quote = kind == Token::Quoted && (index == start || index + 1 == end);
                code.push(match kind {
                    Token::Code => letter,
                    Token::Quoted if is_quote => '"',
                    Token::Quoted | Token::Comment => blank,
                });
                comments.push(if kind == Token::Comment {
                    letter
                } else {
                    blank
                });
            }
            start = end;
        }
        Self {
            path: path.into(),
            code,
            comments,
        }
    }

    /// The same without items that only tests have.
    pub(crate) fn without_tests(&self) -> Self {
        let mut code: Vec<char> = self.code.chars().collect();
        for (start, end) in test_items(&self.code) {
            for letter in &mut code[start..end] {
                if *letter != '\n' {
                    *letter = ' ';
                }
            }
        }
        Self {
            path: self.path.clone(),
            code: code.into_iter().collect(),
            comments: self.comments.clone(),
        }
    }

    /// The module of the crate's root that this file of src belongs to; none for lib.rs.
    pub(crate) fn module(&self) -> Option<String> {
        let first = self.path.iter().nth(1)?.to_str()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (name != "lib").then(|| name.to_owned())
    }

    /// How many modules deep this file of src is: 1 for `src/driver.rs`.
    pub(crate) fn depth(&self) -> usize {
        let is_root = self.path.ends_with("lib.rs");
        self.path.iter().count() - 1 - usize::from(is_root)
    }

    /// Whether the whole file is tests.
    pub(crate) fn is_tests(&self) -> bool {
        self.path.iter().skip(1).any(|part| {
            let part = Path::new(part).file_stem().and_then(|stem| stem.to_str());
            part.is_some_and(|part| part == "tests" || part.ends_with("_tests"))
        })
    }

    pub(crate) fn finding(&self, index: usize, what: impl std::fmt::Display) -> String {
        let line = 1 + self.code.chars().take(index).filter(|&c| c == '\n').count();
        format!("{}:{line}: {what}", self.path.display())
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Code,
    Comment,
    Quoted,
}

/// The kind of the token at `start`, and its end.
fn token(chars: &[char], start: usize) -> (Token, usize) {
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let find = |from: usize, end: &dyn Fn(usize) -> bool| {
        (from..chars.len())
            .find(|&index| end(index))
            .unwrap_or(chars.len())
    };
    match (at(start), at(start + 1)) {
        ('/', '/') => (Token::Comment, find(start, &|index| at(index) == '\n')),
        ('/', '*') => (Token::Comment, comment_end(chars, start)),
        ('"', _) => (Token::Quoted, quoted_end(chars, start)),
        ('\'', '\\') => (Token::Quoted, quoted_end(chars, start)),
        ('\'', _) if at(start + 2) == '\'' => (Token::Quoted, start + 3),
        (letter, _) if is_name(letter) => {
            let end = find(start, &|index| !is_name(at(index)));
            let word: String = chars[start..end].iter().collect();
            let quote = find(end, &|index| at(index) != '#');
            if !matches!(&*word, "r" | "br" | "cr") || at(quote) != '"' {
                return (Token::Code, end);
            }
            let hashes = quote - end;
            let close = find(quote + 1, &|index| {
                at(index) == '"' && (1..=hashes).all(|offset| at(index + offset) == '#')
            });
            (Token::Quoted, (close + 1 + hashes).min(chars.len()))
        }
        _ => (Token::Code, start + 1),
    }
}

/// The end of a block comment, which may hold others.
fn comment_end(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut index = start;
    while index + 1 < chars.len() {
        match (chars[index], chars[index + 1]) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            _ => {
                index += 1;
                continue;
            }
        }
        index += 2;
        if depth == 0 {
            return index;
        }
    }
    chars.len()
}

/// The end of what begins with a quote and has escapes.
fn quoted_end(chars: &[char], start: usize) -> usize {
    let mut index = start + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            letter if letter == chars[start] => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Every name and keyword of `code`, with the place of its first letter.
pub(crate) fn words(code: &str) -> Vec<(usize, String)> {
    let mut words = Vec::new();
    let mut word = String::new();
    for (index, letter) in code.chars().chain([' ']).enumerate() {
        if is_name(letter) {
            word.push(letter);
        } else if !word.is_empty() {
            let start = index - word.chars().count();
            words.push((start, std::mem::take(&mut word)));
        }
    }
    words
}

/// The places in `code` where `needle` stands and is not the end of a longer name.
pub(crate) fn find_all(code: &str, needle: &str) -> Vec<usize> {
    let begins_a_name = needle.starts_with(is_name);
    let mut places = Vec::new();
    let (mut from, mut count) = (0, 0);
    while let Some(at) = code[from..].find(needle) {
        let before = &code[..from + at];
        count += before[from..].chars().count();
        if !begins_a_name || !before.ends_with(is_name) {
            places.push(count);
        }
        // The next may begin within this one.
        from = before.len()
            + code[before.len()..]
                .chars()
                .next()
                .map_or(1, char::len_utf8);
        count += 1;
    }
    places
}

/// The end of the brackets that open at `start`, behind the closing one.
pub(crate) fn closing(chars: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, letter) in chars.iter().enumerate().skip(start) {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    chars.len()
}

/// Where items stand that have `#[cfg(test)]` or `#[cfg(all(test, ..))]`.
pub(crate) fn test_items(code: &str) -> Vec<(usize, usize)> {
    let chars: Vec<char> = code.chars().collect();
    let mut items = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(all(test"] {
        for start in find_all(code, attribute) {
            let mut index = closing(&chars, start + 1);
            while index < chars.len() && !matches!(chars[index], ';' | '{') {
                // Skips the brackets of other attributes and of parameters.
                index = if matches!(chars[index], '(' | '[') {
                    closing(&chars, index)
                } else {
                    index + 1
                };
            }
            items.push((start, closing(&chars, index).min(chars.len())));
        }
    }
    items
}

/// The first names behind each `crate::`, of a group all of them.
pub(crate) fn crate_uses(code: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = code.chars().collect();
    let mut uses = Vec::new();
    for start in find_all(code, "crate::") {
        let start = start + "crate::".len();
        if chars.get(start) != Some(&'{') {
            let end = start + chars[start..].iter().take_while(|&&c| is_name(c)).count();
            uses.push((start, chars[start..end].iter().collect()));
            continue;
        }
        let end = closing(&chars, start);
        let mut index = start + 1;
        while index < end {
            if chars[index] == '{' {
                index = closing(&chars, index);
                continue;
            }
            let opens = chars[start..index]
                .iter()
                .rev()
                .find(|c| !c.is_whitespace());
            if is_name(chars[index]) && matches!(opens, Some('{' | ',')) {
                let name_end = index + chars[index..].iter().take_while(|&&c| is_name(c)).count();
                uses.push((index, chars[index..name_end].iter().collect()));
                index = name_end;
            } else {
                index += 1;
            }
        }
    }
    uses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("src/net.rs", text).code
    }

    #[test]
    fn comments_and_quoted_text_are_no_code() {
        assert_eq!(code("a // b\nc"), "a     \nc");
        assert_eq!(code("a /* b /* c */ d */ e"), "a                   e");
        assert_eq!(code(r#"f("b\"// c") // d"#), r#"f("       ")     "#);
        assert_eq!(code("r#\"b\"c\"# d"), "\"      \" d");
        assert_eq!(code("'\"' 'b' '\\'' c"), "\" \" \" \" \"  \" c");
        assert_eq!(code("<'a> 'b: loop"), "<'a> 'b: loop");
        assert_eq!(code("/* never closed"), "               ");
        assert_eq!(code("\"never closed"), "\"           \"");
    }

    #[test]
    fn comments_are_kept_apart() {
        let source = Source::new("src/net.rs", "a // b \"c\"\n\"// d\"");
        assert_eq!(source.comments, "  // b \"c\"\n      ");
    }

    #[test]
    fn items_of_tests_are_taken_out() {
        let left = |text| {
            let source = Source::new("src/net.rs", text).without_tests();
            words(&source.code)
                .into_iter()
                .map(|(_, word)| word)
                .collect::<Vec<_>>()
        };
        assert_eq!(left("a #[cfg(test)] mod tests { b { c } } d"), ["a", "d"]);
        assert_eq!(left("#[cfg(test)] #[f(g)] mod tests; d"), ["d"]);
        assert_eq!(left("#[cfg(all(test, loom))] use b::{c}; d"), ["d"]);
        assert_eq!(left("#[cfg(test)] fn f(a: [u8; 3]) { b } d"), ["d"]);
        assert_eq!(left("#[cfg(not(test))] a"), ["cfg", "not", "test", "a"]);
    }

    #[test]
    fn uses_of_the_crate_are_found_in_paths_and_groups() {
        let uses = |text| {
            let uses = crate_uses(&code(text));
            uses.into_iter().map(|(_, name)| name).collect::<Vec<_>>()
        };
        assert_eq!(
            uses("use crate::sys::Fd; crate::task::spawn()"),
            ["sys", "task"]
        );
        assert_eq!(
            uses(
                "use crate::{\n    buf::{IoBuf, Slice},\n    driver::{self, Driver},\n    op,\n};"
            ),
            ["buf", "driver", "op"]
        );
        assert_eq!(uses("pub(crate) mycrate::x // crate::net"), [""; 0]);
    }

    #[test]
    fn a_file_knows_its_module_and_its_depth() {
        let about = |path: &str| {
            let source = Source::new(path, "");
            (source.module(), source.depth(), source.is_tests())
        };
        assert_eq!(about("src/lib.rs"), (None, 0, false));
        assert_eq!(about("src/net.rs"), (Some("net".to_owned()), 1, false));
        assert_eq!(
            about("src/sync/mpsc.rs"),
            (Some("sync".to_owned()), 2, false)
        );
        assert_eq!(
            about("src/net/turns.rs"),
            (Some("net".to_owned()), 2, false)
        );
        assert_eq!(about("src/net/tests.rs"), (Some("net".to_owned()), 2, true));
        assert_eq!(
            about("src/net/tests/a.rs"),
            (Some("net".to_owned()), 3, true)
        );
        assert_eq!(
            about("src/task/loom_tests.rs"),
            (Some("task".to_owned()), 2, true)
        );
    }
}
