//! A connection that speaks another protocol now.

use std::{
    fmt, io,
    task::{Context, Poll},
};

use crate::{
    buf::IoBuf,
    http::{client::pool::connection::Connection, transport::taken_over::TakenOver},
    io::{reads_by_method, writes_by_method},
    pool::ManagedBuf,
};

/// A connection that has changed its protocol, or the tunnel that a proxy has opened. It is no
/// longer the pool's.
///
/// Everything works through `&self`: one task may receive while another sends. The server has a
/// type of its own, since its connections go back to the server and learn when it stops.
pub struct Upgraded {
    connection: TakenOver,
}

impl Upgraded {
    pub(crate) fn new(mut connection: Connection) -> Self {
        let first = connection.input.take_all();
        Self {
            connection: TakenOver::new(connection.transport, first),
        }
    }

    /// Receives the next bytes; empty when the peer has finished sending.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&self) -> io::Result<ManagedBuf> {
        self.connection.recv().await
    }

    /// Sends all of `buf` and gives it back.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropped in flight it is sent whole, in the background. Over TLS, a beginning of it is.
    pub async fn write_all<B: IoBuf + AsRef<[u8]>>(&self, buf: B) -> io::Result<B> {
        self.connection.write_all(buf).await
    }

    /// Ends the sending direction after the bytes before.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn shutdown(&self) -> io::Result<()> {
        self.connection.shutdown().await
    }

    /// Takes the next bytes. An empty buffer is the end. See
    /// [`ByteRead`](crate::io::ByteRead#polling) for its promises.
    ///
    /// # Errors
    ///
    /// The errors of the connection.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        self.connection.poll_recv(context)
    }

    /// Takes the first bytes of `bytes`, and returns how many. A connection that is a socket sends
    /// them as [`TcpStream::poll_write`](crate::net::TcpStream::poll_write) does.
    ///
    /// # Errors
    ///
    /// The errors of the connection, that of bytes taken before included.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.connection.poll_write(context, bytes)
    }

    /// Waits until the bytes that were taken are on their way.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_flush(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_flush(context)
    }

    /// Ends the sending direction after what was taken. Receiving goes on.
    ///
    /// # Errors
    ///
    /// As [`poll_write`](Self::poll_write).
    pub fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(context)
    }
}

reads_by_method!(Upgraded);
writes_by_method!(Upgraded);

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded")
            .field("transport", &self.connection)
            .finish_non_exhaustive()
    }
}
