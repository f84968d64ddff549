//! The grammar of a route's path.

use crate::http::server::message::params::{Names, PARAMS_MAX};

/// Holds a path against what the path of a request can be, and returns the names of its parameters.
///
/// # Panics
///
/// When no request can have the path, or its parameters are not written as they are here. The
/// message has the path, and the right form where another router's was found.
#[track_caller]
pub(super) fn check(path: &str) -> Names {
    assert!(
        path.starts_with('/'),
        "the route `{path}`: expected a slash at its beginning"
    );
    let impossible = |c: char| c.is_control() || matches!(c, ' ' | '?' | '#');
    if let Some(found) = path.chars().find(|&c| impossible(c)) {
        panic!("the route `{path}`: expected a path, found {found:?} in it");
    }
    let mut names: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        let found =
            parameters(segment).unwrap_or_else(|wrong| panic!("the route `{path}`: {wrong}"));
        for name in found {
            let is_new = names.iter().all(|known| known != name);
            assert!(
                is_new,
                "the route `{path}`: its parameter `{name}` is there twice"
            );
            names.push(name.to_owned());
        }
    }
    assert!(
        names.len() <= PARAMS_MAX,
        "the route `{path}`: expected at most {PARAMS_MAX} parameters, found {}",
        names.len()
    );
    names
}

/// The names of the parameters in a segment, or what is wrong with it.
fn parameters(segment: &str) -> Result<Vec<&str>, String> {
    if let Some(right) = as_here(segment) {
        return Err(format!(
            "`{segment}` is no parameter here, expected `{right}`"
        ));
    }
    let mut names = Vec::new();
    let mut rest = segment;
    while let Some(at) = rest.find(['{', '}']) {
        rest = &rest[at..];
        if let Some(behind) = rest.strip_prefix("{{").or(rest.strip_prefix("}}")) {
            rest = behind;
            continue;
        }
        let Some(inner) = rest.strip_prefix('{') else {
            return Err("expected `{` before `}`, or `}}` for the brace itself".to_owned());
        };
        let Some((name, behind)) = inner.split_once('}') else {
            return Err(format!(
                "expected `}}` after `{rest}`, or `{{{{` for the brace itself"
            ));
        };
        names.push(check_name(name)?);
        rest = behind;
    }
    Ok(names)
}

/// A parameter's name from what stands between its braces.
fn check_name(text: &str) -> Result<&str, String> {
    let name = text.strip_prefix('*').unwrap_or(text);
    if name.is_empty() {
        return Err(format!("expected a name in `{{{text}}}`"));
    }
    let start = leading_name(name);
    if start.len() == name.len() {
        return Ok(name);
    }
    let takes_all = name.ends_with("...") || name.contains('*') || name.ends_with(":path");
    Err(format!(
        "expected letters, digits, `_` and `-` as the name of a parameter, found `{name}`; `{}` takes \
         any text",
        braces(if takes_all { "*" } else { "" }, start)
    ))
}

/// How a segment in which other routers see a parameter is written here.
fn as_here(segment: &str) -> Option<String> {
    let mut rest = segment.chars();
    match rest.next()? {
        ':' => Some(braces("", leading_name(rest.as_str()))),
        '*' => Some(braces("*", leading_name(rest.as_str()))),
        '<' => {
            let inner = rest.as_str().split('>').next().unwrap_or_default();
            let name = inner.rsplit(':').next().unwrap_or_default();
            let star = if inner.ends_with("..") || inner.starts_with("path:") {
                "*"
            } else {
                ""
            };
            Some(braces(star, leading_name(name)))
        }
        _ => None,
    }
}

/// A parameter as it is written here, of some name if there is none.
fn braces(star: &str, name: &str) -> String {
    let name = match (name, star) {
        ("", "") => "name",
        ("", _) => "rest",
        (name, _) => name,
    };
    format!("{{{star}{name}}}")
}

fn leading_name(text: &str) -> &str {
    let is_in_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let end = text.find(|c| !is_in_name(c)).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_parameters_are_found_and_braces_for_themselves_are_none() {
        let names = |path| parameters(path);
        assert_eq!(names("").unwrap(), [""; 0]);
        assert_eq!(names("{a}").unwrap(), ["a"]);
        assert_eq!(names("{*rest}").unwrap(), ["rest"]);
        assert_eq!(names("img-{name}.png").unwrap(), ["name"]);
        assert_eq!(names("{{a}}").unwrap(), [""; 0]);
        assert_eq!(names("{{{a_1-b}}}").unwrap(), ["a_1-b"]);
        assert_eq!(names("{\u{e9}t\u{e9}}").unwrap(), ["\u{e9}t\u{e9}"]);
        // These have their marks elsewhere than at the start of a segment.
        for literal in ["v1:cancel", "a*", "a<b", "~user", "@me", "$x", "a:b:c"] {
            assert_eq!(names(literal).unwrap(), [""; 0], "{literal}");
        }
    }

    #[test]
    fn what_is_a_parameter_elsewhere_is_told_its_form_here() {
        for (segment, right) in [
            (":id", "`{id}`"),
            (":id?", "`{id}`"),
            (":id(\\d+)", "`{id}`"),
            (":", "`{name}`"),
            ("*", "`{*rest}`"),
            ("*path", "`{*path}`"),
            ("**", "`{*rest}`"),
            ("<id>", "`{id}`"),
            ("<int:id>", "`{id}`"),
            ("<path:file>", "`{*file}`"),
            ("<file..>", "`{*file}`"),
            ("{id:int}", "`{id}`"),
            ("{id:[0-9]+}", "`{id}`"),
            ("{id?}", "`{id}`"),
            ("{file...}", "`{*file}`"),
            ("{file:.*}", "`{*file}`"),
            ("{file:path}", "`{*file}`"),
            ("{**file}", "`{*rest}`"),
            ("{$}", "`{name}`"),
            ("{a b}", "`{a}`"),
        ] {
            let wrong = parameters(segment).expect_err(segment);
            assert!(wrong.contains(right), "{segment}: {wrong}");
        }
        for (segment, part) in [
            ("{", "expected `}` after `{`"),
            ("{id", "expected `}` after `{id`"),
            ("a}", "expected `{` before `}`"),
            ("{a}}", "expected `{` before `}`"),
            ("{}", "expected a name in `{}`"),
            ("{*}", "expected a name in `{*}`"),
            ("{a{b}", "found `a{b`"),
        ] {
            let wrong = parameters(segment).expect_err(segment);
            assert!(wrong.contains(part), "{segment}: {wrong}");
        }
    }
}
