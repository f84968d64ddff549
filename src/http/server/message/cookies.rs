//! The cookies of requests and answers.

use super::{request::Request, response::Response};
use crate::http::{
    cookies::{Cookie, CookieError, Cookies},
    header,
};

/// Cookies.
impl Request {
    /// Returns the cookies, in the order in which they were sent.
    #[must_use]
    pub fn cookies(&self) -> Cookies<'_> {
        Cookies::new(self.head().fields())
    }

    /// Returns the value of the first cookie called `name`. Names differ by their case.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let mut cookies = self.cookies();
        cookies.find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// Cookies.
impl Response {
    /// Sets a cookie, by a field `Set-Cookie`. An answer may set several.
    ///
    /// # Errors
    ///
    /// When browsers would ignore the cookie or read another one, as
    /// [`Cookie::to_header_value`] tells. `?` makes it 500.
    pub fn with_cookie(self, cookie: &Cookie) -> Result<Self, CookieError> {
        let value = cookie.to_header_value()?;
        Ok(self.with_field(header::SET_COOKIE, value))
    }
}
