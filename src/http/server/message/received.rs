//! A request as its exchange has received it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use super::params::Params;
use crate::http::{
    h1::RequestHead,
    server::{exchange::Exchange, trace::SpanHandle},
};

/// The state that an exchange shares with the [`Request`](crate::http::Request) that it gave to the
/// handler.
///
/// The request is a pointer to this, and so costs next to nothing to move. It is used again for the
/// next one, unless the handler has kept it.
pub(crate) struct Received {
    pub(crate) head: RequestHead,
    pub(crate) exchange: Rc<Exchange>,
    /// The number of this request in the exchange.
    pub(crate) number: u64,
    /// Whether the body is still to be taken.
    pub(crate) has_body: Cell<bool>,
    /// The parameters that the router found in the path.
    pub(crate) params: RefCell<Params>,
    pub(crate) span: SpanHandle,
    /// The one of which this is another version, with the head that a layer has made. The exchange
    /// sees by its count that the body may still be read.
    pub(crate) _original: Option<Rc<Self>>,
}

impl Received {
    pub(crate) fn new(exchange: &Rc<Exchange>) -> Rc<Self> {
        Rc::new(Self {
            head: RequestHead::new(),
            exchange: Rc::clone(exchange),
            number: 0,
            has_body: Cell::new(true),
            params: RefCell::default(),
            span: SpanHandle::default(),
            _original: None,
        })
    }

    /// Begins the request whose head was read, and which is the exchange's `number`th.
    #[inline]
    pub(crate) fn begin(&mut self, number: u64) {
        self.number = number;
        self.has_body.set(true);
        self.params.get_mut().clear();
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").finish_non_exhaustive()
    }
}
