//! A connection between two runtimes.

use std::{
    fmt, io,
    marker::PhantomData,
    net,
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net as unix,
    },
};

use super::{TcpStream, UnixStream, socket::Socket, socket::Stream};

/// A connection that belongs to no runtime, with the bytes that were received and not taken.
///
/// [`TcpStream::detach`] and [`UnixStream::detach`] make it. It is `Send`, so that it can go to
/// another worker or thread, whose runtime it joins by [`attach`](Self::attach). The bytes, an
/// error after them, and the options of the socket go along; what arrives meanwhile waits in the
/// kernel. Dropping it closes the connection.
///
/// # Examples
///
/// A connection whose first byte says which worker it is for:
///
/// ```
/// use annulus::{Cores, Worker, Workers, net::{TcpListener, TcpStream}, spawn};
/// use std::io;
///
/// /// Sends a connection to the worker that it is for, with everything that came so far.
/// async fn hand_over(stream: TcpStream, worker: Worker) -> io::Result<()> {
///     let detached = stream.detach().await?;
///     let served = worker.spawn(async move || serve(detached.attach()?).await);
///     served.await?
/// }
///
/// /// Runs on the worker that got the connection.
/// async fn serve(stream: TcpStream) -> io::Result<()> {
///     let bytes = stream.recv().await?;
///     stream.write_all(bytes).await?;
///     Ok(())
/// }
///
/// fn main() -> io::Result<()> {
///     let two = Workers::builder().cores(Cores::Count(1)).count(2);
///     let workers = two.start(async |worker| -> io::Result<()> {
///         if worker.index() > 0 {
///             worker.stopping().await;
///             return Ok(());
///         }
///         let listener = TcpListener::bind("127.0.0.1:0").await?;
///         let addr = listener.local_addr()?;
///         let client = spawn(async move {
///             let stream = TcpStream::connect(addr).await?;
///             stream.write_all("\x01hello").await?;
///             io::Result::Ok(stream.recv().await?.to_vec())
///         });
///         let (stream, _peer) = listener.accept().await?;
///         let (_, number) = stream.read(Vec::with_capacity(1)).await?;
///         let other = worker.workers().worker(number[0].into());
///         hand_over(stream, other.expect("the client names a worker")).await?;
///         assert_eq!(client.await??, b"hello");
///         worker.workers().stop(std::time::Duration::from_secs(1));
///         Ok(())
///     })?;
///     workers.join()?;
///     Ok(())
/// }
/// ```
pub struct Detached<S = TcpStream> {
    socket: OwnedFd,
    received: Vec<u8>,
    /// The errno that ended the receive after those bytes. The socket does not tell it again.
    error: Option<i32>,
    streams: PhantomData<fn() -> S>,
}

impl<S: Stream> Detached<S> {
    /// Takes a connection out of its runtime.
    pub(super) async fn of(socket: Socket) -> io::Result<Self> {
        let (socket, received, error) = socket.detach().await?;
        Ok(Self {
            socket,
            received,
            error,
            streams: PhantomData,
        })
    }

    /// Makes it a stream of the runtime that this thread is inside of.
    ///
    /// # Errors
    ///
    /// Outside a runtime. The connection is closed then.
    pub fn attach(self) -> io::Result<S> {
        let socket = Socket::attach(self.socket, S::FAMILY)?;
        socket.unread(self.received, self.error);
        Ok(S::from_socket(socket))
    }
}

impl<S> Detached<S> {
    /// Returns the bytes that were received and not taken. The stream reads them first.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        &self.received
    }
}

impl Detached<TcpStream> {
    /// Returns a blocking stream of std's, and the bytes that come before those it will read.
    ///
    /// An error that was received after those bytes is lost, as the socket told it already: the
    /// stream then reads the end. [`attach`](Self::attach) keeps it.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made to block.
    pub fn into_std(self) -> io::Result<(net::TcpStream, Vec<u8>)> {
        let stream = net::TcpStream::from(self.socket);
        stream.set_nonblocking(false)?;
        Ok((stream, self.received))
    }
}

impl Detached<UnixStream> {
    /// Returns a blocking stream of std's, and the bytes that come before those it will read.
    ///
    /// An error that was received after those bytes is lost, as that of a TCP connection.
    ///
    /// # Errors
    ///
    /// When the socket cannot be made to block.
    pub fn into_std(self) -> io::Result<(unix::UnixStream, Vec<u8>)> {
        let stream = unix::UnixStream::from(self.socket);
        stream.set_nonblocking(false)?;
        Ok((stream, self.received))
    }
}

impl<S> AsRawFd for Detached<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl<S> fmt::Debug for Detached<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Detached")
            .field("fd", &self.as_raw_fd())
            .field("received", &self.received.len())
            .field("error", &self.error)
            .finish()
    }
}
