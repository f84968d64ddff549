//! The future of one operation.

use std::{
    cell::Cell,
    future::Future,
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, IntoRawFd as _, OwnedFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{Op, Progress, WithoutRing, abandon};
use crate::{
    driver::{self, Driver, Key, Withdrawn, foreign_runtime},
    sys::{self, Completion, PollEvents, errno},
};

/// How long a future that is polled outside of its runtime waits for the kernel to give its buffer
/// back. Sockets do at once; only a call of a helper thread, or a slow device, takes longer.
const ELSEWHERE_TIMEOUT: Duration = Duration::from_secs(5);

/// An operation on its way. Nothing happens before the first poll.
///
/// Dropped before the kernel saw it, it has done nothing; dropped in flight, it is cancelled and
/// left to the driver until its final completion.
///
/// Polled outside of its runtime, or after that has ended, it returns its result if it is done, and
/// else is cancelled and fails: no other thread would go on with it.
///
/// # Panics
///
/// When the kernel does not let go of it then, and the output would have to give back memory that
/// the kernel may still write to.
pub(crate) struct InFlight<O: Op> {
    driver: Rc<Driver>,
    /// `None` once the output is out.
    op: Option<O>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Nothing was asked of the kernel yet.
    Start,
    /// As an entry, or on a helper thread: the completion is the operation's.
    Submitted(Key),
    /// Waiting for readiness: the completion only says to try again.
    Waiting(Key, PollEvents),
    /// The same, by an epoll of the descriptor, which this stage owns: see [`sys::watch_only`].
    WaitingOnly(Key, PollEvents, RawFd),
}

/// The outcome of the last wait for readiness.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LastWait {
    /// There was none, or it ended for what it was asked for.
    Answered,
    /// It ended because the peer has finished sending, which was not asked for. The next one would
    /// do so at once.
    Unasked,
}

impl<O: Op> Unpin for InFlight<O> {}

impl<O: Op> InFlight<O> {
    pub(crate) fn new(driver: Rc<Driver>, op: O) -> Self {
        Self {
            driver,
            op: Some(op),
            stage: Stage::Start,
        }
    }

    /// The operation, to change what it should do from now on.
    pub(crate) fn op_mut(&mut self) -> Option<&mut O> {
        self.op.as_mut()
    }

    /// The operation, if nothing was asked of the kernel.
    pub(crate) fn into_op(mut self) -> Option<O> {
        if matches!(self.stage, Stage::Start) {
            self.op.take()
        } else {
            None
        }
    }

    /// Whether the kernel was asked for anything that it has not answered.
    pub(crate) fn has_begun(&self) -> bool {
        self.op.is_some() && !matches!(self.stage, Stage::Start)
    }

    /// Whether the operation itself was handed to the kernel or to a thread, and not only a wait
    /// for readiness.
    pub(crate) fn is_submitted(&self) -> bool {
        self.op.is_some() && matches!(self.stage, Stage::Submitted(_))
    }

    /// Asks the kernel to end the operation. The future returns the result as before.
    pub(crate) fn cancel(&self) {
        if let Stage::Submitted(key) = self.stage {
            self.driver.cancel_op(key);
        }
    }

    #[inline]
    fn finish(&mut self, result: io::Result<u32>) -> Poll<O::Output> {
        self.stage = Stage::Start;
        let op = self
            .op
            .take()
            .expect("a future is not polled after it is ready");
        Poll::Ready(op.complete(result))
    }

    /// Asks the kernel, in the first way that this kernel and this driver offer.
    fn start(&mut self, context: &Context<'_>) -> Poll<O::Output> {
        let op = self
            .op
            .as_mut()
            .expect("a future is not polled after it is ready");
        let features = self.driver.features();
        let has_entry = self.driver.uses_ring() && features.supports(O::OPCODE);
        let may_attempt = has_entry || O::ATTEMPTS_BEFORE_THREAD;
        if may_attempt && op.attempts_first(&self.driver) {
            self.driver.count_attempt();
            if let Progress::Done(result) = attempt(op) {
                return self.finish(Completion::new(result).result());
            }
        }
        let op = self.op.as_mut().expect("looked at above");
        if has_entry && features.fast_poll {
            return self.submit_entry(context);
        }
        match op.without_ring() {
            WithoutRing::Thread(_) if has_entry => self.submit_entry(context),
            WithoutRing::Thread(job) => {
                // SAFETY: `Op`'s contract: what the job touches is the operation's, which this
                // future keeps, or leaves to the driver, until the completion.
                let submitted = unsafe { self.driver.submit_job(job, context.waker().clone()) };
                self.submitted(submitted)
            }
            WithoutRing::Ready(events) => self.try_ready(events, LastWait::Answered, context),
        }
    }

    #[inline]
    fn submit_entry(&mut self, context: &Context<'_>) -> Poll<O::Output> {
        let op = self
            .op
            .as_mut()
            .expect("a future is not polled after it is ready");
        let entry = op.entry();
        let waker = context.waker().clone();
        let submitted = match op.quiet_result() {
            // SAFETY: `Op`'s contract: what the entry points to is the operation's, which this
            // future keeps, or leaves to the driver, until the final completion.
            None => unsafe { self.driver.submit(entry, waker) },
            // SAFETY: as above.
            Some(result) => unsafe { self.driver.submit_quiet(entry, waker, result) },
        };
        self.submitted(submitted)
    }

    #[inline]
    fn submitted(&mut self, submitted: io::Result<Key>) -> Poll<O::Output> {
        match submitted {
            Ok(key) => {
                self.stage = Stage::Submitted(key);
                Poll::Pending
            }
            Err(error) => self.finish(Err(error)),
        }
    }

    /// Attempts while the descriptor may be ready, and waits for it to be ready.
    fn try_ready(
        &mut self,
        events: PollEvents,
        last_wait: LastWait,
        context: &Context<'_>,
    ) -> Poll<O::Output> {
        let op = self
            .op
            .as_mut()
            .expect("a future is not polled after it is ready");
        let fd = Rc::clone(op.fd().expect("what waits for readiness has a descriptor"));
        if self.driver.maybe_ready(fd.source(), events) {
            self.driver.count_attempt();
            if let Progress::Done(result) = attempt(op) {
                return self.finish(Completion::new(result).result());
            }
            self.driver.not_ready(fd.source(), events, false);
        }
        if last_wait == LastWait::Unasked {
            // Without a descriptor left for it, the wait below is right and costs turns.
            if let Ok(epoll) = sys::watch_only(fd.raw(), events) {
                return self.wait_only(epoll, events, context);
            }
        }
        let waker = context.waker().clone();
        let submitted = self
            .driver
            .submit_ready(fd.raw(), fd.source(), events, waker);
        match submitted {
            Ok(key) => {
                self.stage = Stage::Waiting(key, events);
                Poll::Pending
            }
            Err(error) => self.finish(Err(error)),
        }
    }

    /// Waits until `epoll` tells that its one descriptor is ready.
    #[cold]
    fn wait_only(
        &mut self,
        epoll: OwnedFd,
        events: PollEvents,
        context: &Context<'_>,
    ) -> Poll<O::Output> {
        // Only a ring has these waits, and it remembers no sources.
        let source = Cell::new(driver::NO_SOURCE);
        let waker = context.waker().clone();
        let submitted =
            self.driver
                .submit_ready(epoll.as_raw_fd(), &source, PollEvents::INPUT, waker);
        match submitted {
            Ok(key) => {
                self.stage = Stage::WaitingOnly(key, events, epoll.into_raw_fd());
                Poll::Pending
            }
            Err(error) => self.finish(Err(error)),
        }
    }

    /// Takes the epoll out of a stage that waits by one.
    fn take_epoll(&mut self) -> Option<OwnedFd> {
        let Stage::WaitingOnly(key, events, epoll) = self.stage else {
            return None;
        };
        self.stage = Stage::Waiting(key, events);
        // SAFETY: the stage owned it, and names it no more.
        Some(unsafe { OwnedFd::from_raw_fd(epoll) })
    }
}

/// Whether the events that a poll entry has told are none of those that it was asked for.
fn is_unasked(told: i32, asked: PollEvents) -> bool {
    PollEvents::told(told as u32).answering(asked).is_empty()
}

/// Attempts until there is a result, or nothing more to be had now.
fn attempt<O: Op>(op: &mut O) -> Progress {
    loop {
        match op.attempt() {
            result if result == -errno::EINTR => {}
            result if result == -errno::EAGAIN => return Progress::Again,
            result => {
                if let Progress::Done(result) = op.progress(result) {
                    return Progress::Done(result);
                }
            }
        }
    }
}

impl<O: Op> Future for InFlight<O> {
    type Output = O::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.get_mut();
        if !this.driver.is_current() {
            return this.poll_elsewhere();
        }
        match this.stage {
            Stage::Start => this.start(context),
            Stage::Submitted(key) => {
                let Poll::Ready(completion) = this.driver.poll_op(key, context) else {
                    return Poll::Pending;
                };
                this.stage = Stage::Start;
                let op = this
                    .op
                    .as_mut()
                    .expect("a future is not polled after it is ready");
                match completion.res {
                    // A signal interrupted it before anything was done.
                    res if O::RETRIES && res == -errno::EINTR => this.start(context),
                    // The descriptor is in non-blocking mode and this kernel does not wait then.
                    res if O::RETRIES && res == -errno::EAGAIN => match op.without_ring() {
                        WithoutRing::Ready(events) => {
                            this.try_ready(events, LastWait::Answered, context)
                        }
                        WithoutRing::Thread(_) if this.driver.uses_ring() => {
                            this.submit_entry(context)
                        }
                        // A helper thread was told so, of something that waits for a peer.
                        WithoutRing::Thread(_) => this.finish(Completion::new(res).result()),
                    },
                    res => match op.progress(res) {
                        Progress::Done(result) => this.finish(Completion::new(result).result()),
                        Progress::Again => this.submit_entry_or_start(context),
                    },
                }
            }
            Stage::Waiting(key, events) | Stage::WaitingOnly(key, events, _) => {
                let completion = ready!(this.driver.poll_op(key, context));
                let by_epoll = this.take_epoll().is_some();
                this.stage = Stage::Start;
                match completion.res {
                    res if res == -errno::ECANCELED => this.finish(completion.result()),
                    // The poll driver tells no events.
                    told if by_epoll || told > 0 && is_unasked(told, events) => {
                        this.try_ready(events, LastWait::Unasked, context)
                    }
                    _ => this.try_ready(events, LastWait::Answered, context),
                }
            }
        }
    }
}

impl<O: Op> InFlight<O> {
    /// Goes on with the rest, in the same way as before.
    fn submit_entry_or_start(&mut self, context: &Context<'_>) -> Poll<O::Output> {
        let features = self.driver.features();
        if self.driver.uses_ring() && features.supports(O::OPCODE) && features.fast_poll {
            self.submit_entry(context)
        } else {
            self.start(context)
        }
    }

    /// Ends an operation whose future is polled where nothing can be asked for it: outside of its
    /// runtime, or after that has ended.
    #[cold]
    fn poll_elsewhere(&mut self) -> Poll<O::Output> {
        let key = match self.stage {
            Stage::Start => return self.finish(Err(foreign_runtime())),
            Stage::Submitted(key) => key,
            // The operation itself is here, and only the wait is given up.
            Stage::Waiting(key, _) | Stage::WaitingOnly(key, ..) => {
                let fd = self.op.as_ref().and_then(Op::fd).map(Rc::clone);
                let keep = (fd, self.take_epoll());
                abandon::wait(&self.driver, key, keep);
                return self.finish(Err(foreign_runtime()));
            }
        };
        let withdrawn = match self.driver.withdraw(key) {
            Withdrawn::InFlight => {
                self.driver.end_op(key, ELSEWHERE_TIMEOUT);
                self.driver.withdraw(key)
            }
            withdrawn => withdrawn,
        };
        match withdrawn {
            Withdrawn::Done(completion) => {
                let op = self
                    .op
                    .as_mut()
                    .expect("a future is not polled after it is ready");
                match completion.res {
                    res if res == -errno::ECANCELED => self.finish(Err(foreign_runtime())),
                    res => match op.progress(res) {
                        Progress::Done(result) => self.finish(Completion::new(result).result()),
                        Progress::Again => self.finish(Err(foreign_runtime())),
                    },
                }
            }
            Withdrawn::NeverRan => self.finish(Err(foreign_runtime())),
            Withdrawn::InFlight | Withdrawn::Lost => {
                self.give_up();
                let output = O::left_behind(foreign_runtime());
                Poll::Ready(output.expect(
                    "an operation was polled outside of its annulus runtime, or after that has \
                     ended, while the kernel holds on to its buffer",
                ))
            }
        }
    }

    /// Leaves the operation to the driver, or takes it apart if the kernel is done with it.
    fn give_up(&mut self) {
        let Some(op) = self.op.take() else { return };
        let key = match self.stage {
            Stage::Start => return drop(op),
            Stage::Submitted(key) => key,
            Stage::Waiting(key, _) | Stage::WaitingOnly(key, ..) => {
                let keep = (op, self.take_epoll());
                abandon::wait(&self.driver, key, keep);
                return;
            }
        };
        match self.driver.withdraw(key) {
            Withdrawn::NeverRan => drop(op),
            Withdrawn::Done(completion) => drop(op.complete(completion.result())),
            Withdrawn::InFlight => self.driver.abandon(key, Box::new(abandon::AbandonedOp(op))),
            // The kernel may still write there, so that memory must never have an owner again.
            Withdrawn::Lost => std::mem::forget(op),
        }
    }
}

impl<O: Op> Drop for InFlight<O> {
    #[inline]
    fn drop(&mut self) {
        // Nearly always the output is out.
        if self.op.is_some() {
            self.give_up();
        }
    }
}
