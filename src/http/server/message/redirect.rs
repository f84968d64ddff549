//! Answers that send the client to another place.

use super::response::Response;
use crate::http::{HeaderValue, StatusCode, header, percent::encode_invisible};

/// Answers that send the client elsewhere.
///
/// `location` is a path such as `/users/7`, or a whole URI. Spaces, control characters and
/// whatever is not ASCII are percent-encoded, so that no text can break out of the field; nothing
/// else is. A location that comes from a client can lead anywhere, `//elsewhere.test` too.
impl Response {
    /// Answers `303 See Other`: the client asks for `location` by GET. For the answer to a form.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Response, StatusCode};
    ///
    /// let response = Response::redirect("/thanks");
    /// assert_eq!(response.status(), StatusCode::SEE_OTHER);
    /// ```
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::redirect_with(StatusCode::SEE_OTHER, location)
    }

    /// Answers `307 Temporary Redirect`: the client sends the same request to `location`, this
    /// time.
    #[must_use]
    pub fn redirect_temporary(location: &str) -> Self {
        Self::redirect_with(StatusCode::TEMPORARY_REDIRECT, location)
    }

    /// Answers `308 Permanent Redirect`: the client sends the same request to `location`, from now
    /// on.
    #[must_use]
    pub fn redirect_permanent(location: &str) -> Self {
        Self::redirect_with(StatusCode::PERMANENT_REDIRECT, location)
    }

    fn redirect_with(status: StatusCode, location: &str) -> Self {
        let location = HeaderValue::try_from(encode_invisible(location))
            .expect("visible ASCII is a field's value");
        Self::new(status).with_field(header::LOCATION, location)
    }
}
