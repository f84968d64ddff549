//! Cookies without I/O (RFC 6265, and its successor, the draft RFC 6265bis): those of a request,
//! those that are set, and signatures over them.

mod cookie;
mod cookie_error;
#[cfg(feature = "signed-cookies")]
mod cookie_signer;
mod same_site;

use std::{fmt, str};

pub use cookie::Cookie;
pub use cookie_error::CookieError;
#[cfg(feature = "signed-cookies")]
pub use cookie_signer::CookieSigner;
pub use same_site::SameSite;

use super::h1::{Fields, trim};

/// The names and values of the cookies of a request, in order. Made by
/// [`Request::cookies`](crate::http::Request::cookies).
///
/// Values are as they were sent: quotes around one belong to it (RFC 6265bis, section 4.1.1), and
/// nothing is decoded. A cookie without a name or without `=`, and one that is no UTF-8, is left
/// out.
///
/// A name may be there several times, since a site and its subdomains may each set it: browsers
/// send the one of the longest path first. The request does not tell where a cookie is from. A
/// name that begins with `__Host-` is from this host alone, in browsers.
#[derive(Clone)]
pub struct Cookies<'a> {
    fields: &'a Fields,
    /// The number of the `Cookie` field that comes next: HTTP/2 may split one.
    field_index: usize,
    rest: &'a [u8],
}

impl<'a> Cookies<'a> {
    pub(crate) fn new(fields: &'a Fields) -> Self {
        Self {
            fields,
            field_index: 0,
            rest: &[],
        }
    }

    /// The next pair of this field.
    fn pair(&mut self) -> Option<(&'a str, &'a str)> {
        while !self.rest.is_empty() {
            let end = self.rest.iter().position(|&byte| byte == b';');
            let (pair, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest.get(1..).unwrap_or_default();
            if let Some(pair) = split(pair) {
                return Some(pair);
            }
        }
        None
    }
}

/// The name and the value of a cookie.
fn split(pair: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = str::from_utf8(trim(pair)).ok()?.split_once('=')?;
    let blanks = [' ', '\t'];
    let (name, value) = (name.trim_matches(blanks), value.trim_matches(blanks));
    (!name.is_empty()).then_some((name, value))
}

impl<'a> Iterator for Cookies<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.pair() {
                return Some(pair);
            }
            self.rest = self.fields.get_all("cookie").nth(self.field_index)?;
            self.field_index += 1;
        }
    }
}

impl fmt::Debug for Cookies<'_> {
    /// Without values, which are often secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.clone().map(|(name, _)| name);
        f.debug_list().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h1::{RequestHead, Rules};

    pub(super) fn head(lines: &[u8]) -> RequestHead {
        let text = [b"GET / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat();
        let mut head = RequestHead::new();
        head.read(&text, &Rules::default()).unwrap().unwrap();
        head
    }

    #[test]
    fn cookies_are_read_by_the_rules_for_servers() {
        for (lines, expected) in [
            ("", vec![]),
            ("Cookie: a=b\r\n", vec![("a", "b")]),
            ("cookie: a=b; c=d\r\n", vec![("a", "b"), ("c", "d")]),
            ("Cookie: a=b;c=d;\r\n", vec![("a", "b"), ("c", "d")]),
            (
                "Cookie:  a = b ;\tc\t=\td  \r\n",
                vec![("a", "b"), ("c", "d")],
            ),
            ("Cookie: a=b=c==\r\n", vec![("a", "b=c==")]),
            ("Cookie: a=\"b\"\r\n", vec![("a", "\"b\"")]),
            ("Cookie: a=\"b; c\"\r\n", vec![("a", "\"b")]),
            ("Cookie: a=\r\n", vec![("a", "")]),
            ("Cookie: a=%41+\r\n", vec![("a", "%41+")]),
            ("Cookie: a=1; a=2\r\n", vec![("a", "1"), ("a", "2")]),
            ("Cookie: A=1; a=2\r\n", vec![("A", "1"), ("a", "2")]),
            ("Cookie: a=1,b=2\r\n", vec![("a", "1,b=2")]),
            ("Cookie: a=\u{fc}\r\n", vec![("a", "\u{fc}")]),
            // Nameless ones could pass for another: `__Host-a=b` is the value of one.
            ("Cookie: =__Host-a=b; =; ;;c; d=e\r\n", vec![("d", "e")]),
            (
                "Cookie: a=1\r\nHost2: x=y\r\nCookie:\r\nCookie: b=2; c=3\r\n",
                vec![("a", "1"), ("b", "2"), ("c", "3")],
            ),
            ("Set-Cookie: a=b\r\n", vec![]),
        ] {
            let head = head(lines.as_bytes());
            let found: Vec<_> = Cookies::new(head.fields()).collect();
            assert_eq!(found, expected, "{lines:?}");
        }
        let head = head(b"Cookie: a=\xff; b=2\r\n");
        let cookies = Cookies::new(head.fields());
        assert_eq!(format!("{cookies:?}"), "[\"b\"]");
    }
}
