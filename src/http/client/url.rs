//! The URL of a request.

use std::{fmt, str::FromStr};

use super::error::{Error, ErrorKind};
use crate::http::{HeaderValue, base64, h1, percent};

/// Bytes of a URL. It has to fit a request line.
const URL_BYTES_MAX: usize = 64 << 10;

/// The characters that an error shows of a text that is no URL.
const SHOWN_CHARS: usize = 200;

/// An absolute URL with the scheme `http` or `https`.
///
/// Characters that may not stand in a request target are percent-encoded when the URL is read;
/// encoded parts stay as they are. Scheme and host are in lower case, a port that is the scheme's
/// own is left out, and so is the fragment, which is never sent. Userinfo is kept apart from the
/// text: it becomes the `Authorization` of the first request and nothing else.
///
/// A host is ASCII: an international name is written in its `xn--` form.
///
/// # Examples
///
/// ```
/// use annulus::http::client::Url;
///
/// let url: Url = "HTTP://Example.com:80/a b?c=\u{e9}#d".parse()?;
/// assert_eq!(url.as_str(), "http://example.com/a%20b?c=%C3%A9");
/// assert_eq!(url.join("../e/./f")?.as_str(), "http://example.com/e/f");
/// # Ok::<(), annulus::http::client::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Scheme, authority without userinfo, and target.
    text: String,
    is_https: bool,
    /// Where the target begins in the text.
    target_start: usize,
    /// The length of the host within the authority.
    host_len: usize,
    port: u16,
    /// The value of `Authorization` that the userinfo stands for.
    authorization: Option<Box<HeaderValue>>,
}

impl Url {
    /// Reads an absolute URL.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Url`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']).as_bytes();
        Self::read(text).map_err(|error| error.about(without_secrets(text)))
    }

    fn read(text: &[u8]) -> Result<Self, Error> {
        let colon = scheme_len(text).ok_or_else(|| invalid("expected a scheme and `://`"))?;
        let is_https = match &text[..colon] {
            scheme if scheme.eq_ignore_ascii_case(b"http") => false,
            scheme if scheme.eq_ignore_ascii_case(b"https") => true,
            _ => return Err(invalid("expected the scheme http or https")),
        };
        let rest = text[colon + 1..]
            .strip_prefix(b"//")
            .ok_or_else(|| invalid("expected `//` after the scheme"))?;
        Self::from_parts(is_https, rest)
    }

    /// Reads what follows on `scheme://`.
    fn from_parts(is_https: bool, rest: &[u8]) -> Result<Self, Error> {
        if rest.len() > URL_BYTES_MAX {
            return Err(invalid("expected at most 64 KiB"));
        }
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'))
            .unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let (userinfo, authority) = match authority.iter().rposition(|&byte| byte == b'@') {
            Some(at) => (Some(&authority[..at]), &authority[at + 1..]),
            None => (None, authority),
        };
        if authority.is_empty() {
            return Err(invalid("expected a host"));
        }
        if !h1::is_host(authority) {
            return Err(invalid("expected an ASCII host with an optional port"));
        }
        let host_len = host_len(authority);
        let default_port = default_port(is_https);
        let port = match &authority[host_len..] {
            [] | [b':'] => default_port,
            [_, digits @ ..] => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(|| invalid("expected a port up to 65535"))?,
        };
        let mut text = String::with_capacity(authority.len() + target.len() + 9);
        text.push_str(if is_https { "https://" } else { "http://" });
        for &byte in &authority[..host_len] {
            // A host that passed the check is ASCII.
            text.push(char::from(byte.to_ascii_lowercase()));
        }
        if port != default_port {
            text.push(':');
            text.push_str(&port.to_string());
        }
        let target_start = text.len();
        let target = without_fragment(target);
        if !target.starts_with(b"/") {
            text.push('/');
        }
        push_target(&mut text, target);
        Ok(Self {
            text,
            is_https,
            target_start,
            host_len,
            port,
            authorization: userinfo.and_then(authorization),
        })
    }

    /// Returns the URL that `reference` stands for on this page (RFC 3986, section 5.2).
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse).
    pub fn join(&self, reference: impl AsRef<[u8]>) -> Result<Self, Error> {
        let reference = without_fragment(reference.as_ref().trim_ascii());
        let absolute = match reference.strip_prefix(b"//") {
            Some(rest) => Some(Self::from_parts(self.is_https, rest)),
            None => scheme_len(reference).map(|_| Self::read(reference)),
        };
        if let Some(url) = absolute {
            let url = url.map_err(|error| error.about(without_secrets(reference)))?;
            return Ok(url.without_dots());
        }
        let (path, query) = split_query(reference);
        let base = self.path().as_bytes();
        let mut target = Vec::new();
        match path {
            [] => target.extend_from_slice(base),
            [b'/', ..] => target.extend_from_slice(path),
            _ => {
                let slash = base.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                target.extend_from_slice(&base[..slash]);
                target.push(b'/');
                target.extend_from_slice(path);
            }
        }
        let query = match (path, query) {
            ([], None) => self.query().map(str::as_bytes),
            (_, query) => query,
        };
        if let Some(query) = query {
            target.push(b'?');
            target.extend_from_slice(query);
        }
        Ok(self.with_target(&target).without_dots())
    }

    /// The same origin with another target, which begins with a slash.
    fn with_target(&self, target: &[u8]) -> Self {
        let mut text = self.text[..self.target_start].to_owned();
        push_target(&mut text, target);
        Self {
            text,
            is_https: self.is_https,
            target_start: self.target_start,
            host_len: self.host_len,
            port: self.port,
            authorization: None,
        }
    }

    /// The same, without what the userinfo stands for.
    #[cold]
    pub(super) fn without_userinfo(&self) -> Self {
        self.with_target(self.target().as_bytes())
    }

    /// Resolves `.` and `..` in the path (RFC 3986, section 5.2.4).
    fn without_dots(self) -> Self {
        let is_dots = |segment: &str| matches!(segment, "." | "..");
        if !self.path().split('/').any(is_dots) {
            return self;
        }
        let mut segments: Vec<&str> = Vec::new();
        let mut ends_in_slash = false;
        for segment in self.path().split('/').skip(1) {
            ends_in_slash = is_dots(segment);
            match segment {
                "." => {}
                ".." => drop(segments.pop()),
                _ => segments.push(segment),
            }
        }
        let mut target = String::new();
        for segment in &segments {
            target.push('/');
            target.push_str(segment);
        }
        if ends_in_slash || segments.is_empty() {
            target.push('/');
        }
        if let Some(query) = self.query() {
            target.push('?');
            target.push_str(query);
        }
        let authorization = self.authorization.clone();
        let mut url = self.with_target(target.as_bytes());
        url.authorization = authorization;
        url
    }

    /// Adds pairs to the query, encoded as a form.
    pub fn append_query<K: AsRef<str>, V: AsRef<str>>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) {
        for (name, value) in pairs {
            let has_query = self.query().is_some_and(|query| !query.is_empty());
            if has_query {
                self.text.push('&');
            } else if self.query().is_none() {
                self.text.push('?');
            }
            push_form_pair(&mut self.text, name.as_ref(), value.as_ref());
        }
    }

    /// Returns the whole URL, without userinfo and fragment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        if self.is_https { "https" } else { "http" }
    }

    /// Returns the host: a name, an IPv4 address, or an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.authority()[..self.host_len]
    }

    /// Returns the port, the scheme's own when the URL names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &str {
        let target = self.target();
        &target[..target.find('?').unwrap_or(target.len())]
    }

    /// Returns the query, after the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    /// Returns path and query, as they are sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.text[self.target_start..]
    }

    /// Returns scheme, host and port. Only requests to one origin share a connection and
    /// credentials.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.text[..self.target_start]
    }

    /// Host and port as `Host` has them.
    pub(crate) fn authority(&self) -> &str {
        &self.text[self.scheme().len() + 3..self.target_start]
    }

    pub(super) fn is_https(&self) -> bool {
        self.is_https
    }

    /// Takes the `Authorization` that the userinfo stands for.
    pub(super) fn take_authorization(&mut self) -> Option<HeaderValue> {
        self.authorization.take().map(|value| *value)
    }
}

impl FromStr for Url {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl AsRef<str> for Url {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// The types that a client takes for a URL.
pub trait IntoUrl {
    /// The URL.
    ///
    /// # Errors
    ///
    /// As [`Url::parse`].
    fn into_url(self) -> Result<Url, Error>;
}

impl IntoUrl for Url {
    fn into_url(self) -> Result<Url, Error> {
        Ok(self)
    }
}

impl IntoUrl for &Url {
    fn into_url(self) -> Result<Url, Error> {
        Ok(self.clone())
    }
}

impl IntoUrl for &str {
    fn into_url(self) -> Result<Url, Error> {
        Url::parse(self)
    }
}

impl IntoUrl for String {
    fn into_url(self) -> Result<Url, Error> {
        Url::parse(&self)
    }
}

impl IntoUrl for &String {
    fn into_url(self) -> Result<Url, Error> {
        Url::parse(self)
    }
}

impl IntoUrl for &::http::Uri {
    fn into_url(self) -> Result<Url, Error> {
        Url::parse(&self.to_string())
    }
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::Url(text))
}

/// A text that is no URL, as errors name it: without userinfo and query, or what may be such, and
/// shortened.
fn without_secrets(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let scheme_end = text.find("://").map_or(0, |colon| colon + 3);
    let (scheme, rest) = text.split_at(scheme_end);
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    // A slash or a question mark in a password makes a host of what is before it.
    let shown = match rest.rfind('@') {
        Some(at) if at < end => format!("{scheme}..@{}", &rest[at + 1..end]),
        Some(_) => format!("{scheme}.."),
        None => format!("{scheme}{}", &rest[..end]),
    };
    let short: String = shown.chars().take(SHOWN_CHARS).collect();
    format!("{short:?}")
}

fn default_port(is_https: bool) -> u16 {
    if is_https { 443 } else { 80 }
}

/// The length of the scheme at the start of `text`, when there is one with its colon.
fn scheme_len(text: &[u8]) -> Option<usize> {
    let is_scheme = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let len = text.iter().position(|byte| !is_scheme(byte))?;
    (text[len] == b':' && text[0].is_ascii_alphabetic()).then_some(len)
}

/// The length of the host in an authority that was checked.
fn host_len(authority: &[u8]) -> usize {
    let bracket = authority.iter().position(|&byte| byte == b']');
    let skipped = bracket.unwrap_or(0);
    authority[skipped..]
        .iter()
        .position(|&byte| byte == b':')
        .map_or(authority.len(), |colon| skipped + colon)
}

fn without_fragment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|&byte| byte == b'#');
    &text[..end.unwrap_or(text.len())]
}

fn split_query(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == b'?') {
        Some(mark) => (&text[..mark], Some(&text[mark + 1..])),
        None => (text, None),
    }
}

/// `Authorization` for `user:password`, which may be percent-encoded.
fn authorization(userinfo: &[u8]) -> Option<Box<HeaderValue>> {
    let value = base64::basic(&percent::decode(userinfo, false));
    (!userinfo.is_empty()).then(|| Box::new(value))
}

/// Appends a target, with everything percent-encoded that may not stand in one.
fn push_target(text: &mut String, target: &[u8]) {
    for &byte in target {
        if h1::is_target_byte(byte) {
            text.push(char::from(byte));
        } else {
            percent::push_encoded(text, byte);
        }
    }
}

/// Appends `name=value` as `application/x-www-form-urlencoded` has it.
pub(super) fn push_form_pair(text: &mut String, name: &str, value: &str) {
    push_form(text, name);
    text.push('=');
    push_form(text, value);
}

fn push_form(text: &mut String, part: &str) {
    for byte in part.bytes() {
        match byte {
            b' ' => text.push('+'),
            b'*' | b'-' | b'.' | b'_' => text.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            _ => percent::push_encoded(text, byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_normalized() {
        for (text, expected) in [
            ("http://a", "http://a/"),
            ("http://a?b", "http://a/?b"),
            ("HTTP://A:80/X", "http://a/X"),
            ("http://a:/x", "http://a/x"),
            ("https://a:443/x", "https://a/x"),
            ("http://a:443/x", "http://a:443/x"),
            ("http://u:p@a/x#y", "http://a/x"),
            ("http://a/#y", "http://a/"),
            ("http://a/b c\u{e9}\0\r\n", "http://a/b%20c%C3%A9%00"),
            ("http://a/%7e%zz", "http://a/%7e%zz"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
            (
                "http://a/\"{}|\\^`<>",
                "http://a/%22%7B%7D%7C%5C%5E%60%3C%3E",
            ),
        ] {
            assert_eq!(Url::parse(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in [
            "",
            "a",
            "//a/",
            "ftp://a/",
            "http:/a",
            "http://",
            "http:///x",
            "http://a b/",
            "http://a\r\nX: y/",
            "http://a:x/",
            "http://a:65536/",
            "http://a:+80/",
            "http://a: 80/",
            "http://\u{e9}/",
            "http://[::1/",
            "http://u@/",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_named_without_its_secrets() {
        for (text, expected) in [
            ("http://", "\"http://\""),
            ("a\r\nb", "\"a\\r\\nb\""),
            ("http://a b/p?token=secret", "\"http://a b/p\""),
            ("http://me:secret@a b/", "\"http://..@a b/\""),
            ("http://me:sec/ret@host/p?q", "\"http://..@host/p\""),
            ("http://me:sec?ret@host/", "\"http://..\""),
            ("http://me:s#t@host:x/", "\"http://..\""),
            ("http:/me:secret@host/", "\"..@host/\""),
            ("me:secret@host", "\"..@host\""),
            ("http://a b/?to=x@y&token=secret", "\"http://..\""),
            ("ftp://me:secret@host/", "\"ftp://..@host/\""),
        ] {
            let error = Url::parse(text).unwrap_err().to_string();
            let (words, about) = error.split_once(" (").unwrap();
            assert!(words.ends_with("found something else"), "{error}");
            assert_eq!(about.strip_suffix(')'), Some(expected), "{text}");
        }
        let long = Url::parse(&"x".repeat(10_000)).unwrap_err();
        assert!(long.to_string().len() < 300);
        let base = Url::parse("http://me:secret@a/").unwrap();
        for reference in ["mailto:me@b", "//me:secret@", "http://me:secret@b c/"] {
            let error = base.join(reference).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
            assert!(error.to_string().contains("..@"), "{error}");
        }
    }

    #[test]
    fn parts_are_told() {
        let mut url = Url::parse("http://us%3aer:pa%20ss@h.test:81/p/q?r=s").unwrap();
        assert_eq!(url.host(), "h.test");
        assert_eq!(url.port(), 81);
        assert_eq!(url.path(), "/p/q");
        assert_eq!(url.query(), Some("r=s"));
        assert_eq!(url.origin(), "http://h.test:81");
        assert_eq!(url.authority(), "h.test:81");
        assert_eq!(url.take_authorization().unwrap(), "Basic dXM6ZXI6cGEgc3M=");
        url.append_query([("a b", "c&d"), ("e", "")]);
        assert_eq!(url.target(), "/p/q?r=s&a+b=c%26d&e=");
    }

    #[test]
    fn only_two_hex_digits_make_an_escape_of_userinfo() {
        for (userinfo, expected) in [
            ("us%+1er:p", "us%+1er:p"),
            ("us%-1er", "us%-1er"),
            ("a% 1%:%", "a% 1%:%"),
            ("%4g%41+%25", "%4gA+%"),
            ("u:%c3%BC", "u:\u{fc}"),
        ] {
            let mut url = Url::parse(&format!("http://{userinfo}@h.test/")).unwrap();
            let value = url.take_authorization().unwrap();
            assert_eq!(value, base64::basic(expected.as_bytes()), "{userinfo}");
        }
    }

    #[test]
    fn references_are_resolved() {
        // RFC 3986, section 5.4.
        let base = Url::parse("http://a/b/c/d;p?q").unwrap();
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            ("https://b:1/x/../y", "https://b:1/y"),
            ("/\u{e9} x", "http://a/%C3%A9%20x"),
        ] {
            let joined = base.join(reference).unwrap();
            assert_eq!(joined.as_str(), expected, "{reference}");
        }
        assert!(base.join("mailto:a@b").is_err());
        assert!(base.join("//").is_err());
    }
}
