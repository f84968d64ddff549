//! Runs the tasks of a runtime, turn by turn.

use std::{
    future::Future,
    io,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use super::{Runtime, watchdog::Watch};
use crate::{
    budget::{self, Inside},
    driver, shrink,
    sys::Wait,
    task::{self, Measure},
    time::Look,
    unwind::{self, FirstPanic},
};

/// Polls between two looks at what other threads posted.
pub(super) const POLLS_PER_LOOK: usize = 61;

/// Looks between two visits to the kernel while tasks or the root are ready. A visit brings
/// completions, and with them more ready tasks and more buffers in use; one that comes before the
/// last visit's tasks have run piles both up.
const LOOKS_PER_TURN: usize = 8;

/// The number of looks in a turn that may end with a task that has used up its operations. One on
/// the ring: a task that waits for the kernel has done one operation meanwhile.
const SPENT_LOOKS_WITH_RING: usize = 1;

/// As [`SPENT_LOOKS_WITH_RING`], where an operation that can go on does so by itself, and a visit
/// is always a system call.
const SPENT_LOOKS_WITHOUT_RING: usize = 4;

/// Whether this thread is inside a runtime of this process. A child that a task has forked is in
/// the middle of a runtime that does not run there.
pub(crate) fn is_inside() -> bool {
    budget::is_inside() && !driver::is_inherited()
}

/// Panics inside a runtime.
pub(super) fn refuse_nesting() {
    assert!(
        !is_inside(),
        "annulus is already running on this thread: inside it, `.await` the future or `spawn` it \
         instead of calling `run` or `block_on` again"
    );
}

/// The thread's times are measured until it is dropped.
struct Measured<'a>(&'a Measure);

impl<'a> Measured<'a> {
    fn begin(measure: &'a Measure) -> Self {
        measure.begin();
        Self(measure)
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Runtime {
    /// Runs `future` to its end, and the tasks of this runtime meanwhile. Tasks that have not
    /// finished then go on at the next call, and a connection that is dropped between two calls is
    /// closed at the next one, or with the runtime.
    ///
    /// # Panics
    ///
    /// Inside a runtime, this or another, when `future` panics, and in a child that fork(2) has
    /// made of the process that this runtime was made in.
    ///
    /// So it does when a waker panics, or what is dropped when an operation of a dropped future
    /// ends. All others have been woken by then, and the runtime can be used again.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.run_inside(future, |due| self.turn_or_sleep(due))
    }

    /// As [`block_on`](Self::block_on), but the panic of a waker, or of what an operation leaves,
    /// ends nothing.
    pub(crate) fn block_on_regardless<F: Future>(&self, future: F) -> F::Output {
        self.run_inside(future, |due| {
            unwind::caught(|| self.turn_or_sleep(due)).unwrap_or(Ok(()))
        })
    }

    fn run_inside<F: Future>(
        &self,
        future: F,
        turn: impl Fn(&mut Vec<Waker>) -> io::Result<()>,
    ) -> F::Output {
        refuse_nesting();
        assert!(
            !self.driver.is_inherited(),
            "{}",
            driver::inherited_runtime()
        );
        let _visit = self.watch.as_ref().map(Watch::enter);
        let _seat = self.seat.enter();
        let _measured = self.tasks.measure().map(Measured::begin);
        let _inside = Inside::enter();
        let _driver = driver::enter(&self.driver);
        let _timers = self.timers.enter();
        let _tasks = self.tasks.enter();
        // The turn of a foreign loop leaves them asleep.
        self.tasks.unparked();
        let mut output = None;
        unwind::then(
            || output = Some(self.run_root(future, turn)),
            // Operations that were dropped last are ended by entries that the kernel has yet to
            // see, and the next `block_on` may be long in coming. A driver that fails reports it
            // there, and the panic of a waker is not the root's.
            || unwind::swallow(|| drop(self.driver.turn(Wait::No))),
        );
        // The tasks are awake, and other threads would not tell a foreign loop of a wake.
        self.ask_for_turn();
        output.expect("it is there when the root did not panic")
    }

    /// Polls `future` and the tasks until it is ready, and drops it.
    fn run_root<F: Future>(
        &self,
        future: F,
        turn: impl Fn(&mut Vec<Waker>) -> io::Result<()>,
    ) -> F::Output {
        let mut future = pin!(future);
        let waker = self.tasks.root_waker();
        let mut context = Context::from_waker(&waker);
        let mut due = Vec::new();
        waker.wake_by_ref();
        let spent_looks_max = if self.driver.uses_ring() {
            SPENT_LOOKS_WITH_RING
        } else {
            SPENT_LOOKS_WITHOUT_RING
        };
        loop {
            let mut spent_looks = 0;
            for _ in 0..LOOKS_PER_TURN {
                self.tasks.poll_inbox();
                let mut is_spent = false;
                if self.tasks.take_root_wake() {
                    budget::refill();
                    let start = self.tasks.measure().map(|_| Instant::now());
                    self.tasks.begin_root();
                    let polled = future.as_mut().poll(&mut context);
                    self.tasks.end_root();
                    if let Some(start) = start {
                        self.tasks.note_root(start);
                    }
                    if let Poll::Ready(output) = polled {
                        return output;
                    }
                    is_spent = budget::is_spent();
                }
                self.tasks.run(POLLS_PER_LOOK);
                is_spent |= budget::is_spent();
                spent_looks += usize::from(is_spent);
                let is_idle = !self.tasks.has_ready() && !self.tasks.is_root_awake();
                if is_idle || spent_looks == spent_looks_max {
                    break;
                }
            }
            if let Err(error) = turn(&mut due) {
                panic!("the runtime's driver failed: {error}");
            }
        }
    }

    /// Submits what tasks asked for and collects what has come.
    fn turn_or_sleep(&self, due: &mut Vec<Waker>) -> io::Result<()> {
        if self.pool.is_low(&self.driver) {
            self.driver
                .copy_out_parked(&mut |completion| self.pool.copy_out(completion));
        }
        let wait = self.fire_timers(due);
        if self.spin.is_on() && wait != Wait::No {
            return self.spin_or_sleep(wait);
        }
        if !self.tasks.prepare_park() {
            return self.driver.turn(Wait::No);
        }
        if wait != Wait::No {
            self.driver.give_back();
            self.timers.give_back();
        }
        let result = self.sleep(wait);
        if self.timers.is_paused() {
            self.advance_if_idle();
        }
        result
    }

    /// Visits the kernel when the tasks have been told that this thread sleeps.
    pub(super) fn sleep(&self, wait: Wait) -> io::Result<()> {
        if self.tasks.measure().is_some() {
            return self.sleep_measured(wait);
        }
        self.sleep_unmeasured(wait)
    }

    #[cold]
    fn sleep_measured(&self, wait: Wait) -> io::Result<()> {
        let start = Instant::now();
        let result = self.sleep_unmeasured(wait);
        self.tasks.note_sleep(start);
        result
    }

    #[inline]
    fn sleep_unmeasured(&self, wait: Wait) -> io::Result<()> {
        let mut result = Ok(());
        // A waker may panic. Tasks that took this thread to be asleep after that would never let it
        // sleep again.
        unwind::then(|| result = self.driver.turn(wait), || self.tasks.unparked());
        result
    }

    /// Wakes the tasks that wait for a time that has come, and tells how long to sleep.
    pub(super) fn fire_timers(&self, due: &mut Vec<Waker>) -> Wait {
        if self.timers.is_empty() {
            return Wait::Completion;
        }
        let look = self.timers.look();
        if !self.timers.is_paused() && self.catches_up(&look) {
            return Wait::No;
        }
        self.timers.fire(&look, due);
        task::wake_all(due);
        shrink::empty(due);
        if self.timers.is_paused() {
            // Events that the kernel has ready come first; then the clock goes on by itself.
            return Wait::No;
        }
        match self.timers.next_wait(&look) {
            Some(wait) => Wait::Timeout(wait),
            None => Wait::Completion,
        }
    }

    /// Whether what came in time goes before timers that are late.
    #[inline]
    fn catches_up(&self, look: &Look) -> bool {
        let has_more =
            || self.driver.batch() > 0 || self.tasks.has_ready() || self.tasks.is_root_awake();
        let next_deadline = || self.timers.next_deadline();
        self.catch_up
            .holds_back(look.now, look.since, next_deadline, has_more)
    }

    /// Moves a paused clock when nothing else is left to do.
    pub(super) fn advance_if_idle(&self) {
        if self.driver.batch() == 0 && !self.tasks.has_ready() {
            self.timers.auto_advance();
        }
    }

    /// Ends the user's tasks, and lets the runtime's own finish what they have begun, whatever
    /// panics meanwhile.
    pub(super) fn wind_down(&self, panic: &mut FirstPanic) {
        let _visit = self.watch.as_ref().map(Watch::enter);
        let _inside = Inside::enter();
        let _driver = driver::enter(&self.driver);
        let _timers = self.timers.enter();
        let _tasks = self.tasks.enter();
        if self.driver.is_inherited() {
            // The parent's tasks finish what they have begun, in the parent.
            panic.catch(|| self.tasks.shutdown());
            return;
        }
        self.tasks.unparked();
        panic.catch(|| self.tasks.shutdown_user());
        // No task looks at a stopped clock any more, and waits for the kernel take real time.
        self.timers.resume();
        let deadline = Instant::now().checked_add(self.shutdown_timeout);
        let mut due = Vec::new();
        while self.tasks.system_count() > 0 {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            let turn = panic.catch(|| self.wind_down_turn(left, &mut due));
            if turn.is_some_and(|turn| turn.is_err()) {
                break;
            }
        }
        panic.catch(|| self.tasks.shutdown());
    }

    fn wind_down_turn(&self, left: Option<Duration>, due: &mut Vec<Waker>) -> io::Result<()> {
        self.tasks.poll_inbox();
        self.tasks.run(POLLS_PER_LOOK);
        let wait = match (self.fire_timers(due), left) {
            (Wait::Completion, Some(left)) => Wait::Timeout(left),
            (Wait::Timeout(until), Some(left)) => Wait::Timeout(until.min(left)),
            (wait, _) => wait,
        };
        if self.tasks.system_count() == 0 {
            return Ok(());
        }
        if !self.tasks.prepare_park() {
            return self.driver.turn(Wait::No);
        }
        self.sleep(wait)
    }
}
