//! Conditions of requests (RFC 9110, section 13).

use super::entity_tag::{ETag, Tag};
use crate::http::{
    Method,
    h1::{Fields, parse_date, trim},
};

/// The validators of the representation that a request is about.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Validators<'a> {
    /// There is a representation.
    pub(crate) exists: bool,
    pub(crate) etag: Option<&'a ETag>,
    /// Seconds since 1970.
    pub(crate) last_modified: Option<u64>,
    /// The representation does not change twice within the second of `last_modified` (RFC 9110,
    /// section 8.8.2.2).
    pub(crate) is_date_strong: bool,
}

/// The outcome of a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The request is answered. `Range` counts when `with_range` says so.
    Proceed { with_range: bool },
    /// 304: the client has the representation.
    NotModified,
    /// 412.
    Failed,
}

/// Evaluates the conditions of a request in the order of RFC 9110, section 13.2.2. `now` is for
/// dates with years of two digits.
pub(crate) fn evaluate(
    method: &Method,
    fields: &Fields,
    validators: Validators<'_>,
    now: u64,
) -> Verdict {
    let date = |name: &str| one(fields, name).and_then(|value| parse_date(value, now));
    let is_read = *method == Method::GET || *method == Method::HEAD;
    if fields.get("if-match").is_some() {
        if !names(fields, "if-match", validators, |own, tag| {
            own.is_strongly(tag)
        }) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(modified)) =
        (date("if-unmodified-since"), validators.last_modified)
    {
        if modified > since {
            return Verdict::Failed;
        }
    }
    if fields.get("if-none-match").is_some() {
        if names(fields, "if-none-match", validators, |own, tag| {
            own.is_weakly(tag)
        }) {
            return if is_read {
                Verdict::NotModified
            } else {
                Verdict::Failed
            };
        }
    } else if is_read {
        if let (Some(since), Some(modified)) = (date("if-modified-since"), validators.last_modified)
        {
            if modified <= since {
                return Verdict::NotModified;
            }
        }
    }
    let with_range = *method == Method::GET && fits_range(fields, validators, now);
    Verdict::Proceed { with_range }
}

/// Whether `If-Range` lets `Range` count (RFC 9110, section 13.1.5).
fn fits_range(fields: &Fields, validators: Validators<'_>, now: u64) -> bool {
    if fields.get("if-range").is_none() {
        return true;
    }
    let Some(value) = one(fields, "if-range") else {
        return false;
    };
    if let Some((tag, [])) = Tag::split(value) {
        return validators
            .etag
            .is_some_and(|etag| etag.as_tag().is_strongly(tag));
    }
    let date = parse_date(value, now);
    validators.is_date_strong && date.is_some() && date == validators.last_modified
}

/// The value of a field that may be there once; none when it is there more often.
fn one<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    let mut values = fields.get_all(name);
    let value = values.next()?;
    values.next().is_none().then(|| trim(value))
}

/// Whether the field called `name` has the tag of the representation, or is `*` and there is one.
/// An element that is no tag ends the look at its line.
fn names(
    fields: &Fields,
    name: &str,
    validators: Validators<'_>,
    is_same: impl Fn(Tag<'_>, Tag<'_>) -> bool,
) -> bool {
    fields.get_all(name).any(|value| {
        let mut rest = trim(value);
        if rest == b"*" {
            return validators.exists;
        }
        let Some(etag) = validators.etag else {
            return false;
        };
        loop {
            while let [b',' | b' ' | b'\t', behind @ ..] = rest {
                rest = behind;
            }
            let Some((tag, behind)) = Tag::split(rest) else {
                return false;
            };
            if is_same(etag.as_tag(), tag) {
                return true;
            }
            rest = behind;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{RequestHead, Rules};

    const MODIFIED: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sunday, 06-Nov-94 08:49:36 GMT";
    const LATER: &str = "Sun Nov  6 08:49:38 1994";
    const SECONDS: u64 = 784_111_777;

    fn verdict(method: &str, lines: &str, validators: Validators<'_>) -> Verdict {
        let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
        let mut head = RequestHead::new();
        let read = head.read(text.as_bytes(), &Rules::default());
        assert!(matches!(read, Ok(Some(_))), "{text}");
        evaluate(head.method(), head.fields(), validators, SECONDS)
    }

    /// The verdict in a word, for a strong tag `"a,b"` and a date.
    fn word(method: &str, lines: &[(&str, &str)]) -> &'static str {
        let etag = ETag::strong("a,b");
        let validators = Validators {
            exists: true,
            etag: Some(&etag),
            last_modified: Some(SECONDS),
            is_date_strong: true,
        };
        let lines: String = lines
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        match verdict(method, &lines, validators) {
            Verdict::Proceed { with_range: true } => "range",
            Verdict::Proceed { with_range: false } => "whole",
            Verdict::NotModified => "304",
            Verdict::Failed => "412",
        }
    }

    #[test]
    fn each_condition_alone() {
        for (name, value, get, put) in [
            ("If-Match", "*", "range", "whole"),
            ("If-Match", "\"a,b\"", "range", "whole"),
            ("If-Match", "\"x\", \"a,b\"", "range", "whole"),
            ("If-Match", ",, \"x\" ,\t,\"a,b\",", "range", "whole"),
            ("If-Match", "W/\"a,b\"", "412", "412"),
            ("If-Match", "\"x\"", "412", "412"),
            ("If-Match", "\"a\"", "412", "412"),
            ("If-Match", "a,b", "412", "412"),
            ("If-Match", "", "412", "412"),
            ("If-Match", "*, \"x\"", "412", "412"),
            ("If-Unmodified-Since", MODIFIED, "range", "whole"),
            ("If-Unmodified-Since", LATER, "range", "whole"),
            ("If-Unmodified-Since", EARLIER, "412", "412"),
            ("If-Unmodified-Since", "yesterday", "range", "whole"),
            ("If-None-Match", "*", "304", "412"),
            ("If-None-Match", "\"a,b\"", "304", "412"),
            ("If-None-Match", "W/\"a,b\"", "304", "412"),
            ("If-None-Match", "\"x\", W/\"a,b\"", "304", "412"),
            ("If-None-Match", "\"x\"", "range", "whole"),
            ("If-None-Match", "broken", "range", "whole"),
            ("If-Modified-Since", MODIFIED, "304", "whole"),
            ("If-Modified-Since", LATER, "304", "whole"),
            ("If-Modified-Since", EARLIER, "range", "whole"),
            ("If-Modified-Since", "0", "range", "whole"),
            ("If-Range", "\"a,b\"", "range", "whole"),
            ("If-Range", MODIFIED, "range", "whole"),
            ("If-Range", "W/\"a,b\"", "whole", "whole"),
            ("If-Range", "\"x\"", "whole", "whole"),
            ("If-Range", LATER, "whole", "whole"),
            ("If-Range", EARLIER, "whole", "whole"),
            ("If-Range", "*", "whole", "whole"),
        ] {
            assert_eq!(word("GET", &[(name, value)]), get, "GET {name}: {value}");
            assert_eq!(word("PUT", &[(name, value)]), put, "PUT {name}: {value}");
            let head = if get == "range" { "whole" } else { get };
            assert_eq!(word("HEAD", &[(name, value)]), head, "HEAD {name}: {value}");
        }
    }

    #[test]
    fn the_order_of_conditions_is_that_of_the_rfc() {
        let same = "\"a,b\"";
        for (lines, expected) in [
            // A tag counts and the date beside it does not.
            (
                vec![("If-Match", same), ("If-Unmodified-Since", EARLIER)],
                "range",
            ),
            (
                vec![("If-None-Match", "\"x\""), ("If-Modified-Since", LATER)],
                "range",
            ),
            // Each of the first pair comes before each of the second.
            (vec![("If-None-Match", same), ("If-Match", "\"x\"")], "412"),
            (vec![("If-None-Match", same), ("If-Match", same)], "304"),
            (
                vec![
                    ("If-Modified-Since", LATER),
                    ("If-Unmodified-Since", EARLIER),
                ],
                "412",
            ),
            (vec![("If-None-Match", same), ("If-Range", "\"x\"")], "304"),
            (vec![("If-Match", same), ("If-Range", "\"x\"")], "whole"),
            // Lists go over several lines, and what may be there once is ignored when it is not.
            (
                vec![("If-None-Match", "\"x\""), ("If-None-Match", same)],
                "304",
            ),
            (
                vec![("If-Modified-Since", LATER), ("If-Modified-Since", LATER)],
                "range",
            ),
            (vec![("If-Range", same), ("If-Range", same)], "whole"),
        ] {
            assert_eq!(word("GET", &lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_representation_and_not_for_none() {
        let missing = Validators::default();
        let proceed = Verdict::Proceed { with_range: false };
        assert_eq!(verdict("PUT", "If-Match: *\r\n", missing), Verdict::Failed);
        assert_eq!(
            verdict("PUT", "If-Match: \"a\"\r\n", missing),
            Verdict::Failed
        );
        assert_eq!(verdict("PUT", "If-None-Match: *\r\n", missing), proceed);
        assert_eq!(verdict("PUT", "If-None-Match: \"a\"\r\n", missing), proceed);
    }

    #[test]
    fn what_is_not_known_fails_no_date_and_matches_no_tag() {
        let none = Validators {
            exists: true,
            ..Validators::default()
        };
        let proceed = Verdict::Proceed { with_range: true };
        let check = |line: &str, expected| assert_eq!(verdict("GET", line, none), expected);
        check("If-Match: \"a\"\r\n", Verdict::Failed);
        check("If-Match: *\r\n", proceed);
        check("If-None-Match: \"a\"\r\n", proceed);
        check("If-None-Match: *\r\n", Verdict::NotModified);
        check(&format!("If-Unmodified-Since: {EARLIER}\r\n"), proceed);
        check(&format!("If-Modified-Since: {LATER}\r\n"), proceed);
        check(
            &format!("If-Range: {MODIFIED}\r\n"),
            Verdict::Proceed { with_range: false },
        );
        let weak = ETag::weak("a");
        let young = Validators {
            exists: true,
            etag: Some(&weak),
            last_modified: Some(SECONDS),
            is_date_strong: false,
        };
        let whole = Verdict::Proceed { with_range: false };
        let line = format!("If-Range: {MODIFIED}\r\n");
        assert_eq!(verdict("GET", &line, young), whole);
        assert_eq!(verdict("GET", "If-Range: W/\"a\"\r\n", young), whole);
    }
}
