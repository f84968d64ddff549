//! [`scope`]: tasks that end with the code that began them.

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    panic::{Location, resume_unwind},
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::{AbortHandle, JoinError, JoinHandle, JoinSet, raw::Unnamed, spawn_as};
use crate::wait_note::{self, WaitNote};

/// Runs `body` with a [`Scope`], in which it spawns tasks, and returns when all of them have ended.
///
/// The first error, of `body` or of a task, *cancels* the scope: `body` is dropped, all tasks are
/// aborted, and when the last one has ended the error is returned. A panic of a task does the same
/// and goes on in the caller; that of `body` goes on at once, and aborts the tasks. Without an
/// error this waits for the tasks after `body`, and returns its output. So when this returns, no
/// task is left that still uses what they share.
///
/// A task that is aborted by its handle is no error.
///
/// # Errors
///
/// The first error of `body` or of a task.
///
/// # Panics
///
/// With the panic of the first task that panicked.
///
/// # Cancel safety
///
/// Dropping the future drops `body` and aborts the tasks. Their futures are dropped at their next
/// turns, since a drop cannot wait for that.
///
/// # Examples
///
/// ```
/// use annulus::{io::Reader, net::UnixStream, task};
/// use std::{cell::Cell, io, rc::Rc};
///
/// annulus::run(async {
///     let total = Rc::new(Cell::new(0));
///     task::scope(async |scope| {
///         for text in ["1\n", "2\n", "3\n"] {
///             let (near, far) = UnixStream::pair()?;
///             let total = Rc::clone(&total);
///             scope.spawn(async move {
///                 let number = Reader::new(&near).read_line(16).await?.unwrap_or_default();
///                 total.set(total.get() + number.parse::<u32>().map_err(io::Error::other)?);
///                 Ok(())
///             });
///             far.write_all(text).await?;
///         }
///         io::Result::Ok(())
///     })
///     .await?;
///     assert_eq!(total.get(), 6);
///     io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub async fn scope<T, E: 'static>(
    body: impl AsyncFnOnce(Scope<E>) -> Result<T, E>,
) -> Result<T, E> {
    let scope = Scope::new();
    // It aborts the tasks when this future is dropped or `body` panics.
    let _ends = Ends(scope.clone());
    let result = {
        let mut body = pin!(body(scope.clone()));
        poll_fn(|context| scope.poll_body(body.as_mut(), context)).await
    };
    let result = match result {
        Ok(output) => match poll_fn(|context| scope.poll_end(context)).await {
            Ok(()) => return Ok(output),
            Err(failure) => failure,
        },
        Err(failure) => failure,
    };
    scope.close();
    // Errors of tasks that end meanwhile come second, and are dropped.
    while poll_fn(|context| scope.poll_end(context)).await.is_err() {}
    match result {
        Failure::Error(error) => Err(error),
        Failure::Panic(error) => resume_unwind(error.into_panic()),
    }
}

/// Spawns tasks that end before [`scope`] returns. A clone is the same scope, for tasks that spawn
/// others.
pub struct Scope<E> {
    shared: Rc<RefCell<Shared<E>>>,
}

struct Shared<E> {
    tasks: JoinSet<Result<(), E>>,
    /// The task that runs the scope, while there are no tasks whose end could wake it.
    idle: Option<Waker>,
    /// The scope was cancelled or has ended, and takes no tasks any more.
    is_closed: bool,
}

/// The reason why a scope was cancelled.
enum Failure<E> {
    Error(E),
    /// It is a panic's.
    Panic(JoinError),
}

impl<E: 'static> Scope<E> {
    fn new() -> Self {
        let shared = Shared {
            tasks: JoinSet::new(),
            idle: None,
            is_closed: false,
        };
        Self {
            shared: Rc::new(RefCell::new(shared)),
        }
    }

    /// Spawns a task into the scope, on this thread's runtime.
    ///
    /// The task is aborted at once if the scope was cancelled or has ended. Its future is dropped
    /// at the task's next turn then, for which the scope does not wait.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as [`spawn`](super::spawn).
    #[track_caller]
    pub fn spawn(&self, future: impl Future<Output = Result<(), E>> + 'static) -> AbortHandle {
        let task: JoinHandle<_> = spawn_as(future, Unnamed, Location::caller());
        let (handle, idle) = {
            let mut shared = self.shared.borrow_mut();
            if shared.is_closed {
                task.abort();
                return task.abort_handle();
            }
            (shared.tasks.insert(task), shared.idle.take())
        };
        // It is registered with the task's end when it polls.
        if let Some(idle) = idle {
            idle.wake();
        }
        handle
    }

    /// Aborts the tasks that are in the scope now. `body` goes on, and may spawn others.
    ///
    /// This is no error: to end the scope, return one from `body`.
    pub fn abort_all(&self) {
        self.shared.borrow_mut().tasks.abort_all();
    }

    /// Returns the number of tasks in the scope that have not ended, or whose end was not noticed
    /// yet.
    pub fn len(&self) -> usize {
        self.shared.borrow().tasks.len()
    }

    /// Whether no task is in the scope.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Polls `body` and the tasks until `body` is ready or one of them fails.
    fn poll_body<T>(
        &self,
        body: Pin<&mut impl Future<Output = Result<T, E>>>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, Failure<E>>> {
        if let Poll::Ready(result) = body.poll(context) {
            return Poll::Ready(result.map_err(Failure::Error));
        }
        // It tells more than that there are tasks.
        let waits_for = wait_note::last();
        match self.poll_tasks(context) {
            Poll::Pending => {
                wait_note::leave(waits_for);
                Poll::Pending
            }
            Poll::Ready(Err(failure)) => Poll::Ready(Err(failure)),
            Poll::Ready(Ok(())) => {
                // Another task may have a clone of the scope, and spawn while `body` waits.
                let before = self
                    .shared
                    .borrow_mut()
                    .idle
                    .replace(context.waker().clone());
                drop(before);
                Poll::Pending
            }
        }
    }

    /// As [`poll_tasks`](Self::poll_tasks), when `body` has ended.
    fn poll_end(&self, context: &mut Context<'_>) -> Poll<Result<(), Failure<E>>> {
        let polled = self.poll_tasks(context);
        if polled.is_pending() {
            wait_note::leave(WaitNote::Scope);
        }
        polled
    }

    /// Polls the tasks until one fails or all have ended.
    fn poll_tasks(&self, context: &mut Context<'_>) -> Poll<Result<(), Failure<E>>> {
        loop {
            // The waker is a runtime's or that of a `select!`, and these spawn nothing.
            let joined = self.shared.borrow_mut().tasks.poll_join_next(context);
            match joined {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Ok(Ok(())))) => {}
                Poll::Ready(Some(Ok(Err(error)))) => {
                    return Poll::Ready(Err(Failure::Error(error)));
                }
                Poll::Ready(Some(Err(error))) if error.is_panic() => {
                    return Poll::Ready(Err(Failure::Panic(error)));
                }
                // It was aborted by its handle or with the others.
                Poll::Ready(Some(Err(_))) => {}
            }
        }
    }

    /// Aborts all tasks and takes no others any more.
    fn close(&self) {
        let mut shared = self.shared.borrow_mut();
        shared.is_closed = true;
        shared.tasks.abort_all();
    }
}

impl<E> Clone for Scope<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Rc::clone(&self.shared),
        }
    }
}

impl<E> fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("len", &self.shared.borrow().tasks.len())
            .finish_non_exhaustive()
    }
}

/// Ends a scope when it is dropped.
struct Ends<E: 'static>(Scope<E>);

impl<E: 'static> Drop for Ends<E> {
    fn drop(&mut self) {
        let tasks = {
            let mut shared = self.0.shared.borrow_mut();
            shared.is_closed = true;
            std::mem::take(&mut shared.tasks)
        };
        // It aborts them. The drop of an output is the user's code.
        drop(tasks);
    }
}
