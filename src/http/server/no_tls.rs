//! TLS at the addresses of a server that is built without the feature `tls`: at none.

use std::{cell::Cell, rc::Rc, time::Duration};

use crate::{
    http::transport::{
        Transport,
        proxied::{Begin, plain},
    },
    net::Socket,
};

/// The TLS of an address, on its way to the workers. Without the feature none is made.
#[derive(Clone, Debug)]
pub(super) struct Tls(());

/// The TLS of an address that a worker accepts at.
#[derive(Debug)]
pub(super) struct Secured(());

impl Tls {
    pub(super) fn secure(self, _http1: bool, _http2: bool, _left: &Rc<Cell<u32>>) -> Secured {
        Secured(())
    }
}

impl Secured {
    pub(super) fn transport(&self, socket: Socket) -> Transport {
        socket.into()
    }

    pub(super) fn begin(&self) -> Begin {
        Rc::new(|socket, unread| (plain(socket, unread), Ok(())))
    }

    pub(super) fn handshake_timeout(&self) -> Duration {
        Duration::MAX
    }
}
