//! A request as its handler sees it.

mod client;
#[cfg(feature = "tls")]
mod tls;

use std::{cell::RefCell, fmt, net::SocketAddr, rc::Rc};

use super::{body::Body, params::Params, received::Received};
use crate::http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    h1::{AnswerTo, BodyLength, RequestHead, ResponseEncoder},
    server::{exchange::Exchange, extensions::Extensions, settings::WhenGone},
};

/// A request: its head, which is complete, and its body, which the handler pulls.
///
/// The head is read lazily: no map of fields is built unless [`field_map`](Self::field_map) is
/// called. The value is `'static` and may be kept or moved to another task of this thread.
pub struct Request {
    received: Rc<Received>,
}

impl Request {
    #[inline]
    pub(crate) fn new(received: Rc<Received>) -> Self {
        Self { received }
    }

    pub(crate) fn head(&self) -> &RequestHead {
        &self.received.head
    }

    fn exchange(&self) -> &Rc<Exchange> {
        &self.received.exchange
    }

    /// Whether the client takes trailers.
    pub(crate) fn accepts_trailers(&self) -> bool {
        self.head().accepts_trailers()
    }

    /// Whether the exchange has not gone on to another request.
    fn is_current(&self) -> bool {
        self.exchange().is_current(self.received.number)
    }

    /// The parameters that the router found in the path.
    pub(crate) fn params(&self) -> &RefCell<Params> {
        &self.received.params
    }

    /// Sets the parameters that the router found in the path.
    #[inline]
    pub(crate) fn set_params(&self, params: Params) {
        if params.is_some() {
            self.received.has_more.set(true);
        }
        self.received.params.replace(params);
    }

    /// Forgets the parameters of a router around the one that answers now.
    #[inline]
    pub(crate) fn forget_params(&self) {
        if self.received.has_more.get() {
            self.received.params.borrow_mut().clear();
        }
    }

    /// Another handle to the same request, for a layer that looks at it after its answer.
    #[inline]
    pub(crate) fn again(&self) -> Self {
        Self::new(Rc::clone(&self.received))
    }

    /// Tells the request's span which route was found.
    #[inline]
    pub(crate) fn note_route(&self, route: &str) {
        self.received.span.note_route(route);
    }

    /// Returns the method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head().method()
    }

    /// Returns the target as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head().target()
    }

    /// Returns the target's path as it was sent, without decoding.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head().path()
    }

    /// The same as bytes, without a look whether it is UTF-8, which it is.
    #[inline]
    pub(crate) fn path_bytes(&self) -> &[u8] {
        self.head().path_bytes()
    }

    /// Returns the query of the target, after the `?`, as it was sent.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head().query()
    }

    /// Returns the host and port that the client asked for: from the target if it names them, else
    /// from `Host`.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head().authority()
    }

    /// Returns the version: 1.0 or 1.1, or 2 (feature `http2`).
    #[must_use]
    pub fn version(&self) -> Version {
        self.head().version()
    }

    /// Returns the address of the other end of the connection: the client, or the proxy in front of
    /// the server. None on a Unix socket, and once the connection has been handed over or is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        if !self.is_current() {
            return None;
        }
        let addr = self
            .exchange()
            .with_transport(|transport| Ok(transport.peer_addr()));
        addr.ok().flatten()
    }

    /// Returns the first field called `name`, in any case, without the blanks around its value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head().field(name)
    }

    /// Returns all fields called `name`, in order.
    pub fn field_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.head().field_all(name)
    }

    /// Returns the names, as they were sent, and values of all fields, in order.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::Request;
    ///
    /// fn bytes_of_fields(request: &Request) -> usize {
    ///     request.fields().map(|(name, value)| name.len() + value.len()).sum()
    /// }
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.head().fields().iter()
    }

    /// Returns all fields as a map, which is built anew at each call.
    #[must_use]
    pub fn field_map(&self) -> HeaderMap {
        self.head().to_header_map()
    }

    /// Returns the protocols that the client offers to change to, by `Upgrade` and `Connection`.
    pub fn upgrades(&self) -> impl Iterator<Item = &str> {
        self.head().upgrades()
    }

    /// Returns the values that layers have put into the request, where more may be put in.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        self.received.more_extensions()
    }

    /// Lets the handler finish although its client has left; otherwise its future is dropped when
    /// the connection is reset or breaks, and while it writes a body also when the client closes
    /// its side. On HTTP/2 it is dropped when the client resets the stream.
    pub fn keep_running(&self) {
        self.set_when_gone(WhenGone::GoOn);
    }

    /// Drops the handler's future also when the client has just closed its own side. For handlers
    /// that wait long before they answer: most clients that do so have left, but to close one's
    /// side and wait for the answer is legal.
    pub fn stop_on_half_close(&self) {
        self.set_when_gone(WhenGone::HalfClose);
    }

    fn set_when_gone(&self, when_gone: WhenGone) {
        if self.is_current() {
            self.exchange().set_when_gone(when_gone);
        }
    }

    /// Sends `103 Early Hints` with `fields` ahead of the answer, so that the client can begin to
    /// load what it will need (RFC 8297). It leaves when the handler waits. Nothing is sent to
    /// clients of HTTP/1.0, or once the answer is under way.
    pub fn early_hints(&self, fields: &[(HeaderName, HeaderValue)]) {
        if self.version() == Version::HTTP_10 || !self.is_current() {
            return;
        }
        let mut output = Vec::new();
        let answer_to = AnswerTo::request(self.head());
        let mut encoder = ResponseEncoder::new(&mut output, StatusCode::EARLY_HINTS, answer_to);
        for (name, value) in fields {
            encoder.field(name, value);
        }
        encoder.finish(None, &self.exchange().shared().date_line());
        self.exchange().outgoing().add_interim(&output);
        self.exchange().wake();
    }

    /// Waits until the server begins to stop, so that a handler that waits long can answer.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn stopping(&self) {
        self.exchange().shared().stopping().await;
    }

    /// Returns whether the server has begun to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.exchange().shared().is_stopping()
    }

    /// The length of the body that the client has announced in `Content-Length`.
    pub(crate) fn body_len(&self) -> Option<u64> {
        match self.head().body_length() {
            BodyLength::Sized(len) => Some(len),
            BodyLength::None => Some(0),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Sets the limit on the body's size.
    pub(crate) fn set_body_bytes_max(&self, bytes_max: u64) {
        if self.is_current() {
            self.exchange().set_body_bytes_max(bytes_max);
        }
    }

    /// Returns the body as a value of its own. A second call gives a body that is at its end.
    ///
    /// It can be read until the answer has been written; what is left of it then is skipped.
    pub fn take_body(&mut self) -> Body {
        let has_body = self.received.has_body.replace(false);
        let number = has_body.then_some(self.received.number);
        Body::new(Rc::clone(&self.received), number)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}
