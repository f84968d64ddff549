//! A request as its exchange has received it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use super::params::Params;
use crate::http::{
    h1::RequestHead,
    server::{
        exchange::Exchange,
        extensions::Extensions,
        trace::{RequestSpan, SpanHandle},
    },
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
    /// Whether it may have parameters or extensions.
    pub(crate) has_more: Cell<bool>,
    /// The parameters that the router found in the path.
    pub(crate) params: RefCell<Params>,
    /// The values that layers have put in.
    extensions: Extensions,
    pub(crate) span: SpanHandle,
    /// The one of which this is another version, with the head that a layer has made. The exchange
    /// sees by its count that the body may still be read.
    pub(crate) original: Option<Rc<Self>>,
}

impl Received {
    pub(crate) fn new(exchange: &Rc<Exchange>) -> Rc<Self> {
        Rc::new(Self {
            head: RequestHead::new(),
            exchange: Rc::clone(exchange),
            number: 0,
            has_body: Cell::new(true),
            has_more: Cell::new(false),
            params: RefCell::default(),
            extensions: Extensions::default(),
            span: SpanHandle::default(),
            original: None,
        })
    }

    /// Begins the request whose head was read, and which is the exchange's `number`th.
    #[inline]
    pub(crate) fn begin(&mut self, number: u64) {
        self.number = number;
        self.has_body.set(true);
    }

    /// The values that layers have put in. All versions of a request have the same.
    pub(crate) fn extensions(&self) -> &Extensions {
        match &self.original {
            Some(original) => original.extensions(),
            None => &self.extensions,
        }
    }

    /// As [`extensions`](Self::extensions), for a layer or a handler, which may put some in.
    pub(crate) fn more_extensions(&self) -> &Extensions {
        match &self.original {
            Some(original) => original.more_extensions(),
            None => {
                self.has_more.set(true);
                &self.extensions
            }
        }
    }

    /// Drops the parameters and the values.
    pub(crate) fn forget(&mut self) {
        self.has_more.set(false);
        self.params.get_mut().clear();
        self.extensions.clear();
    }
}

impl Received {
    /// Begins the span of the request whose head was read.
    #[inline]
    pub(crate) fn begin_span(exchange: &Exchange, received: &mut Rc<Self>) -> RequestSpan {
        let span = RequestSpan::begin(|| {
            let hooks = &exchange.shared().settings.hooks;
            (&received.head, exchange.span(), hooks)
        });
        span.hand_over(|handle| {
            if let Some(current) = Rc::get_mut(received) {
                current.span = handle;
            }
        });
        span
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").finish_non_exhaustive()
    }
}
