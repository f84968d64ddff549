//! The pairs of a query or a form.

use std::{borrow::Cow, fmt, str::FromStr};

use super::request::Request;
use crate::http::{
    StatusCode,
    error::{Cause, Error, Result},
    error_kind::ErrorKind,
    percent::decode,
};

/// The names and values of a query or a form, in order.
///
/// Both are decoded: `+` is a space, `%41` is the byte 0x41. Decoding never fails: a percent sign
/// without two hex digits stays a percent sign, and bytes that are no UTF-8 become U+FFFD. A name
/// without `=` has an empty value. Text that needs no decoding is borrowed.
#[derive(Clone)]
pub struct Pairs<'a> {
    rest: &'a [u8],
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first pair called `name` as a `T`.
    pub(crate) fn parse<T>(mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr<Err: Into<Cause>>,
    {
        match self.find(|(found, _)| found == name) {
            Some((_, value)) => parse(name, &value).map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the value of the parameter `name`.
pub(crate) fn parse<T>(name: &str, value: &str) -> Result<T>
where
    T: FromStr<Err: Into<Cause>>,
{
    value.parse().map_err(|cause: T::Err| {
        let wanted = short_name::<T>();
        let reason = format!("expected `{wanted}` in the parameter `{name}`, found {value:?}");
        Error::other(StatusCode::BAD_REQUEST, ErrorKind::Param, reason).with_source(cause)
    })
}

/// The name of `T` without its module, which is the program's business, and without its parameters.
fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    name.rsplit_once("::").map_or(name, |(_, name)| name)
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            let (pair, rest) = split(self.rest, b'&');
            self.rest = rest;
            if !pair.is_empty() {
                let (name, value) = split(pair, b'=');
                return Some((text(name), text(value)));
            }
        }
        None
    }
}

/// Splits `bytes` at the first `mark`.
fn split(bytes: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == mark) {
        Some(index) => (&bytes[..index], &bytes[index + 1..]),
        None => (bytes, &[]),
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    match decode(bytes, true) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// The query of the target, in pairs.
impl Request {
    /// Returns the names and values of the query, decoded.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::Request;
    /// async fn list(request: Request) -> String {
    ///     let mut answer = String::new();
    ///     for (name, value) in request.query_pairs() {
    ///         answer += &format!("{name} is {value}\n");
    ///     }
    ///     answer
    /// }
    /// ```
    #[must_use]
    pub fn query_pairs(&self) -> Pairs<'_> {
        Pairs::new(self.query().unwrap_or("").as_bytes())
    }

    /// Returns the value of the query's first pair called `name`, or `None` without such a pair.
    ///
    /// # Errors
    ///
    /// 400 when it is not a `T`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::{self, Request};
    /// async fn page(request: Request) -> http::Result<String> {
    ///     let number: u32 = request.query_param("page")?.unwrap_or(1);
    ///     Ok(format!("this is page {number}"))
    /// }
    /// ```
    pub fn query_param<T>(&self, name: &str) -> Result<Option<T>>
    where
        T: FromStr<Err: Into<Cause>>,
    {
        self.query_pairs().parse(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(query: &str, expected: &[(&str, &str)]) {
        let found: Vec<_> = Pairs::new(query.as_bytes()).collect();
        let found: Vec<_> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, expected, "{query}");
    }

    #[test]
    fn a_query_falls_into_pairs() {
        check("", &[]);
        check("&&", &[]);
        check("a", &[("a", "")]);
        check("=", &[("", "")]);
        check("=b", &[("", "b")]);
        check("a=1&b=2", &[("a", "1"), ("b", "2")]);
        check("a=1&a=2&", &[("a", "1"), ("a", "2")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a+b=c%20d%26%3D", &[("a b", "c d&=")]);
        check("%=%4&%zz=%2", &[("%", "%4"), ("%zz", "%2")]);
        check("a=%ff%C3%BC", &[("a", "\u{fffd}\u{fc}")]);
        check("a=1;b=2", &[("a", "1;b=2")]);
    }

    #[test]
    fn what_needs_no_decoding_is_borrowed() {
        let (name, value) = Pairs::new(b"a=1").next().unwrap();
        assert!(matches!(
            (name, value),
            (Cow::Borrowed(_), Cow::Borrowed(_))
        ));
    }

    #[test]
    fn a_value_that_is_no_number_is_a_bad_request() {
        let pairs = Pairs::new(b"n=12&m=x");
        assert_eq!(pairs.clone().parse::<u8>("n").unwrap(), Some(12));
        assert_eq!(pairs.clone().parse::<u8>("other").unwrap(), None);
        let error = pairs.parse::<u8>("m").unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        assert_eq!(error.kind(), ErrorKind::Param);
        assert_eq!(
            error.to_string(),
            "expected `u8` in the parameter `m`, found \"x\": invalid digit found in string"
        );
    }

    #[test]
    fn a_type_is_named_without_its_module() {
        struct Wrapped<T>(T);
        assert_eq!(short_name::<u8>(), "u8");
        assert_eq!(short_name::<std::net::IpAddr>(), "IpAddr");
        assert_eq!(short_name::<Wrapped<Option<String>>>(), "Wrapped");
    }
}
