//! Bodies in JSON.

use std::borrow::Cow;

use ::serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use super::{
    body::Body, content_type::require_type, into_response::IntoResponse, request::Request,
    response::Response,
};
use crate::http::{
    HeaderValue, StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
    header,
};

/// An answer in JSON.
///
/// Feature: `json`.
///
/// # Examples
///
/// ```
/// use annulus::http::{Json, Router};
///
/// let router = Router::new().get("/primes", async |_| Json([2, 3, 5, 7]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        Response::json(&self.0)
    }
}

impl Response {
    /// Answers `200 OK` with `value` in JSON; 500 when it cannot be written in JSON, as a map whose
    /// keys are not text.
    ///
    /// Feature: `json`.
    #[must_use]
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => Self::new(StatusCode::OK)
                .with_field(
                    header::CONTENT_TYPE,
                    HeaderValue::from_static("application/json"),
                )
                .with_body(bytes),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

impl Request {
    /// Reads the body as a `T` in JSON. The server's limit on bodies bounds it.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 415 when `Content-Type` is not JSON (`application/json`, or a type such as
    /// `application/problem+json`), and those of [`Body::json`].
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Request, Response};
    ///
    /// async fn sum(mut request: Request) -> http::Result<Response> {
    ///     let numbers: Vec<f64> = request.json().await?;
    ///     Ok(Response::json(&numbers.iter().sum::<f64>()))
    /// }
    /// ```
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        require_type(self, "application/json", |subtype| {
            let tail = subtype.len().saturating_sub("+json".len());
            subtype.eq_ignore_ascii_case(b"json") || subtype[tail..].eq_ignore_ascii_case(b"+json")
        })?;
        self.take_body().json().await
    }
}

impl Body {
    /// Reads the whole body as a `T` in JSON. The server's limit bounds it.
    ///
    /// Feature: `json`.
    ///
    /// # Errors
    ///
    /// 400 when it is not JSON; 422 when it is JSON of another type than `T`, where the error names
    /// the place; and those of [`bytes`](Self::bytes).
    ///
    /// # Cancel safety
    ///
    /// The bytes collected so far are lost when the future is dropped.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|cause| refused::<T>(&bytes, cause))
    }
}

/// The error of a body that is no `T`, with the place in it that is to blame.
#[cold]
fn refused<T: DeserializeOwned>(bytes: &[u8], cause: serde_json::Error) -> Error {
    // The text may go to clients, to whom the name of `T` is nothing.
    let (status, reason) = match cause.classify() {
        Category::Data => {
            let reason = match place_of::<T>(bytes) {
                Some(place) => format!("expected JSON of another shape at `{place}`").into(),
                None => Cow::Borrowed("expected JSON of another shape"),
            };
            (StatusCode::UNPROCESSABLE_ENTITY, reason)
        }
        _ => (
            StatusCode::BAD_REQUEST,
            "expected JSON, found something else".into(),
        ),
    };
    Error::other(status, ErrorKind::Content, reason).with_source(cause)
}

/// The place of the value in `bytes` that is not as `T` has it, such as `items[2].count`; none for
/// the whole. It is looked for by a second reading, so that bodies in order cost no more.
fn place_of<T: DeserializeOwned>(bytes: &[u8]) -> Option<String> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let wrong = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    let place = wrong.path().to_string();
    (place != ".").then_some(place)
}

impl Error {
    /// Sets the body of the answer to `value` in JSON, so that `?` can answer `{"error": ..}`. A
    /// value that cannot be written in JSON is left out.
    ///
    /// Feature: `json`.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, Error, Request, StatusCode};
    ///
    /// #[derive(serde::Serialize)]
    /// struct Failure {
    ///     error: &'static str,
    /// }
    ///
    /// async fn seat(request: Request) -> http::Result<String> {
    ///     let number: u32 = request.param("number")?;
    ///     if number == 13 {
    ///         let taken = Error::new(StatusCode::CONFLICT, "another request was faster");
    ///         return Err(taken.with_json(&Failure { error: "taken" }));
    ///     }
    ///     Ok(format!("seat {number}"))
    /// }
    /// # let _ = seat;
    /// ```
    #[must_use]
    pub fn with_json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(json) => self.with_body(HeaderValue::from_static("application/json"), json),
            Err(_) => self,
        }
    }
}

/// 500: JSON that the program itself reads or writes. [`Request::json`] checks the values that a
/// client sends.
impl From<serde_json::Error> for Error {
    fn from(cause: serde_json::Error) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let reason = "JSON of the program's own cannot be read or written";
        Self::other(status, ErrorKind::Internal, reason).with_source(cause)
    }
}
