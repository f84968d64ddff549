//! The runtimes of this process, and the questions that other threads ask them.
//!
//! Each runtime has a seat here from its making to its end. A question is a closure that its thread
//! calls between two polls: a task that is polled when a question comes, and at no other time,
//! takes it. So a runtime that is not asked does nothing for it, and one whose tasks all wait
//! answers like any other. One whose thread is stuck does not, and the asker has its patience.

use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crate::{
    driver::watched,
    mailbox::Mailbox,
    sys::{self, PerProcess, Process},
    task::Tasks,
    unwind::{self, lock},
};

/// A question that was not answered yet.
struct Question {
    answer: Box<dyn FnOnce() + Send>,
    /// It is kept by the asker, for as long as that waits.
    asker: Weak<()>,
}

/// The place of a runtime.
pub(crate) struct Seat {
    /// The runtime's number, which no other of the process has.
    number: usize,
    thread: String,
    system_thread: sys::Thread,
    /// How often the thread has gone in and not come out.
    depth: AtomicUsize,
    questions: Mailbox<Vec<Question>>,
}

static SEATS: PerProcess<Mutex<Vec<Arc<Seat>>>> = PerProcess::new(Mutex::new(Vec::new()));

/// The reason why a runtime has not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Silence {
    /// Its thread is outside of the runtime: before, after or between two calls of `block_on`.
    Outside,
    /// Its thread is inside and does not go on: it computes, or waits in a call that blocks.
    Stuck {
        /// The system call that the thread is in, where the kernel tells.
        system_call: Option<String>,
    },
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside => f.write_str("is outside of its runtime"),
            Self::Stuck { system_call: None } => f.write_str("does not answer"),
            Self::Stuck {
                system_call: Some(call),
            } => write!(f, "does not answer: it is in {call}"),
        }
    }
}

impl Seat {
    /// The name of the thread, or its number if it has no name.
    pub(crate) fn thread(&self) -> &str {
        &self.thread
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Why it has not answered.
    pub(crate) fn silence(&self) -> Silence {
        if self.depth.load(Ordering::Relaxed) == 0 {
            Silence::Outside
        } else {
            Silence::Stuck {
                system_call: self.system_thread.system_call(),
            }
        }
    }

    fn answer_questions(&self) {
        let questions = self.questions.take(mem::take).unwrap_or_default();
        for question in questions {
            unwind::swallow(question.answer);
        }
    }

    /// Puts a question in. Those that were given up are dropped, since a thread that is stuck for
    /// long would have more and more of them.
    fn ask(&self, question: Question) {
        let mut given_up = Vec::new();
        self.questions.put(|questions| {
            let all = mem::take(questions).into_iter();
            (*questions, given_up) = all.partition(|question| question.asker.strong_count() > 0);
            questions.push(question);
        });
        // Without the lock, as their replies wake the tasks that asked.
        drop(given_up);
    }
}

/// A runtime's hold of its seat.
pub(super) struct Seated {
    seat: Arc<Seat>,
    process: Process,
}

/// The thread is inside of the runtime until this is dropped.
pub(super) struct Visit<'a>(&'a AtomicUsize);

impl Seated {
    /// Takes a seat for the runtime of these tasks, which are the calling thread's. One that is not
    /// listed is asked nothing.
    pub(super) fn new(tasks: &Tasks, is_listed: bool) -> Self {
        let system_thread = watched::current_thread();
        let thread = thread::current()
            .name()
            .map_or_else(|| system_thread.id().to_string(), str::to_owned);
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let seat = Arc::new(Seat {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            thread,
            system_thread,
            depth: AtomicUsize::new(0),
            questions: Mailbox::default(),
        });
        if is_listed {
            Self::list(&seat, tasks);
        }
        Self {
            seat,
            process: Process::current(),
        }
    }

    fn list(seat: &Arc<Seat>, tasks: &Tasks) {
        let own = Arc::clone(seat);
        let waker = tasks.add_idle(poll_fn(move |_| {
            own.answer_questions();
            Poll::Pending
        }));
        drop(seat.questions.set_owner(Some(waker)));
        lock(SEATS.of_this_process()).push(Arc::clone(seat));
    }

    pub(super) fn enter(&self) -> Visit<'_> {
        self.seat.depth.fetch_add(1, Ordering::Relaxed);
        Visit(&self.seat.depth)
    }

    /// Leaves the seat. Questions that wait are dropped.
    pub(super) fn leave(&self) {
        // A child's copy of a lock may be taken for ever.
        if !self.process.is_current() {
            return;
        }
        lock(SEATS.of_this_process()).retain(|seat| !Arc::ptr_eq(seat, &self.seat));
        drop(self.seat.questions.set_owner(None));
        drop(self.seat.questions.take(mem::take));
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.leave();
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answers so far.
struct Answers<T> {
    answers: Vec<Option<T>>,
    missing: usize,
    waker: Option<Waker>,
}

struct Shared<T> {
    answers: Mutex<Answers<T>>,
}

/// A question's way back. Dropping it without an answer counts as well.
struct Reply<T> {
    shared: Arc<Shared<T>>,
    place: usize,
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut answers = lock(&self.shared.answers);
        answers.missing -= 1;
        if answers.missing > 0 {
            return;
        }
        let waker = answers.waker.take();
        drop(answers);
        // It is the asker's, who is not this thread's concern.
        unwind::swallow(|| waker.into_iter().for_each(Waker::wake));
    }
}

/// A question to all runtimes of the process. As a future it is ready when all have answered.
pub(crate) struct Asked<T> {
    seats: Vec<Arc<Seat>>,
    shared: Arc<Shared<T>>,
    _asker: Arc<()>,
}

/// Asks each runtime of the process. `answer` is called on its thread, inside of the runtime.
pub(crate) fn ask_all<T: Send + 'static>(answer: fn() -> T) -> Asked<T> {
    let seats = lock(SEATS.of_this_process()).clone();
    let shared = Arc::new(Shared {
        answers: Mutex::new(Answers {
            answers: seats.iter().map(|_| None).collect(),
            missing: seats.len(),
            waker: None,
        }),
    });
    let asker = Arc::new(());
    for (place, seat) in seats.iter().enumerate() {
        let reply = Reply {
            shared: Arc::clone(&shared),
            place,
        };
        let answer = move || {
            let value = answer();
            lock(&reply.shared.answers).answers[reply.place] = Some(value);
        };
        seat.ask(Question {
            answer: Box::new(answer),
            asker: Arc::downgrade(&asker),
        });
    }
    Asked {
        seats,
        shared,
        _asker: asker,
    }
}

impl<T> Asked<T> {
    /// The answers that have come, each with the seat that it was asked for.
    pub(crate) fn take(&mut self) -> Vec<(Arc<Seat>, Option<T>)> {
        let seats = mem::take(&mut self.seats);
        let mut answers = lock(&self.shared.answers);
        let taken = answers.answers.iter_mut().map(Option::take);
        seats.into_iter().zip(taken).collect()
    }
}

impl<T> Future for Asked<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Cloning and dropping wakers is the user's code, so the lock is not held then.
        let waker = context.waker().clone();
        let mut answers = lock(&self.shared.answers);
        if answers.missing == 0 {
            return Poll::Ready(());
        }
        let before = answers.waker.replace(waker);
        drop(answers);
        drop(before);
        Poll::Pending
    }
}

/// Ends the park of a thread.
struct Unparker(Thread);

impl Wake for Unparker {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls `future` until it is ready or `patience` is over, and parks the thread meanwhile.
pub(crate) fn wait_for<F: Future + Unpin>(future: &mut F, patience: Duration) {
    let waker = Waker::from(Arc::new(Unparker(thread::current())));
    let mut context = Context::from_waker(&waker);
    // A patience without end is one of a year.
    let patience = patience.min(Duration::from_secs(365 * 86_400));
    let until = Instant::now() + patience;
    while Pin::new(&mut *future).poll(&mut context).is_pending() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Runtime, task};

    thread_local! {
        static ANSWERED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn questions_that_were_given_up_do_not_pile_up() {
        let runtime = Runtime::new().unwrap();
        let ask = || ask_all(|| ANSWERED.set(ANSWERED.get() + 1));
        for _ in 0..100 {
            drop(ask());
        }
        let _asked = ask();
        runtime.block_on(async {
            while ANSWERED.get() == 0 {
                task::yield_now().await;
            }
        });
        assert_eq!(ANSWERED.get(), 1);
    }
}
