//! A line of the text format of Prometheus.

use std::collections::BTreeMap;

pub(crate) type Labels = BTreeMap<String, String>;

/// Reads a name with its labels, and the value.
pub(crate) fn sample(line: &str) -> Option<(String, Labels, f64)> {
    let (sample, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    let Some((name, labels)) = sample.split_once('{') else {
        return Some((sample.to_owned(), Labels::new(), value));
    };
    let mut found = Labels::new();
    let mut rest = labels;
    while let Some((label, text)) = rest.split_once("=\"") {
        let mut unescaped = String::new();
        let mut chars = text.char_indices();
        let end = loop {
            match chars.next()? {
                (end, '"') => break end,
                (_, '\\') => unescaped.push(match chars.next()?.1 {
                    'n' => '\n',
                    char => char,
                }),
                (_, char) => unescaped.push(char),
            }
        };
        found.insert(label.trim_start_matches(',').to_owned(), unescaped);
        rest = &text[end + 1..];
    }
    Some((name.to_owned(), found, value))
}
