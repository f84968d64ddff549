//! TLS at the addresses of a server.

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{
    http::transport::{Transport, layer::secured, proxied::Begin},
    net::Socket,
    tls::{
        ServerConfig, Spoken,
        incoming::{Endpoint, Incoming},
    },
};

/// The TLS of an address, on its way to the workers.
#[derive(Clone, Debug)]
pub(super) struct Tls(pub(super) ServerConfig);

/// The TLS of an address that a worker accepts at.
#[derive(Debug)]
pub(super) struct Secured(Rc<Endpoint>);

impl Tls {
    /// Gives it to a worker, whose handshakes `handshakes_left` counts. The server speaks HTTP/1.1,
    /// HTTP/2 or both.
    pub(super) fn secure(
        self,
        has_http1: bool,
        has_http2: bool,
        handshakes_left: &Rc<Cell<u32>>,
    ) -> Secured {
        let spoken = match (has_http1, has_http2) {
            (_, false) => Spoken::Http1,
            (false, true) => Spoken::Http2,
            (true, true) => Spoken::Both,
        };
        Secured(Rc::new(Endpoint {
            config: self.0,
            spoken,
            handshakes_left: Rc::clone(handshakes_left),
        }))
    }
}

impl Secured {
    /// The connection of a client that was accepted.
    pub(super) fn transport(&self, socket: Socket) -> Transport {
        Incoming::new(socket, Rc::clone(&self.0)).into()
    }

    /// The function that begins TLS after a header of the PROXY protocol.
    pub(super) fn begin(&self) -> Begin {
        let endpoint = Rc::clone(&self.0);
        Rc::new(move |socket, unread| secured(socket, &endpoint, &unread))
    }

    /// Time that a client has for its handshake.
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.0.config.handshake_timeout()
    }
}
