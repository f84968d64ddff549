//! HTTP/2 (RFC 9113), for the same handlers as HTTP/1.1.
//!
//! Feature: `http2`. The crate `h2` is the protocol: a state machine without I/O of its own. A
//! connection of HTTP/2 is one that has left HTTP/1.1, as a [`Tunnelled`] of its worker:
//!
//! - `connection.rs` polls the state machine, and has a lane for each request that is under way;
//! - `lane.rs` serves one request after the other, each a stream, by an [`Exchange`] without a
//!   connection, so that requests, bodies and answers are those of HTTP/1.1;
//! - `request.rs` makes the head of a request, and `upload.rs` is the source of its body;
//! - `sending.rs` polls the handler and sends its answer as fast as the client reads;
//!   `answer.rs` makes the answer's fields;
//! - `wire.rs` is the connection below with the I/O traits that `h2` wants.
//!
//! A connection begins when its first bytes are the preface ([`begin`]).

mod answer;
mod connection;
mod lane;
mod request;
mod sending;
mod upload;
mod wire;

use std::rc::Rc;

use super::{
    end_reason::EndReason, exchange::Exchange, message::handler::Handler, trace::ConnectionId,
    worker_shared::Shared,
};
use crate::http::{
    StatusCode,
    h1::RequestError,
    transport::{
        Transport,
        tunnelled::{Departed, Tunnelled},
    },
};
use connection::Http2Connection;

/// The beginning of the preface: what looks like a request line.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// Whether a connection that is refused for `reason` goes on as HTTP/2.
#[cold]
pub(crate) fn is_wanted(exchange: &Exchange, reason: EndReason) -> bool {
    reason == EndReason::Request(RequestError::Http2Preface) && has_preface(exchange)
}

/// Whether the first bytes of the connection are the preface, and HTTP/2 is spoken here. Over TLS
/// it is spoken where the handshake has chosen it (RFC 9113, section 3.2), and a client without the
/// preface does not come so far there.
fn has_preface(exchange: &Exchange) -> bool {
    let may_begin =
        |transport: &Transport| Ok(!transport.is_tls() || transport.has_agreed_on_http2());
    exchange.shared().settings.http2.has_http2()
        && exchange.with_transport(may_begin).unwrap_or(false)
        && exchange.with_input(|bytes| bytes.starts_with(PREFACE))
        && exchange.is_unanswered()
}

/// Lets the connection go on as HTTP/2, where that is wanted.
#[cold]
pub(crate) fn begin<H: Handler>(exchange: &Exchange, handler: &Rc<H>) {
    if !has_preface(exchange) {
        return;
    }
    let shared = Rc::clone(exchange.shared());
    let (handler, span) = (Rc::clone(handler), exchange.span());
    let make = Box::new(move |departed| tunnel(departed, shared, handler, span));
    // A connection that is gone ends here.
    let _ = exchange.begin_tunnel(StatusCode::SWITCHING_PROTOCOLS, make);
}

/// Makes the HTTP/2 connection that `departed` goes on as, whose first bytes are the preface.
fn tunnel<H: Handler>(
    departed: Departed,
    shared: Rc<Shared>,
    handler: Rc<H>,
    span: ConnectionId,
) -> Box<dyn Tunnelled> {
    Box::new(Http2Connection::new(departed, shared, handler, span))
}
