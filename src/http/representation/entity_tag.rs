//! Entity tags.

use std::fmt;

use crate::http::{HeaderValue, base64};

/// An entity tag: a name for one version of a representation (RFC 9110, section 8.8.3).
///
/// Two representations with one *strong* tag are equal byte by byte, and two with one *weak* tag
/// mean the same. Ranges are answered by strong tags only. It is the value of the field `ETag`, and
/// [`Response::conditional`](crate::http::Response::conditional) answers by it.
///
/// # Examples
///
/// ```
/// use annulus::http::ETag;
///
/// assert_eq!(ETag::strong("v7").to_string(), "\"v7\"");
/// assert_eq!(ETag::weak("v7").to_string(), "W/\"v7\"");
/// assert_eq!(ETag::of_content(b"hello"), ETag::of_content(b"hello"));
/// assert_eq!(ETag::parse(b"W/\"v7\""), Some(ETag::weak("v7")));
/// assert_eq!(ETag::parse(b"v7"), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ETag {
    /// Invariant: as it stands in a field, quotes and `W/` included.
    value: HeaderValue,
}

impl ETag {
    /// Makes a tag that two representations have only when they are equal byte by byte.
    ///
    /// # Panics
    ///
    /// When `text` has a quote, a blank or a control character, which no tag can have.
    #[must_use]
    #[track_caller]
    pub fn strong(text: &str) -> Self {
        Self::of_text("", text)
    }

    /// Makes a tag that two representations may have when they differ in bytes and not in meaning.
    ///
    /// # Panics
    ///
    /// As [`strong`](Self::strong).
    #[must_use]
    #[track_caller]
    pub fn weak(text: &str) -> Self {
        Self::of_text("W/", text)
    }

    #[track_caller]
    fn of_text(mark: &str, text: &str) -> Self {
        assert!(
            text.bytes().all(is_tag_byte),
            "expected an entity tag without quotes, blanks and control characters, found {text:?}"
        );
        Self::of_valid(format!("{mark}\"{text}\"").as_bytes())
    }

    /// Makes a strong tag that is a digest of the content (SHA-1), so that equal contents have
    /// equal tags on every server.
    #[must_use]
    pub fn of_content(content: &[u8]) -> Self {
        let mut digest = sha1_smol::Sha1::new();
        digest.update(content);
        let mut value = String::from("\"");
        base64::encode(&mut value, &digest.digest().bytes());
        value.push('"');
        Self::of_valid(value.as_bytes())
    }

    /// Reads a tag as it stands in a field, with its quotes; none when it is no tag.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (_, rest) = Tag::split(value)?;
        rest.is_empty().then(|| Self::of_valid(value))
    }

    fn of_valid(value: &[u8]) -> Self {
        let value = HeaderValue::from_bytes(value).expect("a tag is made of visible characters");
        Self { value }
    }

    /// Whether it is weak.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.value.as_bytes().starts_with(b"W/")
    }

    pub(super) fn as_tag(&self) -> Tag<'_> {
        let (tag, _) = Tag::split(self.value.as_bytes()).expect("the value is a tag");
        tag
    }
}

impl From<ETag> for HeaderValue {
    fn from(tag: ETag) -> Self {
        tag.value
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.value.as_bytes()))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({self})")
    }
}

/// A tag in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    is_weak: bool,
    opaque: &'a [u8],
}

impl<'a> Tag<'a> {
    /// The tag at the start of `value`, and what follows it.
    pub(super) fn split(value: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (is_weak, rest) = match value.strip_prefix(b"W/") {
            Some(rest) => (true, rest),
            None => (false, value),
        };
        let rest = rest.strip_prefix(b"\"")?;
        let end = rest.iter().position(|&byte| !is_tag_byte(byte))?;
        let (opaque, rest) = rest.split_at(end);
        let rest = rest.strip_prefix(b"\"")?;
        Some((Self { is_weak, opaque }, rest))
    }

    /// RFC 9110, section 8.8.3.2.
    pub(super) fn is_strongly(self, other: Tag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.opaque == other.opaque
    }

    pub(super) fn is_weakly(self, other: Tag<'_>) -> bool {
        self.opaque == other.opaque
    }
}

/// RFC 9110, section 8.8.3: `etagc`.
fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_as_they_are_written() {
        for text in [
            "\"\"",
            "W/\"\"",
            "\"a,b\"",
            "W/\"x\"",
            "\"a'\\z\"",
            "\"\u{fc}\"",
        ] {
            let tag = ETag::parse(text.as_bytes()).expect(text);
            assert_eq!(tag.to_string(), text);
            assert_eq!(tag.is_weak(), text.starts_with('W'));
        }
        for text in [
            "",
            "\"",
            "a",
            "w/\"a\"",
            "W/a",
            "\"a",
            "a\"",
            "\"a\"b",
            "\"a\" ",
            "\"a b\"",
            "\"a\"\"",
            "*",
            "\"a\"\"\"",
            "\"\"\"\"",
        ] {
            assert_eq!(ETag::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn strong_comparison_wants_two_strong_tags() {
        // RFC 9110, section 8.8.3.2, has this table.
        for (a, b, strongly, weakly) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (a, b) = (
                ETag::parse(a.as_bytes()).unwrap(),
                ETag::parse(b.as_bytes()).unwrap(),
            );
            assert_eq!(a.as_tag().is_strongly(b.as_tag()), strongly);
            assert_eq!(a.as_tag().is_weakly(b.as_tag()), weakly);
        }
    }

    #[test]
    #[should_panic(expected = "found \"a b\"")]
    fn a_blank_in_a_tag_panics() {
        let _ = ETag::strong("a b");
    }
}
