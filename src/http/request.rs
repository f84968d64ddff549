//! A request.

use std::{fmt, rc::Rc};

use super::{Body, HeaderMap, Method, Version, exchange::Exchange, h1::RequestHead};

/// A request: its head, which is here, and its body, which is pulled.
///
/// The head is read lazily: no map of fields is built unless [`headers`](Self::headers) is called.
/// The value is `'static` and may be kept or moved to another task of this thread.
pub struct Request {
    head: Rc<RequestHead>,
    exchange: Rc<Exchange>,
    /// Which of the exchange's requests this is, until its body is taken.
    number: Option<u64>,
}

impl Request {
    pub(super) fn new(head: Rc<RequestHead>, exchange: Rc<Exchange>, number: u64) -> Self {
        Self {
            head,
            exchange,
            number: Some(number),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.head.method()
    }

    /// The target as it was sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.head.target()
    }

    /// The target's path, as it was sent: nothing is decoded.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.path()
    }

    /// What stands behind the target's `?`, as it was sent.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.query()
    }

    /// Host and port that the client asked for: from the target if it names them, else from `Host`.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head.authority()
    }

    /// The version: 1.0 or 1.1.
    #[must_use]
    pub fn version(&self) -> Version {
        self.head.version()
    }

    /// The first field called `name`, in any case, without the blanks around its value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.header(name)
    }

    /// All fields called `name`, in order.
    pub fn header_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.head.header_all(name)
    }

    /// All fields as a map, which is built anew at each call.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        self.head.to_header_map()
    }

    /// The body, as a value of its own. A second call gives a body that is at its end.
    ///
    /// It can be read until the answer has been written; what is left of it then is skipped.
    pub fn take_body(&mut self) -> Body {
        Body::new(Rc::clone(&self.exchange), self.number.take())
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
