//! Conditions of requests that change something.

use super::request::Request;
use crate::http::{
    StatusCode,
    error::{Error, Result},
    error_kind::ErrorKind,
    representation::{
        ETag,
        conditions::{Validators, Verdict, evaluate},
    },
    server::message::response::unix_seconds,
};

/// Conditions, by which a client sees to it that it changes only what it knows.
impl Request {
    /// Checks `If-Match` and `If-None-Match` against the tag of what is there now (RFC 9110,
    /// section 13.2); `None` when nothing is there. For handlers that change something, before they
    /// do. An answer to GET has [`Response::conditional`](crate::http::Response::conditional).
    ///
    /// A client that sends `If-Match` with the tag that it was given overwrites no change of
    /// another client, and one that sends `If-None-Match: *` overwrites nothing.
    ///
    /// # Errors
    ///
    /// 412 when a condition is false. A request without conditions passes.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, ETag, Request, Response, StatusCode};
    ///
    /// # async fn read_note() -> Option<Vec<u8>> { None }
    /// # async fn write_note(_note: &[u8]) {}
    /// async fn put_note(mut request: Request) -> http::Result<Response> {
    ///     let present = read_note().await.map(|note| ETag::of_content(&note));
    ///     request.check_conditions(present.as_ref())?;
    ///     let note = request.take_body().bytes().await?;
    ///     write_note(&note).await;
    ///     let response = Response::new(StatusCode::NO_CONTENT);
    ///     Ok(response.with_etag(ETag::of_content(&note)))
    /// }
    /// # let _ = put_note;
    /// ```
    pub fn check_conditions(&self, present: Option<&ETag>) -> Result<()> {
        let validators = Validators {
            exists: present.is_some(),
            etag: present,
            ..Validators::default()
        };
        let fields = self.head().fields();
        match evaluate(self.method(), fields, validators, unix_seconds()) {
            Verdict::Proceed { .. } | Verdict::NotModified => Ok(()),
            Verdict::Failed => Err(Error::other(
                StatusCode::PRECONDITION_FAILED,
                ErrorKind::Status,
                "a condition of the request is false",
            )),
        }
    }
}
