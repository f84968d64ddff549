//! What a client's requests share.

use std::{cell::RefCell, rc::Rc};

use super::{connector::Connector, exchange::Exchange, options::Options, pool::Pool};
use crate::http::{HeaderName, HeaderValue, h1::Rules};

/// Used exchanges that are kept for the next request.
const SPARE_MAX: usize = 64;

/// What a client's requests share: its settings, its pool and its memory.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) rules: Rules,
    /// The fields of every request that does not have them itself.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) pool: Rc<Pool>,
    pub(super) connector: Connector,
    #[expect(
        clippy::vec_box,
        reason = "an exchange goes between this list and its response without being copied"
    )]
    spare: RefCell<Vec<Box<Exchange>>>,
}

impl Shared {
    pub(super) fn new(
        options: Options,
        rules: Rules,
        fields: Vec<(HeaderName, HeaderValue)>,
        pool: Rc<Pool>,
        connector: Connector,
    ) -> Rc<Self> {
        Rc::new(Self {
            options,
            rules,
            fields,
            pool,
            connector,
            spare: RefCell::default(),
        })
    }

    pub(super) fn take_exchange(&self) -> Box<Exchange> {
        let spare = self.spare.borrow_mut().pop();
        spare.unwrap_or_else(Exchange::new)
    }

    /// Takes back an exchange, in whatever state it is.
    pub(super) fn recycle(&self, mut exchange: Box<Exchange>) {
        exchange.clear();
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAX {
            spare.push(exchange);
        }
    }
}
