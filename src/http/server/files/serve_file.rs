//! One file as the answer to a request.

use std::path::Path;

use super::{
    answer::answer,
    found::{Dress, Found},
};
use crate::{
    fs::File,
    http::{
        StatusCode,
        error::Result,
        representation::CachePolicy,
        server::message::{request::Request, response::Response},
    },
};

/// Answers `request` with the content of a file, by its conditions and ranges (RFC 9110, sections
/// 13 and 14): 200, 206 with the part that it asks for, 304 when the client has it, 412 or 416.
///
/// The path is opened as it is: a handler that makes it from what a client sent has to see to it
/// that it stays where it should. [`Router::files`](crate::http::Router::files) serves a folder,
/// and [`Response::file`] a file as a whole.
///
/// # Errors
///
/// As [`Response::file`].
///
/// # Examples
///
/// ```no_run
/// use annulus::http::{self, Request, Response, Server, serve_file};
///
/// async fn report(request: Request) -> http::Result<Response> {
///     let response = serve_file(&request, "reports/latest.pdf").await?;
///     Ok(response.with_file_name("report of May.pdf"))
/// }
///
/// # fn main() -> std::io::Result<()> {
/// Server::new().listen("127.0.0.1:8080").run(report).map(drop)
/// # }
/// ```
pub async fn serve_file(request: &Request, path: impl AsRef<Path>) -> Result<Response> {
    let path = path.as_ref();
    let file = File::open(path).await?;
    let dress = Dress {
        path,
        coding: None,
        varies: false,
        cache: CachePolicy::Unsaid,
    };
    match Found::of(file, dress).await? {
        Some(found) => Ok(answer(request, &found)),
        None => Err(StatusCode::NOT_FOUND.into()),
    }
}
