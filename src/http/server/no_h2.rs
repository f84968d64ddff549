//! HTTP/2 without the feature `http2`: none.

use std::rc::Rc;

use super::{end_reason::EndReason, exchange::Exchange};

/// Whether the connection goes on as HTTP/2. It does not.
#[inline]
pub(crate) fn is_wanted(exchange: &Exchange, _reason: EndReason) -> bool {
    exchange.shared().settings.http2.has_http2()
}

/// Lets the connection go on as HTTP/2, where that is wanted.
pub(crate) fn begin<H>(_exchange: &Exchange, _handler: &Rc<H>) {}
