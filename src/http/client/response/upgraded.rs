//! A connection that speaks another protocol now.

use std::{fmt, future::poll_fn, io};

use bytes::Bytes;

use crate::{
    budget,
    http::{client::pool::connection::Connection, transport::Transport},
    io::Receive,
    pool::ManagedBuf,
};

/// A connection whose protocol was changed, or the tunnel that a proxy has opened. It is no longer
/// the pool's.
pub struct Upgraded {
    transport: Transport,
    /// The bytes that came after the response.
    first: std::cell::Cell<Option<ManagedBuf>>,
}

impl Upgraded {
    pub(crate) fn new(mut connection: Connection) -> Self {
        let first = connection.input.take_all();
        Self {
            transport: connection.transport,
            first: std::cell::Cell::new((!first.is_empty()).then_some(first)),
        }
    }

    /// The next bytes; empty when the peer has finished sending.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        budget::turn().await;
        match self.first.take() {
            Some(first) => Ok(first),
            None => poll_fn(|context| self.transport.poll_recv(context)).await,
        }
    }

    /// Sends all of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped in flight it is sent whole, in the background. Over TLS, a beginning of it is.
    pub async fn write_all(&self, bytes: impl Into<Bytes>) -> io::Result<()> {
        let result = self.transport.write_all(bytes.into()).await;
        budget::turn().await;
        result.map(drop)
    }
}

impl Receive for Upgraded {
    type Bytes = ManagedBuf;

    async fn receive(&self) -> io::Result<ManagedBuf> {
        self.recv().await
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
