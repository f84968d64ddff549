//! Signals of the process, such as ctrl-c, for any number of tasks and threads at once.
//!
//! ```no_run
//! # fn main() -> std::io::Result<()> {
//! annulus::run(async {
//!     annulus::signal::ctrl_c().await?;
//!     println!("the user wants us to stop");
//!     Ok(())
//! })
//! # }
//! ```
//!
//! # What it changes for the process
//!
//! From the first listener of a kind on, the kind's default action is gone, also when all listeners
//! are: a process that has listened for `SIGINT` is not ended by it any more. A handler that was
//! there before is called as before.
//!
//! A child that fork(2) makes inherits that, and none of the listeners: a signal of the child's is
//! not told to the parent, and is heard in the child by listeners that it makes.

// # How a signal gets here
//
// A handler writes to an eventfd of each listener, and the listener's runtime waits for that as for
// any descriptor. A signalfd would save the handler, and is not used: it gives a signal to one of
// its readers only, while every worker of a server wants to hear of the same one, and it needs the
// signal blocked in every thread, also in those that other code started before.

mod signal_kind;

use std::{
    fmt,
    future::{Future, poll_fn},
    io, mem,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

pub use signal_kind::SignalKind;

use crate::{
    driver,
    op::{AnyFd, Descriptor, Readiness},
    sys::{PollEvents, SignalWatch, WakeFd},
};

/// Resolves at the next `SIGINT`, which is what ctrl-c on a terminal sends.
///
/// It listens from the call on, not only from the first poll.
///
/// # Errors
///
/// When the process is out of descriptors, or outside a runtime.
///
/// # Cancel safety
///
/// Dropping the future gives up listening. A signal that came and was not yet returned is lost.
///
/// # Examples
///
/// ```no_run
/// use annulus::{future::{Either, race}, signal, time};
/// use std::time::Duration;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let mut stop = std::pin::pin!(signal::ctrl_c());
///     let mut ticks = time::interval(Duration::from_secs(1));
///     loop {
///         match race(stop.as_mut(), ticks.tick()).await {
///             Either::Left(stopped) => return stopped,
///             Either::Right(_) => println!("working"),
///         }
///     }
/// })
/// # }
/// ```
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> {
    next(SignalKind::interrupt())
}

/// Resolves at the next `SIGTERM`, which service managers send to end a process.
///
/// It listens from the call on, not only from the first poll.
///
/// # Errors
///
/// As [`ctrl_c`].
///
/// # Cancel safety
///
/// As [`ctrl_c`].
///
/// # Examples
///
/// ```no_run
/// use annulus::{future::{Either, race}, net::TcpListener, signal, spawn};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:7000").await?;
///     let mut stop = std::pin::pin!(signal::terminate());
///     loop {
///         match race(stop.as_mut(), listener.accept()).await {
///             Either::Left(stopped) => return stopped,
///             Either::Right(accepted) => {
///                 let (stream, _peer) = accepted?;
///                 spawn(async move { stream.write_all("hello\n").await });
///             }
///         }
///     }
/// })
/// # }
/// ```
pub fn terminate() -> impl Future<Output = io::Result<()>> {
    next(SignalKind::terminate())
}

/// Listens for the signals of one kind.
///
/// # Errors
///
/// `EINVAL` for a kind that no process can handle, such as `SIGKILL`. `EMFILE` and `ENFILE` when
/// the process or the system is out of descriptors.
pub fn stream(kind: SignalKind) -> io::Result<Signal> {
    let wake = Arc::new(WakeFd::new()?);
    let watch = SignalWatch::new(kind.as_raw(), Arc::clone(&wake))?;
    Ok(Signal {
        kind,
        _watch: watch,
        wake,
        fd: None,
        wait: None,
    })
}

fn next(kind: SignalKind) -> NextSignal {
    NextSignal(stream(kind))
}

/// The next signal of a kind. It can be polled again after that, and hears every one that comes
/// meanwhile: a server that one has told to stop waits for another.
#[derive(Debug)]
pub(crate) struct NextSignal(io::Result<Signal>);

impl Future for NextSignal {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            Ok(signal) => signal.poll_recv(context),
            Err(error) => Poll::Ready(Err(mem::replace(error, io::ErrorKind::Other.into()))),
        }
    }
}

/// A stream of the signals of one kind. Made by [`stream`].
///
/// It hears those that come from its making on. Several that come between two calls count as one,
/// as the kernel itself may do. Dropping it gives up listening.
///
/// # Examples
///
/// ```no_run
/// use annulus::signal::{self, SignalKind};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let mut reloads = signal::stream(SignalKind::hangup())?;
///     loop {
///         reloads.recv().await?;
///         println!("reading the configuration again");
///     }
/// })
/// # }
/// ```
pub struct Signal {
    kind: SignalKind,
    /// Writes to `wake` until it is dropped.
    _watch: SignalWatch,
    wake: Arc<WakeFd>,
    /// The same eventfd, as this runtime waits for it. Made at the first poll, which is in one.
    fd: Option<AnyFd>,
    wait: Option<Readiness>,
}

impl Signal {
    /// Waits for the next signal.
    ///
    /// # Errors
    ///
    /// Outside a runtime, in another than the first time, or when the process is out of
    /// descriptors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a signal that comes after the future is dropped is there at the next call.
    pub async fn recv(&mut self) -> io::Result<()> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fd = match &self.fd {
            Some(fd) => Rc::clone(fd),
            None => {
                let (fd, driver) = (self.wake.duplicate()?, driver::current()?);
                let fd = Descriptor::new(fd, driver, ()) as AnyFd;
                Rc::clone(self.fd.insert(fd))
            }
        };
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(Pin::new(wait).poll(context))?;
                self.wait = None;
            }
            fd.driver().check_current()?;
            let signalled = self.wake.take();
            fd.driver().not_ready(fd.source(), PollEvents::READ, true);
            if signalled {
                return Poll::Ready(Ok(()));
            }
            self.wait = Some(Readiness::new(Rc::clone(&fd), PollEvents::READ));
        }
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_recv(context).map(Some)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
