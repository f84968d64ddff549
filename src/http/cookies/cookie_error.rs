//! The errors of cookies that are set.

use std::fmt;

/// The reason why a [`Cookie`](crate::http::Cookie) cannot be set: browsers would ignore it, or
/// read another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is empty or has a character that names cannot have.
    Name,
    /// The value has a blank, a quote, a comma, a semicolon, a backslash, or a character that is
    /// no visible ASCII.
    Value,
    /// Name and value have more than 4,096 bytes together.
    TooLarge,
    /// The path does not begin with a slash, or has a semicolon or a control character, or more
    /// than 1,024 bytes.
    Path,
    /// The domain is no name of a host.
    Domain,
    /// The name begins with `__Secure-`, `__Host-` or `__Http-`, or the cookie is partitioned or
    /// `SameSite=None`, and it is not `Secure`.
    NotSecure,
    /// The name begins with `__Host-`, and the cookie has a domain or a path other than `/`.
    NotOfHost,
    /// The name begins with `__Http-` or `__Host-Http-`, and the cookie is not `HttpOnly`.
    NotHttpOnly,
}

impl fmt::Display for CookieError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "expected a token as the name of a cookie, found another character",
            Self::Value => {
                "expected visible ASCII without quotes, commas, semicolons and backslashes as the \
                 value of a cookie, found another character"
            }
            Self::TooLarge => "expected a cookie of at most 4,096 bytes, found a larger one",
            Self::Path => "expected a path that begins with a slash for a cookie, found another",
            Self::Domain => "expected the name of a host as the domain of a cookie, found another",
            Self::NotSecure => "expected a cookie that is `Secure`, found one that is not",
            Self::NotOfHost => {
                "expected a cookie without a domain and with the path `/`, as its name says, found \
                 another"
            }
            Self::NotHttpOnly => {
                "expected a cookie that is `HttpOnly`, as its name says, found one that is not"
            }
        })
    }
}

impl std::error::Error for CookieError {}
