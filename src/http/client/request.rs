//! A request while it is put together.

use std::{fmt, rc::Rc, time::Duration};

use super::{
    Client,
    body::Body,
    error::{Error, ErrorKind, Result},
    exchange::{message::Message, onward_head::OnwardHead},
    flow,
    informational::Informational,
    response::Response,
    retry::Retry,
    trace::RequestSpan,
    url::IntoUrl,
};
use crate::http::{HeaderName, HeaderValue, Method, base64, header};

/// A request that is not sent yet. Made by [`Client::get`] and its siblings, and sent by
/// [`send`](Self::send), which also tells what was wrong with its parts.
///
/// # Examples
///
/// ```no_run
/// use annulus::http::client::Client;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new();
/// let response = client
///     .post("http://api.test/items")
///     .query([("dry", "yes")])
///     .with_field("Content-Type", "application/json")
///     .body(r#"{"name": "x"}"#)
///     .send()
///     .await?;
/// println!("{}", response.status());
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing unless it is sent"]
pub struct Request {
    client: Client,
    message: Result<Box<Message>>,
}

impl Request {
    pub(super) fn new(client: &Client, method: Method, url: impl IntoUrl) -> Self {
        let shared = client.shared();
        let message = url.into_url().map(|url| shared.new_message(method, url));
        Self {
            client: client.clone(),
            message,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Message)) -> Self {
        if let Ok(message) = &mut self.message {
            change(message);
        }
        self
    }

    pub(super) fn try_with(mut self, change: impl FnOnce(&mut Message) -> Result<()>) -> Self {
        if let Ok(message) = &mut self.message {
            if let Err(error) = change(message) {
                self.message = Err(error.asking(&message.url));
            }
        }
        self
    }

    /// Writes the head of a request that is sent on by `write`, which says whether it asks for
    /// another protocol.
    pub(crate) fn with_onward_head(self, write: impl FnOnce(&mut OnwardHead) -> bool) -> Self {
        self.with(|message| message.asks_upgrade = write(&mut message.onward))
    }

    /// Adds a field.
    ///
    /// `Content-Length` and `Transfer-Encoding` are decided by the body, and are ignored here.
    pub fn with_field<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        self.try_with(|message| {
            let name = name
                .try_into()
                .map_err(|_| invalid("expected a token as field name, found another character"))?;
            let value = value
                .try_into()
                .map_err(|_| invalid("expected a field value, found a control character in it"))?;
            message.fields.push((name, value));
            Ok(())
        })
    }

    /// Adds pairs to the URL's query, encoded as a form.
    pub fn query<K: AsRef<str>, V: AsRef<str>>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.with(|message| message.url.append_query(pairs))
    }

    /// Sets a user and a password, in `Authorization`.
    pub fn basic_auth(self, user: &str, password: &str) -> Self {
        self.try_with(|message| {
            if user.contains(':') {
                return Err(invalid(
                    "expected a user's name without a colon, found one in it",
                ));
            }
            let value = base64::basic(format!("{user}:{password}").as_bytes());
            message.set(header::AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Sets a token, in `Authorization`.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.try_with(|message| {
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            let mut value = value.map_err(|_| {
                invalid("expected a token for a field, found a control character in it")
            })?;
            value.set_sensitive(true);
            message.set(header::AUTHORIZATION, value);
            Ok(())
        })
    }

    /// Sets the body.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.with(|message| message.body = body.into())
    }

    /// Sets the body to pairs as `application/x-www-form-urlencoded`.
    pub fn form<K: AsRef<str>, V: AsRef<str>>(
        self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.with(|message| {
            let value = HeaderValue::from_static("application/x-www-form-urlencoded");
            message.set(header::CONTENT_TYPE, value);
            message.body = Body::form(pairs);
        })
    }

    /// Limits the time of the whole request: redirects, retries and the body of the response
    /// included; `None` for no limit. 30 seconds by default.
    pub fn timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|message| message.options_mut().timeout = timeout.into())
    }

    /// Limits the time of looking up and connecting to the host; `None` for no limit. 10 seconds by
    /// default.
    pub fn connect_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.with(|message| message.options_mut().connect_timeout = timeout.into())
    }

    /// Limits the wait for each piece of the response, the first one included; `None` for no limit.
    /// 30 seconds by default.
    pub fn read_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        let timeout = timeout.into();
        self.with(|message| {
            message.options_mut().limits.read_timeout = timeout;
            message.options_mut().limits.first_byte_timeout = timeout;
        })
    }

    /// Sets how many redirects are followed; 10 by default. With zero the caller sees the redirect.
    pub fn redirects_max(self, redirects_max: u32) -> Self {
        self.with(|message| message.options_mut().redirects_max = redirects_max)
    }

    /// Limits the size of a body that is held in memory, decompressed; 10 MiB by default. Bodies
    /// that are pulled piece by piece have no limit.
    pub fn body_bytes_max(self, bytes_max: u64) -> Self {
        self.with(|message| message.options_mut().limits.bytes_max = bytes_max)
    }

    /// Asks the server whether it wants the body before the body is sent, and waits a second for
    /// the answer.
    pub fn expect_continue(self, expects: bool) -> Self {
        self.with(|message| message.options_mut().expects_continue = expects)
    }

    /// Sets whether the client asks for a compressed response and decompresses it; it does by
    /// default, in a build with the feature `compress`, unless the request has a `Range`.
    pub fn decompress(self, decompresses: bool) -> Self {
        self.with(|message| message.options_mut().decompresses = decompresses)
    }

    /// Sets when the request is sent again, instead of the client's setting. The budget is this
    /// request's own.
    pub fn retry(self, retry: Retry) -> Self {
        self.with(|message| message.options_mut().retry = Some(Rc::new(retry)))
    }

    /// Calls `tell` with each informational response (1xx).
    pub fn on_informational(self, tell: impl Fn(&Informational<'_>) + 'static) -> Self {
        self.with(|message| message.options_mut().on_informational = Some(Rc::new(tell)))
    }

    /// Asks for another protocol on this connection; see [`Response::upgrade`].
    pub fn upgrade(self, protocol: &str) -> Self {
        self.try_with(|message| {
            let protocol = HeaderValue::try_from(protocol);
            let protocol = protocol.map_err(|_| {
                invalid("expected a protocol's name, found a control character in it")
            })?;
            message.set(header::UPGRADE, protocol);
            message.set(header::CONNECTION, HeaderValue::from_static("upgrade"));
            message.asks_upgrade = true;
            Ok(())
        })
    }

    /// Sends the request, and waits until the head of the response is here.
    ///
    /// # Errors
    ///
    /// The response did not come, or was refused; [`Error::kind`] says why. A status such as 404 is
    /// no error.
    ///
    /// # Cancel safety
    ///
    /// The request may have reached its server or not. Its connection is closed.
    pub async fn send(self) -> Result<Response> {
        let mut message = self.message?;
        if !message.options.decompresses && !message.has(&header::ACCEPT_ENCODING) {
            message.fields.push((
                header::ACCEPT_ENCODING,
                HeaderValue::from_static("identity"),
            ));
        }
        let Message {
            method,
            url,
            fields,
            options,
            ..
        } = &mut *message;
        let span = RequestSpan::begin(method, url, fields, &options.hooks);
        let sending = flow::send(self.client.shared(), message);
        span.around(sending, Response::status).await
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Request");
        match &self.message {
            Ok(message) => debug
                .field("method", &message.method)
                .field("url", &message.url)
                .finish_non_exhaustive(),
            Err(error) => debug.field("error", error).finish_non_exhaustive(),
        }
    }
}

fn invalid(text: &'static str) -> Error {
    Error::new(ErrorKind::Request(text))
}
