//! Pages for programs without a runtime.
//!
//! Each call runs a runtime of its own on the calling thread, and ends it. A program that asks for
//! much is better off inside [`annulus::run`](crate::run), which keeps its connections.

use super::{
    HeaderMap, HeaderValue, StatusCode,
    client::{self, Client, IntoUrl, Request, Result, Url},
    header,
};
use crate::runtime::Runtime;

/// A whole response.
#[derive(Debug, Clone)]
pub struct Page {
    status: StatusCode,
    url: Url,
    fields: HeaderMap,
    body: Vec<u8>,
}

impl Page {
    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Where it came from, after all redirects.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The first field called `name`, in any case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.get(name).map(HeaderValue::as_bytes)
    }

    /// All fields as a map.
    #[must_use]
    pub fn field_map(&self) -> &HeaderMap {
        &self.fields
    }

    /// The body.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The body.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.body
    }

    /// The body as text, in the charset that it came with.
    ///
    /// # Errors
    ///
    /// As [`client::Response::text`].
    pub fn text(self) -> Result<String> {
        let content_type = self.fields.get(header::CONTENT_TYPE);
        let content_type = content_type.map(HeaderValue::as_bytes);
        client::text(self.body, content_type, &self.url)
    }
}

/// Gets a page, with its body.
///
/// # Errors
///
/// As [`client::Request::send`] and [`client::Response::bytes`], and when no runtime can be had.
///
/// # Panics
///
/// Inside a runtime, which it would stop: await [`http::fetch`](super::fetch) there.
///
/// # Examples
///
/// ```no_run
/// use annulus::http;
///
/// # fn main() -> std::io::Result<()> {
/// println!("{}", http::blocking::fetch("http://127.0.0.1:8080/")?.text()?);
/// # Ok(())
/// # }
/// ```
pub fn fetch(url: impl IntoUrl) -> Result<Page> {
    send(|client| client.get(url))
}

/// Sends a request, and gets the response with its body.
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
/// use annulus::http;
///
/// # fn main() -> std::io::Result<()> {
/// let page = http::blocking::send(|client| client.post("http://127.0.0.1:8080/").body("hello"))?;
/// println!("{}", page.status());
/// # Ok(())
/// # }
/// ```
pub fn send(make: impl FnOnce(&Client) -> Request) -> Result<Page> {
    let runtime = Runtime::new().map_err(client::no_runtime)?;
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
