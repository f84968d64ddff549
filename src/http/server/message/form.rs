//! A form in a request's body.

use std::{fmt, str::FromStr};

use super::{content_type::require_type, pairs::Pairs, request::Request};
use crate::http::error::{Cause, Result};

/// The fields of a form, as `application/x-www-form-urlencoded` has them. Made by
/// [`Request::form`].
///
/// # Examples
///
/// ```
/// use annulus::http::{self, Request, StatusCode};
///
/// async fn order(mut request: Request) -> http::Result<String> {
///     let form = request.form().await?;
///     let count: u32 = form.param("count")?.unwrap_or(1);
///     let toppings: Vec<_> = form
///         .pairs()
///         .filter(|(name, _)| name == "topping")
///         .map(|(_, value)| value)
///         .collect();
///     if toppings.is_empty() {
///         return Err(StatusCode::UNPROCESSABLE_ENTITY.into());
///     }
///     Ok(format!("{count} with {}", toppings.join(", ")))
/// }
/// # let _ = order;
/// ```
#[derive(Clone)]
pub struct Form {
    bytes: Vec<u8>,
}

impl Form {
    /// Returns the names and values, decoded, in order.
    #[must_use]
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs::new(&self.bytes)
    }

    /// Returns the value of the first pair called `name`, or `None` without such a pair.
    ///
    /// # Errors
    ///
    /// 400 when it is not a `T`.
    pub fn param<T>(&self, name: &str) -> Result<Option<T>>
    where
        T: FromStr<Err: Into<Cause>>,
    {
        self.pairs().parse(name)
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Form").field(&self.pairs()).finish()
    }
}

/// The body as a form.
impl Request {
    /// Reads the body as a form. The server's limit on bodies bounds it.
    ///
    /// Forms with files come as `multipart/form-data`, for [`multipart`](Self::multipart).
    ///
    /// # Errors
    ///
    /// 415 when `Content-Type` is not `application/x-www-form-urlencoded`, and those of
    /// [`Body::bytes`](crate::http::Body::bytes).
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// # use annulus::http::{self, Request, StatusCode};
    /// async fn sign_in(mut request: Request) -> http::Result<String> {
    ///     let form = request.form().await?;
    ///     let name: String = form.param("name")?.ok_or(StatusCode::BAD_REQUEST)?;
    ///     Ok(format!("Hello, {name}!"))
    /// }
    /// ```
    pub async fn form(&mut self) -> Result<Form> {
        require_type(self, "application/x-www-form-urlencoded", |subtype| {
            subtype.eq_ignore_ascii_case(b"x-www-form-urlencoded")
        })?;
        let bytes = self.take_body().bytes().await?;
        Ok(Form { bytes })
    }
}
