//! A runtime that a foreign loop drives: its descriptor, its turn, and the way into it.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
    task::Waker,
    time::Instant,
};

use super::{
    Runtime,
    block_on::{POLLS_PER_LOOK, is_inside, refuse_nesting},
    watchdog::Watch,
};
use crate::{budget::Inside, driver, sys::Wait, unwind};

/// Rounds of tasks and kernel in one turn. More that is ready waits for the foreign loop's next
/// turn, so that its own events are not kept waiting.
const ROUNDS_PER_TURN: usize = 8;

impl Runtime {
    /// Runs the tasks that are ready and collects what the kernel has, without waiting, for a
    /// program whose thread has another loop: that of tokio, of a toolkit, or one of its own on
    /// epoll(7) or poll(2). Returns when to call it again at the latest.
    ///
    /// The loop does two things in turn: it calls this, and then it waits until the runtime's
    /// descriptor ([`as_fd`](AsFd::as_fd)) is readable or the returned instant has come, beside
    /// whatever else it waits for. `None` is no instant: the descriptor tells of everything. An
    /// instant that has passed means that more is ready now. Calling it earlier or more often does
    /// no harm.
    ///
    /// A turn has a limit of a few hundred polls, so that the foreign loop has its own turn
    /// meanwhile. Between two turns nothing of this runtime runs, and its timers are late by as
    /// long as the loop is.
    ///
    /// With the feature `tokio-context`, `compat::InsideTokio` is this loop inside of tokio.
    ///
    /// # Panics
    ///
    /// As [`block_on`](Self::block_on): inside a runtime, and in a child of fork(2). So it does
    /// when a waker panics; the next turn goes on.
    ///
    /// # Kernel
    ///
    /// On the ring the descriptor is an epoll with an eventfd, for other threads' wakes, and
    /// another one that is registered with the ring (`IORING_REGISTER_EVENTFD`). Before 6.1 it is
    /// the ring itself in the place of that, and a completion may end the loop's epoll_wait(2) by
    /// `EINTR`. On the poll driver it is that driver's epoll.
    ///
    /// # Examples
    ///
    /// A loop on std's own means; a program has epoll(7) in the place of the sleep:
    ///
    /// ```
    /// use annulus::{Runtime, net::UnixStream, spawn, time::sleep};
    /// use std::time::{Duration, Instant};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::new()?;
    /// let (near, far) = runtime.enter(UnixStream::pair)?;
    /// let task = runtime.enter(|| {
    ///     spawn(async move {
    ///         sleep(Duration::from_millis(2)).await;
    ///         near.write_all("hello").await?;
    ///         far.recv().await
    ///     })
    /// });
    /// while !task.is_finished() {
    ///     let latest = runtime.turn();
    ///     let millisecond = Instant::now() + Duration::from_millis(1);
    ///     let until = latest.map_or(millisecond, |latest| latest.min(millisecond));
    ///     std::thread::sleep(until.saturating_duration_since(Instant::now()));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn turn(&self) -> Option<Instant> {
        let _visit = self.watch.as_ref().map(Watch::enter);
        let _seat = self.seat.enter();
        let _current = self.make_current();
        let latest = self.turn_outside();
        self.told_deadline.set(self.timers.next_deadline());
        latest
    }

    /// Calls `call` inside of this runtime, on this thread: there it can spawn tasks and make
    /// sockets, files and timers. Tasks and operations go on in the turns that follow, by
    /// [`turn`](Self::turn) or [`block_on`](Self::block_on). If a foreign loop has this runtime's
    /// descriptor, that is readable afterwards when a turn is due.
    ///
    /// A future can be polled in it too, by whatever executor, as long as it is polled and dropped
    /// in the same way each time; its waker is called in a turn.
    ///
    /// # Panics
    ///
    /// As `call` does, inside a runtime, and in a child of fork(2).
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{Runtime, spawn};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = Runtime::new()?;
    /// let task = runtime.enter(|| spawn(async { 7 }));
    /// assert_eq!(runtime.block_on(task)?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn enter<R>(&self, call: impl FnOnce() -> R) -> R {
        let (output, is_turn_due) = self.enter_for(call);
        if is_turn_due {
            self.ask_for_turn();
        }
        output
    }

    /// As [`enter`](Self::enter), and tells whether a turn is due instead of making the descriptor
    /// readable.
    pub(crate) fn enter_for<R>(&self, call: impl FnOnce() -> R) -> (R, bool) {
        let _current = self.make_current();
        let mut output = None;
        unwind::then(
            || output = Some(call()),
            // The kernel has to see what was asked for. A driver that fails says so in the next
            // turn, and the panic of a waker is not the call's.
            || {
                if self.driver.has_more() {
                    unwind::swallow(|| drop(self.driver.turn(Wait::No)));
                }
            },
        );
        let output = output.expect("it is there when the call did not panic");
        (output, self.is_turn_due())
    }

    /// Makes the descriptor of a foreign loop readable.
    pub(crate) fn ask_for_turn(&self) {
        if self.driver.is_driven_outside() {
            self.driver.remote().wake();
        }
    }

    /// Whether something is ready, or a timer comes earlier than the last turn has told.
    fn is_turn_due(&self) -> bool {
        if self.tasks.has_ready() || self.driver.has_more() {
            return true;
        }
        match (self.timers.next_deadline(), self.told_deadline.get()) {
            (Some(_), None) => true,
            (Some(deadline), Some(told)) => deadline < told || self.timers.is_paused(),
            (None, _) => !self.timers.is_empty(),
        }
    }

    fn turn_outside(&self) -> Option<Instant> {
        self.tasks.unparked();
        let mut due = Vec::new();
        for _ in 0..ROUNDS_PER_TURN {
            self.tasks.poll_inbox();
            self.tasks.run(POLLS_PER_LOOK);
            let collected = self.driver.collected_count();
            let wait = self.collect_outside(&mut due);
            let is_idle = wait != Wait::No && self.driver.collected_count() == collected;
            if is_idle && self.rest() {
                return match wait {
                    Wait::Timeout(duration) => Instant::now().checked_add(duration),
                    _ => None,
                };
            }
        }
        Some(Instant::now())
    }

    /// Fires timers and collects what the kernel has. Returns how long there is nothing to do.
    fn collect_outside(&self, due: &mut Vec<Waker>) -> Wait {
        // A wake of the root that `block_on` left is for no future.
        self.tasks.take_root_wake();
        if self.pool.is_low(&self.driver) {
            let copy = &mut |completion| self.pool.copy_out(completion);
            self.driver.copy_out_parked(copy);
        }
        let wait = self.fire_timers(due);
        if let Err(error) = self.driver.turn(Wait::No) {
            panic!("the runtime's driver failed: {error}");
        }
        if self.timers.is_paused() {
            self.advance_if_idle();
        }
        wait
    }

    /// Rests until the descriptor tells of an event: false when there is one already. From here on
    /// other threads wake the driver.
    fn rest(&self) -> bool {
        // In this order: wakes from here on make the descriptor readable again, and those from
        // before are found below.
        self.driver.clear_outside();
        if !self.tasks.prepare_park() {
            return false;
        }
        if self.driver.has_more() {
            self.tasks.unparked();
            return false;
        }
        self.driver.give_back();
        self.timers.give_back();
        true
    }

    /// Whether [`enter`](Self::enter) does not panic.
    pub(crate) fn can_be_entered(&self) -> bool {
        !is_inside() && !self.driver.is_inherited()
    }

    fn make_current(&self) -> impl Sized {
        refuse_nesting();
        assert!(self.can_be_entered(), "{}", driver::inherited_runtime());
        // Fields are dropped in order, as these are when `block_on` ends.
        (
            self.tasks.enter(),
            self.timers.enter(),
            driver::enter(&self.driver),
            Inside::enter(),
        )
    }
}

/// The descriptor is readable when [`Runtime::turn`] has something to do, apart from timers. It is
/// made at the first call. A foreign loop waits for it by epoll(7), level- or edge-triggered, and
/// reads nothing from it.
///
/// # Panics
///
/// When the process is out of descriptors; this takes three at the most.
impl AsFd for Runtime {
    fn as_fd(&self) -> BorrowedFd<'_> {
        let fd = self.driver.outside_fd();
        fd.unwrap_or_else(|error: io::Error| panic!("no descriptor for a foreign loop: {error}"))
    }
}
