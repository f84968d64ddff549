//! This crate's connector for the client of hyper-util, which keeps connections in a pool.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use annulus::compat::{
    Compat,
    hyper::{ClientStream, Connector, Executor, Timer},
};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::{
    Client,
    connect::{Connected, Connection},
};
use tower::util::{MapResponse, ServiceExt as _};

/// A connection with the one trait that hyper-util asks for in addition.
pub struct HyperUtilStream(Compat<ClientStream>);

impl Connection for HyperUtilStream {
    fn connected(&self) -> Connected {
        let connected = Connected::new();
        if self.0.get_ref().is_http2() {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl Read for HyperUtilStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Read::poll_read(Pin::new(&mut self.0), context, buf)
    }
}

impl Write for HyperUtilStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write(Pin::new(&mut self.0), context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write_vectored(Pin::new(&mut self.0), context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        Write::is_write_vectored(&self.0)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_flush(Pin::new(&mut self.0), context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_shutdown(Pin::new(&mut self.0), context)
    }
}

/// The connector of such a client.
pub type HyperUtilConnector = MapResponse<Connector, fn(Compat<ClientStream>) -> HyperUtilStream>;

/// A client that opens its connections by `connector`, on this thread.
pub fn client<B>(connector: Connector) -> Client<HyperUtilConnector, B>
where
    B: http_body::Body + Send,
    B::Data: Send,
{
    let wrap: fn(Compat<ClientStream>) -> HyperUtilStream = HyperUtilStream;
    let connector = connector.map_response(wrap);
    Client::builder(Executor).pool_timer(Timer).build(connector)
}
