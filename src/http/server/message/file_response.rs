//! Files as answers.

use std::{io, path::Path};

use super::{body_writer::BodyWriter, response::Response};
use crate::{
    fs::File,
    http::{HeaderValue, StatusCode, error::Result, header},
};

/// How much is read from a file at once.
const READ_BYTES: usize = 64 * 1024;

/// The types of the files that browsers ask for, by the end of the name in lower case.
const CONTENT_TYPES: [(&str, &str); 24] = [
    ("avif", "image/avif"),
    ("css", "text/css; charset=utf-8"),
    ("csv", "text/csv; charset=utf-8"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("wasm", "application/wasm"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

fn content_type(path: &Path) -> HeaderValue {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let found = extension.and_then(|extension| {
        CONTENT_TYPES
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(extension))
    });
    HeaderValue::from_static(found.map_or("application/octet-stream", |(_, name)| *name))
}

impl Response {
    /// Answers `200 OK` with the content of a file, as long as it is now, and a `Content-Type` by
    /// the end of its name. It is read while it is sent, 64 KiB at a time.
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
        let response = Self::writer(async move |mut out: BodyWriter| {
            let mut sent = 0;
            while sent < len {
                let size =
                    usize::try_from(len - sent).map_or(READ_BYTES, |left| left.min(READ_BYTES));
                let buf = Vec::with_capacity(size);
                let (count, bytes) = file.read_at(buf, sent).await.map_err(io::Error::from)?;
                if count == 0 {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                sent += count as u64;
                out.write(bytes).await?;
            }
            Ok(())
        });
        Ok(response
            .with_field(header::CONTENT_TYPE, content_type(path))
            .with_field(header::CONTENT_LENGTH, len.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_told_by_the_end_of_the_name() {
        let check = |path: &str, expected: &str| {
            assert_eq!(content_type(Path::new(path)), expected, "{path}");
        };
        check("a/b.html", "text/html; charset=utf-8");
        check("A.PNG", "image/png");
        check("archive.tar.gz", "application/gzip");
        check("noend", "application/octet-stream");
        check(".css", "application/octet-stream");
    }
}
