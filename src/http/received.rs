//! A request as its exchange has received it.

use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

use super::{exchange::Exchange, h1::RequestHead, params::Params};

/// What an exchange and the [`Request`](super::Request) that it gave to the handler share.
///
/// The request is a pointer to this, and so costs next to nothing to move. It is used again for the
/// next one, unless the handler has kept it.
pub(super) struct Received {
    pub(super) head: RequestHead,
    pub(super) exchange: Rc<Exchange>,
    /// Which of the exchange's requests this is.
    pub(super) number: u64,
    /// Whether nobody has taken the body yet.
    pub(super) has_body: Cell<bool>,
    /// What the router found in the path.
    pub(super) params: RefCell<Params>,
}

impl Received {
    pub(super) fn new(exchange: &Rc<Exchange>) -> Rc<Self> {
        Rc::new(Self {
            head: RequestHead::new(),
            exchange: Rc::clone(exchange),
            number: 0,
            has_body: Cell::new(true),
            params: RefCell::default(),
        })
    }

    /// Begins the request whose head was read, and which is the exchange's `number`th.
    #[inline]
    pub(super) fn begin(&mut self, number: u64) {
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
