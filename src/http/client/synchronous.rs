//! Synchronous calls, for programs without a runtime.
//!
//! Each call runs a runtime of its own on the calling thread, which it blocks, and ends it. A
//! program that asks for much is better off inside [`annulus::run`](crate::run), which keeps its
//! connections.

use super::{
    Client,
    error::{Error, ErrorKind, Result},
    request::Request,
    response::charset,
    url::{IntoUrl, Url},
};
use crate::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    runtime::Runtime,
};

/// A whole response, with its body.
#[derive(Debug, Clone)]
pub struct Page {
    status: StatusCode,
    url: Url,
    fields: HeaderMap,
    body: Vec<u8>,
}

impl Page {
    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the URL that it came from, after all redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the first field called `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name).map(HeaderValue::as_bytes)
    }

    /// Returns all fields as a map.
    #[must_use]
    pub fn field_map(&self) -> &HeaderMap {
        &self.fields
    }

    /// Returns the body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// Returns the body, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// Returns the body as text, in the charset that it came with.
    ///
    /// # Errors
    ///
    /// As [`Response::text`](super::Response::text).
    pub fn text(self) -> Result<String> {
        let content_type = self.fields.get(header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes);
        charset::decode(self.body, content_type).map_err(|error| error.asking(&self.url))
    }
}

/// Gets a page with its body, and blocks the thread meanwhile.
///
/// # Errors
///
/// As [`Request::send`] and [`Response::bytes`](super::Response::bytes), and when no runtime can be
/// made.
///
/// # Panics
///
/// Inside a runtime, which it would stop: await [`http::fetch`](crate::http::fetch) there.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::client::synchronous;
///
/// # fn main() -> std::io::Result<()> {
/// println!("{}", synchronous::fetch("http://127.0.0.1:8080/")?.text()?);
/// # Ok(())
/// # }
/// ```
pub fn fetch(url: impl IntoUrl) -> Result<Page> {
    send(|client| client.get(url))
}

/// Sends a request, and blocks the thread until the response is here with its body.
///
/// # Errors
///
/// As [`fetch`].
///
/// # Panics
///
/// As [`fetch`].
///
/// # Examples
///
/// ```no_run
/// use annulus::http::client::synchronous;
///
/// # fn main() -> std::io::Result<()> {
/// let page = synchronous::send(|client| client.post("http://127.0.0.1:8080/").body("hello"))?;
/// println!("{}", page.status());
/// # Ok(())
/// # }
/// ```
pub fn send(make: impl FnOnce(&Client) -> Request) -> Result<Page> {
    let runtime = Runtime::new().map_err(|error| Error::with_source(ErrorKind::Io, error))?;
    runtime.block_on(async {
        let mut response = make(&Client::new()).send().await?;
        Ok(Page {
            body: response.collect().await?,
            status: response.status(),
            url: response.url().clone(),
            fields: response.field_map(),
        })
    })
}
