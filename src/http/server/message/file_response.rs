//! Files as answers.

use std::{os::unix::ffi::OsStrExt as _, path::Path, rc::Rc};

use super::{body_writer::BodyWriter, file_body::Content, response::Response};
use crate::{
    fs::File,
    http::{StatusCode, error::Result, header, representation::content_type::content_type},
};

impl Response {
    /// Answers `200 OK` with the content of a file, as long as it is now, and a `Content-Type` by
    /// the end of its name. It is read while it is sent, in pieces.
    ///
    /// [`serve_file`](crate::http::serve_file) also answers conditions and ranges, and
    /// [`Router::files`](crate::http::Router::files) serves a folder.
    ///
    /// The path is opened as it is: a handler that makes it from what a client sent has to see to
    /// it that it stays where it should.
    ///
    /// # Errors
    ///
    /// The error of open(2), which answers 404 when there is no such file and 403 when it may not
    /// be read ([`Error`](crate::http::Error) tells all); 404 when it is no regular file. A file
    /// that has become shorter meanwhile cuts the connection.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::{self, Request, Response, Server};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// Server::new()
    ///     .listen("127.0.0.1:8080")
    ///     .run(async |_request: Request| -> http::Result<Response> {
    ///         Response::file("public/index.html").await
    ///     })
    ///     .map(drop)
    /// # }
    /// ```
    pub async fn file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).await?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(StatusCode::NOT_FOUND.into());
        }
        let len = metadata.len();
        let content = Content::File(Rc::new(file));
        let response =
            Self::writer(async move |mut out: BodyWriter| content.write(&mut out, 0..len).await);
        Ok(response
            .with_field(
                header::CONTENT_TYPE,
                content_type(path.as_os_str().as_bytes()),
            )
            .with_field(header::CONTENT_LENGTH, len.into()))
    }
}
