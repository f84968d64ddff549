//! The client as a service.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use ::http::{Uri, uri::Scheme};
use tower_service::Service;

use super::bodies::ClientBody;
use crate::http::{
    Cause, HeaderMap, Version,
    client::{self, Client},
    header,
};

impl Client {
    /// Begins a request of the `http` crate, with a body of any kind.
    ///
    /// Feature: `tower`.
    ///
    /// Its URI has to be absolute, `http://host/path`. Its fields are added as
    /// [`client::Request::with_field`] does; with `Upgrade` and `Connection: upgrade` among them
    /// the response may [upgrade](client::Response::upgrade). The body is that of
    /// [`client::Body::from_http_body`]. The version and the extensions are left out.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use annulus::http::Client;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let request = http::Request::post("http://127.0.0.1:8080/notes").body("text".to_owned())?;
    /// let response = Client::new().http_request(request).send().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn http_request<B>(&self, request: ::http::Request<B>) -> client::Request
    where
        B: http_body::Body + 'static,
        B::Error: Into<Cause>,
    {
        let (parts, body) = request.into_parts();
        let mut request = self.request(parts.method, url_text(&parts.uri));
        let asks_upgrade = asks_upgrade(&parts.headers);
        let mut last_name = None;
        for (name, value) in parts.headers {
            last_name = name.or(last_name);
            let Some(name) = &last_name else {
                continue;
            };
            request = match value.to_str() {
                Ok(protocol) if asks_upgrade && *name == header::UPGRADE => {
                    request.upgrade(protocol)
                }
                _ if asks_upgrade && *name == header::CONNECTION => request,
                _ => request.with_field(name.clone(), value),
            };
        }
        request.body(client::Body::from_http_body(body))
    }
}

/// A URI as text. The target of a `CONNECT`, `host:port`, stands for an origin.
fn url_text(uri: &Uri) -> String {
    match (uri.scheme(), uri.authority()) {
        (None, Some(authority)) => format!("{}://{authority}/", Scheme::HTTP),
        _ => uri.to_string(),
    }
}

fn asks_upgrade(fields: &HeaderMap) -> bool {
    let options = fields.get_all(header::CONNECTION).into_iter();
    let mut options = options.flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// The client's response as a response of the `http` crate.
///
/// Feature: `tower`.
impl From<client::Response> for ::http::Response<ClientBody> {
    fn from(response: client::Response) -> Self {
        let (status, fields) = (response.status(), response.field_map());
        let is_http10 = response.version() == Version::HTTP_10;
        let mut converted = Self::new(ClientBody::from(response));
        *converted.status_mut() = status;
        *converted.headers_mut() = fields;
        if is_http10 {
            *converted.version_mut() = Version::HTTP_10;
        }
        converted
    }
}

/// The future of a response.
type Sending = Pin<Box<dyn Future<Output = client::Result<::http::Response<ClientBody>>>>>;

/// Sends requests of the `http` crate; [`http_request`](Client::http_request) tells how.
///
/// Feature: `tower`.
///
/// It is always ready: a request to a host that has all its connections waits in the pool's line,
/// and a full line is an error, as for other requests. A limit over all hosts is a layer of
/// tower's. [`ThreadBound`](crate::task::ThreadBound) makes a service of it that is `Send`.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::Client;
/// use tower_service::Service;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::new();
/// let request = http::Request::get("http://127.0.0.1:8080/").body(String::new())?;
/// let response = client.call(request).await?;
/// println!("{}", response.status());
/// # Ok(())
/// # }
/// ```
impl<B> Service<::http::Request<B>> for Client
where
    B: http_body::Body + 'static,
    B::Error: Into<Cause>,
{
    type Response = ::http::Response<ClientBody>;
    type Error = client::Error;
    type Future = Sending;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<client::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: ::http::Request<B>) -> Sending {
        let request = self.http_request(request);
        Box::pin(async move { Ok(request.send().await?.into()) })
    }
}
