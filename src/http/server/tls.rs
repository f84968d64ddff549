//! TLS at the addresses of a server.

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{
    http::transport::{Transport, layer::secured, proxied::Begin},
    net::Socket,
    tls::{
        ServerConfig,
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
    /// Gives it to a worker, whose handshakes `handshakes_left` counts.
    pub(super) fn secure(self, handshakes_left: &Rc<Cell<u32>>) -> Secured {
        Secured(Rc::new(Endpoint {
            config: self.0,
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
