//! [`InsideTokio`]: a runtime of annulus's that tokio's loop drives, on the same thread.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io,
    os::fd::{AsFd as _, OwnedFd},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Instant,
};

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Sleep,
};

use crate::{budget, runtime::Runtime, unwind};

/// An annulus runtime inside of a tokio runtime, on one thread. Tokio's loop waits for annulus's
/// events, and lets annulus work when there are some.
///
/// So a program whose `main` belongs to tokio uses annulus's sockets and files beside tokio's:
/// [`run`](Self::run) awaits a future of annulus's. Annulus's tasks and operations make progress
/// while a future of `run` is being awaited or waits in a task of tokio's. A program that wants
/// them to go on in the background runs `inside.run(std::future::pending::<()>())` beside the rest,
/// in a `LocalSet` or by `tokio::select!`.
///
/// It stays on its thread, as annulus's runtimes do: the future that `block_on` or `#[tokio::main]`
/// polls may hold it, with each flavor of tokio's runtime, and so may tasks of a `LocalSet`. A task
/// of `tokio::spawn` may not.
///
/// An event costs one turn of tokio's loop more than in [`annulus::run`](crate::run). A service that
/// lives of its sockets runs on annulus, with tokio beside it
/// ([`in_tokio`](super::in_tokio)); this is for a program that is tokio's.
///
/// # Shutdown
///
/// Dropping it ends the runtime, as [`Runtime`] tells, and blocks the thread meanwhile.
///
/// It may outlive the runtime of tokio's in which it was made, and nothing drives it from then on.
/// A task that is spawned by [`runtime`](Self::runtime) and [`enter`](Runtime::enter) is kept, but
/// not polled until [`block_on`](Runtime::block_on) or [`turn`](Runtime::turn) is called there,
/// which work as ever. A future of [`run`](Self::run) is no use then, in whatever executor: one
/// that finds everything ready returns, one that waits for an operation is never woken, and one
/// that waits for a timer panics with tokio's sentence.
///
/// Feature: `tokio-context`.
///
/// # Examples
///
/// `#[tokio::main(flavor = "current_thread")]` does what the first lines do:
///
/// ```
/// use annulus::{compat::InsideTokio, net::TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// runtime.block_on(async {
///     // A server of tokio's ..
///     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
///     let addr = listener.local_addr()?;
///     tokio::spawn(async move {
///         let (stream, _peer) = listener.accept().await?;
///         stream.writable().await?;
///         stream.try_write(b"hello")
///     });
///     // .. and a client of annulus's, on the same thread.
///     let inside = InsideTokio::new()?;
///     let bytes = inside.run(async { TcpStream::connect(addr).await?.recv().await }).await?;
///     assert_eq!(&*bytes, b"hello");
///     Ok(())
/// })
/// # }
/// ```
pub struct InsideTokio {
    /// A copy of the runtime's descriptor, of which it may be closed in any order.
    events: AsyncFd<OwnedFd>,
    /// The next timer of the runtime.
    alarm: RefCell<Pin<Box<Sleep>>>,
    waiting: Arc<Waiting>,
    runtime: Runtime,
}

/// Those who wait for the runtime's next event, which all are told of: each takes the turn that is
/// due, and the others find nothing to do.
#[derive(Default)]
struct Waiting(Mutex<Slab<Option<Waker>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Slab<Option<Waker>>> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        let woken: Vec<Waker> = self
            .lock()
            .iter_mut()
            .filter_map(|(_, waker)| waker.take())
            .collect();
        for waker in woken {
            // Its panic does not concern the caller, which is tokio's reactor or another run.
            unwind::swallow(|| waker.wake());
        }
    }
}

impl InsideTokio {
    /// Makes the default runtime of annulus's inside of the runtime of tokio's that this code runs
    /// in.
    ///
    /// # Errors
    ///
    /// Outside of a runtime of tokio's, and as [`Runtime::new`].
    ///
    /// # Panics
    ///
    /// When tokio's runtime has no sockets or no timers, with tokio's sentence: its builder wants
    /// `enable_all`.
    ///
    /// Feature: `tokio-context`.
    pub fn new() -> io::Result<Self> {
        Self::with(Runtime::new()?)
    }

    /// Puts `runtime` inside of the runtime of tokio's that this code runs in.
    ///
    /// # Errors
    ///
    /// Outside of a runtime of tokio's, and when the process is out of descriptors.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    ///
    /// Feature: `tokio-context`.
    pub fn with(runtime: Runtime) -> io::Result<Self> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "there is no runtime of tokio's on this thread; call this inside of `#[tokio::main]` \
                 or `block_on`",
            ));
        }
        let events = runtime.as_fd().try_clone_to_owned()?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, for types that close what they own"
        )]
        let events = AsyncFd::with_interest(events, Interest::READABLE)?;
        Ok(Self {
            events,
            alarm: RefCell::new(Box::pin(tokio::time::sleep_until(Instant::now().into()))),
            waiting: Arc::default(),
            runtime,
        })
    }

    /// Returns a future that polls `future` inside of annulus's runtime, and drives that runtime
    /// while it waits.
    ///
    /// A call that makes something of annulus's stands inside, as in
    /// `run(async { sleep(second).await })`. Several may be awaited at a time.
    ///
    /// # Panics
    ///
    /// As `future` does. A panic of a task or a waker of annulus's is met as
    /// [`Runtime::turn`] tells.
    ///
    /// # Cancel safety
    ///
    /// That of `future`, which is dropped inside of the runtime.
    ///
    /// Feature: `tokio-context`.
    pub fn run<F: Future>(&self, future: F) -> RunInside<'_, F> {
        RunInside {
            place: self.waiting.lock().insert(None),
            inside: self,
            future: Some(future),
        }
    }

    /// Returns the runtime, for its [`stats`](Runtime::stats) and to [`enter`](Runtime::enter) it.
    ///
    /// Feature: `tokio-context`.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Takes a turn, and sees to it that the waiting are woken when the next one is due.
    fn turn(&self) {
        let waker = Waker::from(Arc::clone(&self.waiting));
        let context = &mut Context::from_waker(&waker);
        // A later event makes the descriptor ready again. There are none when tokio shuts down.
        while let Poll::Ready(Ok(mut guard)) = self.events.poll_read_ready(context) {
            guard.clear_ready();
        }
        let Some(latest) = self.runtime.turn() else {
            return;
        };
        if latest <= Instant::now() {
            waker.wake();
            return;
        }
        let mut alarm = self.alarm.borrow_mut();
        alarm.as_mut().reset(latest.into());
        if alarm.as_mut().poll(context).is_ready() {
            waker.wake();
        }
    }
}

impl fmt::Debug for InsideTokio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InsideTokio")
            .field("runtime", &self.runtime)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A future that is polled inside of annulus's runtime and drives it. Made by
    /// [`InsideTokio::run`].
    ///
    /// Feature: `tokio-context`.
    #[must_use = "futures do nothing unless they are polled"]
    pub struct RunInside<'a, F> {
        inside: &'a InsideTokio,
        // The place of its waker among the waiting.
        place: usize,
        // None when it has been dropped.
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for RunInside<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let waker = this.inside.waiting.lock().remove(*this.place);
            drop(waker);
            let runtime = &this.inside.runtime;
            if runtime.can_be_entered() {
                runtime.enter(|| this.future.set(None));
            }
        }
    }
}

impl<F: Future> Future for RunInside<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let inside = *this.inside;
        let waker = Some(context.waker().clone());
        let before = std::mem::replace(&mut inside.waiting.lock()[*this.place], waker);
        drop(before);
        inside.turn();
        let future = this.future.as_pin_mut();
        let future = future.expect("it is there until it is dropped");
        let (polled, is_turn_due) = inside.runtime.enter_for(|| {
            budget::refill();
            future.poll(context)
        });
        match (&polled, is_turn_due) {
            (_, false) => {}
            (Poll::Pending, true) => inside.turn(),
            // The others that wait, if there are any, take it.
            (Poll::Ready(_), true) => inside.runtime.ask_for_turn(),
        }
        polled
    }
}

impl<F> fmt::Debug for RunInside<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunInside").finish_non_exhaustive()
    }
}
