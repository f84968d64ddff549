//! [`run_with_tokio`]: both runtimes on one thread.

use std::future::Future;

use tokio::runtime::Builder;

use super::InsideTokio;

/// Runs `future` to its end, as [`annulus::run`](crate::run) does, with a runtime of tokio's on the
/// same thread, and returns its output.
///
/// Libraries that are written for tokio alone run in it unmodified, at tokio's own speed: its loop
/// waits for their sockets and for annulus's together ([`InsideTokio`]), so that no event crosses
/// between threads. `tokio::spawn` puts tasks on this thread, too.
///
/// # Which of the two
///
/// The other way is [`in_tokio`](super::in_tokio) inside of [`annulus::run`](crate::run), where
/// tokio has a thread of its own. For one round trip after the other through an unmodified library
/// that takes about half as long again, and for sixteen at a time up to twice as long. Here
/// annulus's own sockets take about an eighth longer than without tokio. So this is for a program
/// that lives of such a library, and `in_tokio` for one that uses it now and then, and for the
/// workers of a server. The page [ecosystem](crate::docs::ecosystem) has the figures.
///
/// `task::block_in_place` panics here, with tokio's sentence, since tokio has no other thread to
/// move its tasks to. A task of tokio's that computes keeps annulus's tasks waiting.
///
/// # Panics
///
/// When one of the two runtimes cannot start, with a sentence; inside another runtime of either
/// kind; and when `future` panics.
///
/// # Shutdown
///
/// At the end of `future` annulus's runtime ends as that of `run` does. After it, tokio's tasks are
/// dropped at their `await`, and calls of `tokio::task::spawn_blocking` are waited for.
///
/// Feature: `tokio-context`.
///
/// # Examples
///
/// ```
/// use annulus::{compat::run_with_tokio, net::TcpListener};
///
/// # fn main() -> std::io::Result<()> {
/// run_with_tokio(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     let client = tokio::spawn(async move {
///         let stream = tokio::net::TcpStream::connect(addr).await?;
///         stream.writable().await?;
///         stream.try_write(b"hello")
///     });
///     let (stream, _peer) = listener.accept().await?;
///     assert_eq!(&*stream.recv().await?, b"hello");
///     assert_eq!(client.await??, 5);
///     Ok(())
/// })
/// # }
/// ```
pub fn run_with_tokio<F: Future>(future: F) -> F::Output {
    let tokio = Builder::new_current_thread().enable_all().build();
    let tokio = tokio.unwrap_or_else(|error| panic!("tokio cannot start: {error}"));
    tokio.block_on(async {
        let inside = InsideTokio::new();
        let inside = inside.unwrap_or_else(|error| panic!("annulus cannot start: {error}"));
        inside.run(future).await
    })
}
