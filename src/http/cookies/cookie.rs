//! A cookie that is set.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{CookieError, SameSite};
use crate::http::{
    HeaderValue,
    h1::{imf_fixdate, is_token},
};

/// The name and the value together. Browsers ignore a larger cookie (RFC 6265bis, section 5.6).
const NAME_AND_VALUE_BYTES_MAX: usize = 4096;
/// The value of an attribute, which browsers ignore when it is larger (RFC 6265bis, section 5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1024;
/// The last second that a date of four digits can name.
const LAST_SECOND: u64 = 253_402_300_799;

/// A cookie that an answer sets, by [`Response::with_cookie`](crate::http::Response::with_cookie).
///
/// It begins careful: for all paths of this host (`Path=/`), only over TLS (`Secure`), hidden from
/// scripts (`HttpOnly`), not with requests of other sites but for links (`SameSite=Lax`), and until
/// the browser ends. The methods change that. Browsers take `Secure` from `http://localhost` too.
///
/// The value is visible ASCII. For other text, `serde_json` with base64 or percent-encoding is
/// usual; `CookieSigner` (feature `signed-cookies`) takes any bytes.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use annulus::http::{self, Cookie, Request, Response};
///
/// /// Counts the visits of a browser.
/// async fn visits(request: Request) -> http::Result<Response> {
///     let seen: u32 = request.cookie("visits").and_then(|text| text.parse().ok()).unwrap_or(0);
///     let visits = seen.saturating_add(1).to_string();
///     let cookie = Cookie::new("visits", visits.clone()).max_age(Duration::from_secs(86_400 * 30));
///     Ok(Response::text(visits).with_cookie(&cookie)?)
/// }
///
/// /// Forgets them.
/// async fn forget(_request: Request) -> http::Result<Response> {
///     Ok(Response::text("forgotten\n").with_cookie(&Cookie::removal("visits"))?)
/// }
/// # let _ = (visits, forget);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Cookie {
    name: Cow<'static, str>,
    value: Cow<'static, str>,
    path: Option<Cow<'static, str>>,
    domain: Option<Cow<'static, str>>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    same_site: Option<SameSite>,
    is_secure: bool,
    is_http_only: bool,
    is_partitioned: bool,
}

impl Cookie {
    /// Makes a cookie with the careful attributes that are told above.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: Some(Cow::Borrowed("/")),
            domain: None,
            max_age: None,
            expires: None,
            same_site: Some(SameSite::Lax),
            is_secure: true,
            is_http_only: true,
            is_partitioned: false,
        }
    }

    /// Makes the cookie that removes the one called `name`. Its path and its domain have to be
    /// those of that one.
    #[must_use]
    pub fn removal(name: impl Into<Cow<'static, str>>) -> Self {
        Self::new(name, "")
            .max_age(Duration::ZERO)
            .expires(UNIX_EPOCH)
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the value.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Sets the path below which the cookie is sent. The default is `/`; an empty one is the
    /// folder of the request's path.
    #[must_use]
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        let path = path.into();
        self.path = (!path.is_empty()).then_some(path);
        self
    }

    /// Sets a domain to which the cookie is sent with all of its subdomains. By default it is for
    /// the host of the request alone.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<Cow<'static, str>>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Sets how long the browser keeps the cookie. Browsers keep none for more than 400 days.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Sets the time when the browser forgets the cookie, by its own clock.
    /// [`max_age`](Self::max_age) goes before it.
    #[must_use]
    pub fn expires(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Sets whether the cookie is sent over TLS only; true by default.
    #[must_use]
    pub fn secure(mut self, is_secure: bool) -> Self {
        self.is_secure = is_secure;
        self
    }

    /// Sets whether the cookie is hidden from scripts; true by default.
    #[must_use]
    pub fn http_only(mut self, is_http_only: bool) -> Self {
        self.is_http_only = is_http_only;
        self
    }

    /// Sets the requests of other sites that the cookie comes with; `SameSite::Lax` by default.
    #[must_use]
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Sets whether a cookie of a part of other sites' pages is a different one in each of these
    /// sites (CHIPS); false by default.
    #[must_use]
    pub fn partitioned(mut self, is_partitioned: bool) -> Self {
        self.is_partitioned = is_partitioned;
        self
    }

    /// Makes the value of the field `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// When browsers would ignore the cookie or read another one: by the grammar of its parts, its
    /// size, or the promise that its name makes (RFC 6265bis, sections 4.1.1, 4.1.3 and 5.6).
    pub fn to_header_value(&self) -> Result<HeaderValue, CookieError> {
        self.check()?;
        let mut text = String::with_capacity(self.name.len() + self.value.len() + 96);
        // Writing to a `String` does not fail.
        let _ = self.write(&mut text);
        let mut value = HeaderValue::try_from(text).map_err(|_| CookieError::Value)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        write!(text, "{}={}", self.name, self.value)?;
        if let Some(path) = &self.path {
            write!(text, "; Path={path}")?;
        }
        if let Some(domain) = &self.domain {
            write!(text, "; Domain={}", without_dot(domain))?;
        }
        if let Some(max_age) = self.max_age {
            // Part of a second would count as none, which removes the cookie.
            let seconds = max_age.as_secs() + u64::from(max_age.subsec_nanos() > 0);
            write!(text, "; Max-Age={seconds}")?;
        }
        if let Some(expires) = self.expires {
            let seconds = expires.duration_since(UNIX_EPOCH).unwrap_or_default();
            let date = imf_fixdate(seconds.as_secs().min(LAST_SECOND));
            write!(text, "; Expires={}", String::from_utf8_lossy(&date))?;
        }
        let flags = [
            (self.is_secure, "; Secure"),
            (self.is_http_only, "; HttpOnly"),
            (self.is_partitioned, "; Partitioned"),
        ];
        for (is_set, flag) in flags {
            text.push_str(if is_set { flag } else { "" });
        }
        if let Some(same_site) = self.same_site {
            write!(text, "; SameSite={}", same_site.as_str())?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), CookieError> {
        if !is_token(self.name.as_bytes()) {
            return Err(CookieError::Name);
        }
        if !self.value.bytes().all(is_value_byte) {
            return Err(CookieError::Value);
        }
        if self.name.len() + self.value.len() > NAME_AND_VALUE_BYTES_MAX {
            return Err(CookieError::TooLarge);
        }
        if self.path.as_ref().is_some_and(|path| !is_path(path)) {
            return Err(CookieError::Path);
        }
        if self
            .domain
            .as_ref()
            .is_some_and(|domain| !is_domain(domain))
        {
            return Err(CookieError::Domain);
        }
        self.check_promises()
    }

    /// Checks the attributes that others, and the beginning of the name, ask for.
    fn check_promises(&self) -> Result<(), CookieError> {
        let begins = |prefix: &str| {
            let start = self.name.as_bytes().get(..prefix.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let is_of_host = begins("__Host-");
        let is_http = begins("__Http-") || begins("__Host-Http-");
        let is_cross_site = self.is_partitioned || self.same_site == Some(SameSite::None);
        let wants_secure = is_of_host || is_http || is_cross_site || begins("__Secure-");
        if wants_secure && !self.is_secure {
            return Err(CookieError::NotSecure);
        }
        if is_of_host && (self.domain.is_some() || self.path.as_deref() != Some("/")) {
            return Err(CookieError::NotOfHost);
        }
        if is_http && !self.is_http_only {
            return Err(CookieError::NotHttpOnly);
        }
        Ok(())
    }
}

/// RFC 6265bis, section 4.1.1: `cookie-octet`.
fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_path(path: &str) -> bool {
    let is_byte = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
    path.starts_with('/') && path.len() <= ATTRIBUTE_BYTES_MAX && path.bytes().all(is_byte)
}

/// A dot at the start has had no meaning since RFC 6265.
fn without_dot(domain: &str) -> &str {
    domain.strip_prefix('.').unwrap_or(domain)
}

fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        let is_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        !label.is_empty() && label.bytes().all(is_byte)
    };
    let domain = without_dot(domain);
    domain.len() <= 253 && domain.split('.').all(is_label)
}

impl fmt::Debug for Cookie {
    /// Without the value, which is often a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookie")
            .field("name", &self.name)
            .field("path", &self.path)
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cookie: Cookie) -> String {
        let value = cookie.to_header_value().unwrap();
        assert!(value.is_sensitive());
        value.to_str().unwrap().to_owned()
    }

    fn bare(name: &'static str, value: &'static str) -> Cookie {
        let mut cookie = Cookie::new(name, value).path("");
        (cookie.same_site, cookie.is_secure) = (None, false);
        cookie.http_only(false)
    }

    #[test]
    fn attributes_are_written_as_browsers_read_them() {
        let later = UNIX_EPOCH + Duration::from_secs(1_445_412_480);
        let base = || bare("a", "b");
        for (cookie, expected) in [
            (
                Cookie::new("a", "b"),
                "a=b; Path=/; Secure; HttpOnly; SameSite=Lax",
            ),
            (base(), "a=b"),
            (bare("a", ""), "a="),
            (bare("a", "b=c/+:!"), "a=b=c/+:!"),
            (base().path("/x y"), "a=b; Path=/x y"),
            (base().domain("example.com"), "a=b; Domain=example.com"),
            (base().domain(".example.com"), "a=b; Domain=example.com"),
            (base().max_age(Duration::from_secs(60)), "a=b; Max-Age=60"),
            (base().max_age(Duration::from_millis(1)), "a=b; Max-Age=1"),
            (base().max_age(Duration::ZERO), "a=b; Max-Age=0"),
            (
                base().expires(later),
                "a=b; Expires=Wed, 21 Oct 2015 07:28:00 GMT",
            ),
            (base().secure(true), "a=b; Secure"),
            (base().http_only(true), "a=b; HttpOnly"),
            (base().same_site(SameSite::Strict), "a=b; SameSite=Strict"),
            (
                base().same_site(SameSite::None).secure(true),
                "a=b; Secure; SameSite=None",
            ),
            (
                base().partitioned(true).secure(true),
                "a=b; Secure; Partitioned",
            ),
            (
                Cookie::removal("a"),
                "a=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; \
                 SameSite=Lax",
            ),
        ] {
            assert_eq!(text(cookie), expected);
        }
        let last = base().expires(UNIX_EPOCH + Duration::from_secs(u64::MAX >> 4));
        assert_eq!(text(last), "a=b; Expires=Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn what_browsers_would_ignore_or_misread_is_refused() {
        use CookieError as E;
        let long = "x".repeat(NAME_AND_VALUE_BYTES_MAX);
        let new = |name: &'static str| Cookie::new(name, "v");
        let a = || new("a");
        for (cookie, error) in [
            (new(""), E::Name),
            (new("a b"), E::Name),
            (new("a="), E::Name),
            (new("a;"), E::Name),
            (new("\u{fc}"), E::Name),
            (Cookie::new("a", "b c"), E::Value),
            (Cookie::new("a", "b;c"), E::Value),
            (Cookie::new("a", "b,c"), E::Value),
            (Cookie::new("a", "\"b\""), E::Value),
            (Cookie::new("a", "b\\"), E::Value),
            (Cookie::new("a", "b\r\nSet-Cookie: c=d"), E::Value),
            (Cookie::new("a", "\0"), E::Value),
            (Cookie::new("a", "\u{fc}"), E::Value),
            (Cookie::new("a", long.clone()), E::TooLarge),
            (a().path("x"), E::Path),
            (a().path("/;Domain=b"), E::Path),
            (a().path("/\n"), E::Path),
            (a().path(format!("/{}", &long[..1024])), E::Path),
            (a().domain(""), E::Domain),
            (a().domain("a;b"), E::Domain),
            (a().domain("a..b"), E::Domain),
            (a().domain("a b"), E::Domain),
            (a().domain("a:80"), E::Domain),
            (new("__Secure-a").secure(false), E::NotSecure),
            (new("__SECURE-a").secure(false), E::NotSecure),
            (new("__Host-a").secure(false), E::NotSecure),
            (new("__Host-a").path("/b"), E::NotOfHost),
            (new("__Host-a").path(""), E::NotOfHost),
            (new("__host-a").domain("b"), E::NotOfHost),
            (new("__Http-a").http_only(false), E::NotHttpOnly),
            (new("__Http-a").secure(false), E::NotSecure),
            (new("__Host-Http-a").http_only(false), E::NotHttpOnly),
            (new("__Host-Http-a").domain("b"), E::NotOfHost),
            (a().same_site(SameSite::None).secure(false), E::NotSecure),
            (a().partitioned(true).secure(false), E::NotSecure),
        ] {
            assert_eq!(cookie.to_header_value(), Err(error), "{cookie:?}");
        }
        for cookie in [
            Cookie::new("a", long[..4095].to_owned()),
            a().path(format!("/{}", &long[..1023])),
            new("__Secure-a").path("/b").domain("b.c"),
            new("__Host-a"),
            new("__Http-a").domain("b"),
            new("__Host-Http-a"),
            new("__Hosta").domain("b"),
        ] {
            assert!(cookie.to_header_value().is_ok(), "{cookie:?}");
        }
    }
}
