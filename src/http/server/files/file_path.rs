//! The path of a file, by that of a request.

use crate::http::percent::decode;

/// The one folder with a dot before its name that is served (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// A path beneath the folder of files, which no part of leads upward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FilePath {
    /// Segments with slashes between them: neither at the start nor at the end. Empty for the
    /// folder itself.
    pub(super) bytes: Vec<u8>,
    /// It ends with a slash in the request: it is asked for as a folder.
    pub(super) has_slash: bool,
}

impl FilePath {
    /// The path that `sent` is, which is percent-encoded and begins with a slash or is empty; none
    /// when it can be no path that is served.
    ///
    /// Each segment is decoded once. Refused are, after that, those that are empty, that begin with
    /// a dot (`..` too), and that have a slash, a backslash or a NUL in them.
    pub(super) fn parse(sent: &str) -> Option<Self> {
        let sent = sent.as_bytes();
        let Some(sent) = sent.strip_prefix(b"/") else {
            return sent.is_empty().then(|| Self::root(false));
        };
        if sent.is_empty() {
            return Some(Self::root(true));
        }
        let (sent, has_slash) = match sent.strip_suffix(b"/") {
            Some(sent) => (sent, true),
            None => (sent, false),
        };
        let mut bytes = Vec::with_capacity(sent.len());
        for (index, segment) in sent.split(|&byte| byte == b'/').enumerate() {
            if !is_encoded_well(segment) {
                return None;
            }
            let segment = decode(segment, false);
            if !is_served(&segment, index) {
                return None;
            }
            if index > 0 {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(&segment);
        }
        Some(Self { bytes, has_slash })
    }

    fn root(has_slash: bool) -> Self {
        Self {
            bytes: Vec::new(),
            has_slash,
        }
    }

    /// The path that `name` is, as the program has it.
    pub(super) fn named(name: &str) -> Self {
        Self::root(false).join(name)
    }

    /// The path of `name` in this folder.
    pub(super) fn join(&self, name: &str) -> Self {
        let mut bytes = self.bytes.clone();
        if !bytes.is_empty() {
            bytes.push(b'/');
        }
        bytes.extend_from_slice(name.as_bytes());
        Self {
            bytes,
            has_slash: false,
        }
    }
}

/// Whether each percent sign has its two digits.
fn is_encoded_well(segment: &[u8]) -> bool {
    let mut parts = segment.split(|&byte| byte == b'%').skip(1);
    parts.all(|part| {
        part.get(..2)
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn is_served(segment: &[u8], index: usize) -> bool {
    let is_hidden = match segment.first() {
        None => return false,
        Some(b'.') => index > 0 || segment != WELL_KNOWN,
        Some(_) => false,
    };
    !is_hidden && !segment.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
}

/// The place that a client is sent to which asked for a folder without a slash at its end: relative
/// to the last segment of what it sent, so that it leads to no other host, whatever that is.
pub(super) fn with_slash(request_path: &str, query: Option<&str>) -> String {
    let last = request_path.rsplit('/').next().unwrap_or_default();
    let mut location = format!("./{last}/");
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_once_and_never_lead_upward_or_to_hidden_files() {
        for (sent, expected) in [
            ("", Some(("", false))),
            ("/", Some(("", true))),
            ("/a", Some(("a", false))),
            ("/a/", Some(("a", true))),
            ("/a/b.txt", Some(("a/b.txt", false))),
            ("/a%20b", Some(("a b", false))),
            ("/%C3%BC", Some(("\u{fc}", false))),
            ("/a%2Ehtml", Some(("a.html", false))),
            ("/a%252e", Some(("a%2e", false))),
            ("/a+b", Some(("a+b", false))),
            ("/a..b", Some(("a..b", false))),
            ("/a.", Some(("a.", false))),
            ("/.well-known/acme", Some((".well-known/acme", false))),
            ("/.well-known", Some((".well-known", false))),
            ("/C:/x", Some(("C:/x", false))),
            ("/~user", Some(("~user", false))),
            // Upward, in all its coats.
            ("/..", None),
            ("/../etc/passwd", None),
            ("/a/../b", None),
            ("/a/..", None),
            ("/%2e%2e/b", None),
            ("/.%2e/b", None),
            ("/%2E.", None),
            ("/.", None),
            ("/a/./b", None),
            ("/..%2f..%2fetc", None),
            ("/a%2f..%2fb", None),
            ("/a%2fb", None),
            ("/..%5c..", None),
            ("/a%5Cb", None),
            ("/a\\b", None),
            ("/...", None),
            // Absolute and empty parts.
            ("//", None),
            ("//etc/passwd", None),
            ("/a//b", None),
            ("/a//", None),
            ("/%2fetc", None),
            ("a", None),
            // Hidden files.
            ("/.git/config", None),
            ("/.env", None),
            ("/a/.htaccess", None),
            ("/%2egit", None),
            ("/a/.well-known/b", None),
            ("/.well-known/.git", None),
            ("/.well-known-not", None),
            // NUL, and percent signs without digits.
            ("/a%00", None),
            ("/a%00.html", None),
            ("/a%", None),
            ("/a%4", None),
            ("/a%zz", None),
            ("/a%4%41", None),
        ] {
            let found = FilePath::parse(sent);
            let expected = expected.map(|(path, has_slash)| FilePath {
                bytes: path.as_bytes().to_vec(),
                has_slash,
            });
            assert_eq!(found, expected, "{sent}");
        }
    }

    #[test]
    fn a_folder_is_led_to_by_its_last_segment_alone() {
        for (path, query, expected) in [
            ("/static", None, "./static/"),
            ("/a/b", Some("c=d"), "./b/?c=d"),
            ("//evil.test/x", None, "./x/"),
            ("/a/evil:x", None, "./evil:x/"),
            ("//evil.test", None, "./evil.test/"),
            ("/a%20b", None, "./a%20b/"),
        ] {
            assert_eq!(with_slash(path, query), expected, "{path}");
        }
    }
}
