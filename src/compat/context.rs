//! Libraries that need a runtime of tokio's: its context around futures that annulus polls, and
//! futures that run on its threads.

mod in_tokio;
mod inside_tokio;
mod on_tokio;
mod run_with_tokio;
mod threads;
mod tokio;

use std::future::Future;

pub use self::{
    in_tokio::InTokio,
    inside_tokio::{InsideTokio, RunInside},
    on_tokio::OnTokio,
    run_with_tokio::run_with_tokio,
    tokio::Tokio,
};

/// Polls `future` on this thread, inside the context of a runtime of tokio's.
///
/// A library that is written for tokio alone, such as `reqwest`, `sqlx` or `mongodb`, runs in it
/// unmodified. Without it such a library panics at its first use, with tokio's sentence "there is
/// no reactor running, must be called from the context of a Tokio 1.x runtime".
///
/// The future stays here: it need not be `Send`, may borrow, and may use annulus's sockets and
/// timers as well as tokio's. Events of tokio's sockets and timers come from the thread of
/// [`Tokio::shared`], which starts when it is first needed, and `tokio::spawn` puts tasks there.
/// The context is there while the future is polled and while it is dropped. So a call that makes
/// something of tokio's stands inside: `in_tokio(async { tokio::time::sleep(second).await })`. A
/// task that the future starts by [`annulus::spawn`](crate::spawn) is another future, which needs
/// an `in_tokio` of its own; [`Tokio::enter`] gives the context to a whole thread.
///
/// # Which of the two
///
/// | | `in_tokio` | [`on_tokio`] |
/// |---|---|---|
/// | polls the future | annulus, on this thread | tokio, on its thread |
/// | the future is | any | `Send + 'static` |
/// | may use annulus inside | yes | no |
/// | one more wake between threads | for each event that the future waits for | for the whole call |
///
/// So `in_tokio` suits the root of a task, whatever it does, and `on_tokio` a call with many steps.
/// A program that lives of such a library has both runtimes on one thread by
/// [`run_with_tokio`]: no wake crosses between threads then.
/// Libraries that keep their connections in tasks of their own, as most do, are on tokio's thread
/// with those either way.
///
/// # What does not work inside
///
/// - `tokio::task::spawn_local` panics with "`spawn_local` called from outside of a
///   `task::LocalSet`": use [`annulus::spawn`](crate::spawn), or a `LocalSet` inside of the future.
/// - `Handle::block_on` and `task::block_in_place` block this thread, and with it every task of the
///   runtime. Use [`blocking::run`](crate::blocking::run).
/// - tokio's cooperative budget is not there. Annulus's own limits its own operations alone: a
///   future that finds tokio's sockets always ready keeps its thread.
/// - A stopped clock ([`time::pause`](crate::time::pause)) does not stop tokio's timers.
///
/// # Panics
///
/// When tokio cannot be started, with a sentence; [`Tokio::shared`] returns that as an error.
///
/// # Cancel safety
///
/// That of `future`. It is dropped inside of the context.
///
/// Feature: `tokio-context`.
///
/// # Examples
///
/// ```
/// use annulus::compat::in_tokio;
/// use tokio::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(in_tokio(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let near = TcpStream::connect(listener.local_addr()?).await?;
///     let (far, peer) = listener.accept().await?;
///     assert_eq!(peer, near.local_addr()?);
///     drop(far);
///     // Both runtimes' things, in one future.
///     annulus::time::sleep(std::time::Duration::from_millis(1)).await;
///     near.readable().await
/// }))
/// # }
/// ```
pub fn in_tokio<F: Future>(future: F) -> InTokio<F> {
    shared().context(future)
}

/// Runs `future` on a thread of tokio's. Only its output comes back.
///
/// This is the cheapest way for a call that waits many times: one wake crosses between the threads.
/// [`in_tokio`] compares the two and tells what their contexts are. It begins at once, also before
/// it is awaited.
///
/// Inside, there is no runtime of annulus. Most of its futures are not `Send`, so that a future
/// that awaits one does not compile. Calls that return at once, such as `UnixStream::pair`, give
/// an error, "there is no annulus runtime on this thread", and [`spawn`](crate::spawn) panics.
///
/// # Panics
///
/// When tokio cannot be started, with a sentence. A panic of `future` goes on in the task that
/// awaits the output, as for [`blocking::run`](crate::blocking::run).
///
/// # Cancel safety
///
/// Dropping the [`OnTokio`] cancels the future; [`OnTokio::detach`] lets it go on.
///
/// Feature: `tokio-context`.
///
/// # Examples
///
/// ```
/// use annulus::compat::on_tokio;
/// use std::time::Duration;
///
/// annulus::run(async {
///     let slow = on_tokio(async {
///         tokio::time::sleep(Duration::from_millis(1)).await;
///         "ready"
///     });
///     assert_eq!(slow.await, "ready");
/// });
/// ```
pub fn on_tokio<F>(future: F) -> OnTokio<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    shared().spawn(future)
}

fn shared() -> Tokio {
    Tokio::shared().unwrap_or_else(|error| panic!("tokio cannot start: {error}"))
}
