//! What a reader reads from.

use std::{future::Future, io};

/// A source of bytes that come in pieces, as [`TcpStream::recv`](crate::net::TcpStream::recv) gives
/// them.
pub trait Receive {
    /// One piece.
    type Bytes: AsRef<[u8]>;

    /// The next piece; empty at the end.
    ///
    /// # Errors
    ///
    /// The source's.
    ///
    /// # Cancel safety
    ///
    /// An implementation loses nothing when the future is dropped.
    fn receive(&self) -> impl Future<Output = io::Result<Self::Bytes>>;
}

impl<R: Receive> Receive for &R {
    type Bytes = R::Bytes;

    async fn receive(&self) -> io::Result<R::Bytes> {
        (**self).receive().await
    }
}

impl<R: Receive> Receive for std::rc::Rc<R> {
    type Bytes = R::Bytes;

    async fn receive(&self) -> io::Result<R::Bytes> {
        (**self).receive().await
    }
}
