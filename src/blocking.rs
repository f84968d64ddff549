//! Helper threads, for calls that block: password hashing, name look-up, a library without an
//! asynchronous interface.
//!
//! The threads are shared by all runtimes of the process. They start when needed, at most four
//! times as many as the process has cores (and at least eight), and end when idle for ten seconds.
//! Jobs beyond that wait in a queue.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use crate::unwind;

const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// Runs `call` on a helper thread.
///
/// # Panics
///
/// When `call` panics, awaiting its result panics in the same way.
///
/// # Cancel safety
///
/// Dropping the future does not stop a call that has begun, nothing could; its result is dropped.
/// One that has not begun never does.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let text = annulus::blocking::run(|| std::fs::read_to_string("Cargo.toml")).await?;
///     assert!(text.contains("annulus"));
///     Ok(())
/// })
/// # }
/// ```
pub fn run<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Blocking<T> {
    let shared = Arc::new(Mutex::new(State::Waiting(None)));
    let result = Arc::downgrade(&shared);
    submit(Box::new(move || {
        // Nobody waits any more: the call need not begin.
        let Some(shared) = result.upgrade() else {
            return;
        };
        let output = catch_unwind(AssertUnwindSafe(call));
        let before = std::mem::replace(&mut *lock(&shared), State::Done(output));
        if let State::Waiting(Some(waker)) = before {
            unwind::swallow(|| waker.wake());
        }
        // The output, if nobody waits for it any more.
        unwind::swallow(|| drop(shared));
    }));
    Blocking { shared }
}

/// The result of a call on a helper thread. Made by [`run`].
#[must_use = "without waiting for it the call may never begin"]
pub struct Blocking<T> {
    shared: Arc<Mutex<State<T>>>,
}

enum State<T> {
    Waiting(Option<Waker>),
    Done(Result<T, Box<dyn Any + Send>>),
    Taken,
}

impl<T> Future for Blocking<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let waker = context.waker().clone();
        let mut state = lock(&self.shared);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Waiting(old) => {
                *state = State::Waiting(Some(waker));
                drop(state);
                drop(old);
                Poll::Pending
            }
            State::Done(output) => {
                drop(state);
                Poll::Ready(output.unwrap_or_else(|panic| resume_unwind(panic)))
            }
            State::Taken => panic!("a future is not polled after it is ready"),
        }
    }
}

impl<T> fmt::Debug for Blocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

struct Threads {
    queue: Mutex<Queue>,
    work: Condvar,
    count_max: usize,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// Runs `job` on a helper thread, sooner or later.
pub(crate) fn submit(job: Job) {
    static THREADS: OnceLock<Threads> = OnceLock::new();
    let threads = THREADS.get_or_init(|| Threads {
        queue: Mutex::default(),
        work: Condvar::new(),
        count_max: thread::available_parallelism().map_or(8, |cores| (cores.get() * 4).max(8)),
    });
    let mut queue = lock(&threads.queue);
    queue.jobs.push_back(job);
    if queue.idle >= queue.jobs.len() {
        threads.work.notify_one();
    } else if queue.threads < threads.count_max {
        queue.threads += 1;
        drop(queue);
        let builder = thread::Builder::new().name("annulus-blocking".to_owned());
        if builder.spawn(|| threads.serve()).is_err() {
            // No thread can be had. The job waits for one that is there, and if none is, it is run
            // here: late is better than never.
            let mut queue = lock(&threads.queue);
            queue.threads -= 1;
            if queue.threads == 0 {
                let job = queue.jobs.pop_front();
                drop(queue);
                if let Some(job) = job {
                    unwind::swallow(job);
                }
            }
        }
    }
}

impl Threads {
    fn serve(&self) {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                drop(queue);
                // A job tells its own panic; this thread goes on, whatever the panic's payload does.
                unwind::swallow(job);
                queue = lock(&self.queue);
                continue;
            }
            queue.idle += 1;
            let (woken, timeout) = self
                .work
                .wait_timeout(queue, IDLE_TIMEOUT)
                .unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if timeout.timed_out() && queue.jobs.is_empty() {
                queue.threads -= 1;
                return;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it holds one of these locks; what is inside is whole either way.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
