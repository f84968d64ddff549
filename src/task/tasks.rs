//! The tasks of one thread, as the runtime holds them.

use std::{
    cell::OnceCell,
    fmt,
    future::Future,
    mem::ManuallyDrop,
    panic::Location,
    rc::{Rc, Weak},
    sync::Arc,
    task::Waker,
    time::Instant,
};

use super::{
    current::Entered,
    header::State,
    inbox::Unpark,
    measure::Measure,
    on_task_panic::{OnTaskPanic, TaskPanic},
    pulse::Pulse,
    raw::Unnamed,
    scheduler::Scheduler,
    waker::BorrowedWaker,
};

/// The tasks of one thread. Dropping it shuts them down.
///
/// The runtime's turn, in terms of this type:
///
/// 1. [`Tasks::poll_inbox`], [`Tasks::run`], and the root future if [`Tasks::take_root_wake`].
/// 2. When nothing else is left to do, [`Tasks::prepare_park`]; if that is true, sleep until
///    [`Unpark::unpark`], then [`Tasks::unparked`].
///
/// All but `new` and `shutdown` are meant to be called while the tasks are current, see
/// [`Tasks::enter`]. Nothing breaks when they are not, but then each wake goes through the inbox.
pub(crate) struct Tasks {
    /// Invariant: it is not dropped before `close_for_all` has returned.
    scheduler: Rc<Scheduler>,
    /// Made when it is first asked for.
    pulse: OnceCell<Pulse>,
}

impl Tasks {
    /// No tasks yet. `unpark` ends the sleep of this thread.
    pub(crate) fn new(unpark: Arc<dyn Unpark>) -> Self {
        Self {
            scheduler: Scheduler::new(unpark),
            pulse: OnceCell::new(),
        }
    }

    /// Says what to do about the panic of a detached task.
    pub(crate) fn set_on_task_panic(&self, on_panic: OnTaskPanic) {
        self.scheduler.set_on_panic(on_panic);
    }

    /// Shows each panic of a detached task to `hook`, before `OnTaskPanic` acts. A panic of the
    /// hook itself is ignored.
    pub(crate) fn set_task_panic_hook(&self, hook: impl Fn(&TaskPanic<'_>) + 'static) {
        self.scheduler.set_panic_hook(Rc::new(hook));
    }

    /// Makes these tasks the current ones of this thread until the guard is dropped.
    pub(crate) fn enter(&self) -> Entered {
        Entered::new(Rc::clone(&self.scheduler))
    }

    /// A view of these tasks for other threads. Close it before the tasks are dropped: if not,
    /// some of their memory is leaked.
    pub(crate) fn pulse(&self) -> Pulse {
        // SAFETY: the drop leaks the scheduler when the pulse is not closed.
        let pulse = self
            .pulse
            .get_or_init(|| unsafe { Pulse::new(&self.scheduler) });
        pulse.clone()
    }

    /// Notes that the root is about to be polled.
    pub(crate) fn begin_root(&self) {
        self.scheduler.begin_root();
    }

    /// Notes that the poll of the root has ended.
    pub(crate) fn end_root(&self) {
        self.scheduler.end_root();
    }

    /// Polls at most `polls_max` ready tasks, first come, first served, and returns how many. Tasks
    /// that become ready meanwhile are polled too. It ends early after one that is ready again
    /// since it has used up its operations, with [`budget::is_spent`](crate::budget::is_spent).
    pub(crate) fn run(&self, polls_max: usize) -> usize {
        self.scheduler.run(polls_max)
    }

    /// Whether [`Tasks::run`] has something to poll.
    pub(crate) fn has_ready(&self) -> bool {
        self.scheduler.has_ready()
    }

    /// A waker for the future of `block_on`. Waking it shows in [`Tasks::take_root_wake`].
    pub(crate) fn root_waker(&self) -> Waker {
        BorrowedWaker::new(self.scheduler.root()).clone()
    }

    /// Whether the root's waker was woken since the last call.
    pub(crate) fn take_root_wake(&self) -> bool {
        self.scheduler.take_root_wake()
    }

    /// Whether the next [`Tasks::take_root_wake`] will be true.
    pub(crate) fn is_root_awake(&self) -> bool {
        self.scheduler.is_root_awake()
    }

    /// Takes what other threads posted: tasks to schedule, references given back. One relaxed
    /// load if they posted nothing.
    pub(crate) fn poll_inbox(&self) {
        self.scheduler.poll_inbox();
    }

    /// Whether other threads have posted something.
    pub(crate) fn has_posts(&self) -> bool {
        self.scheduler.has_posts()
    }

    /// Whether the owner may sleep now. False when a task or the root is ready, or another thread
    /// has posted something: go on with [`Tasks::poll_inbox`]. After true, nothing may run before
    /// [`Tasks::unparked`].
    pub(crate) fn prepare_park(&self) -> bool {
        self.scheduler.fall_asleep()
    }

    /// Ends the sleep, whatever ended it, and takes what was posted.
    pub(crate) fn unparked(&self) {
        self.scheduler.wake_up();
    }

    /// Spawns the runtime's own jobs, from anywhere on this thread.
    pub(crate) fn system_spawner(&self) -> SystemSpawner {
        SystemSpawner {
            scheduler: Rc::downgrade(&self.scheduler),
        }
    }

    /// How many of the runtime's own jobs are not finished.
    pub(crate) fn system_count(&self) -> usize {
        self.scheduler.system_count()
    }

    /// How many tasks there were.
    #[cfg(test)]
    pub(crate) fn counters(&self) -> super::TaskCounters {
        self.scheduler.counters()
    }

    /// Has polls measured from now on.
    pub(crate) fn start_measure(&self) {
        self.scheduler.start_measure();
    }

    /// The measures, if they were asked for.
    pub(crate) fn measure(&self) -> Option<&Measure> {
        self.scheduler.measure()
    }

    /// Notes a poll of the root from `start` until now.
    #[cold]
    pub(crate) fn note_root(&self, start: Instant) {
        if let Some(measure) = self.scheduler.measure() {
            measure.note_root(start);
        }
    }

    /// Notes a sleep of the thread from `start` until now.
    #[cold]
    pub(crate) fn note_sleep(&self, start: Instant) {
        if let Some(measure) = self.scheduler.measure() {
            measure.note_sleep(start);
        }
    }

    /// Makes a task of the runtime's own that is polled when the returned waker is woken, and not
    /// before. It is not counted, and no dump shows it.
    #[track_caller]
    pub(crate) fn add_idle(&self, future: impl Future<Output = ()> + 'static) -> Waker {
        let task = self.scheduler.add_idle(future, Location::caller());
        BorrowedWaker::new(&task).clone()
    }

    /// Drops the futures of all the user's tasks, oldest first, and of those that are spawned
    /// from now on. Their join handles return that they were cancelled.
    ///
    /// # Panics
    ///
    /// If it is called by one of the tasks. A panic of a future that is dropped goes to its join
    /// handle, and the others are dropped all the same.
    pub(crate) fn shutdown_user(&self) {
        let _entered = self.enter();
        self.scheduler.close_for_user();
    }

    /// Drops the futures of all tasks and lets go of everything that other threads, join handles
    /// or wakers still refer to. It may be called again, and while a panic unwinds.
    ///
    /// # Panics
    ///
    /// As [`Tasks::shutdown_user`].
    pub(crate) fn shutdown(&self) {
        let _entered = self.enter();
        self.scheduler.close_for_all();
    }
}

/// Starts short jobs of a runtime's own, which [`Tasks::shutdown_user`] spares. It needs not be
/// the runtime that this thread is inside of: a future may be dropped anywhere.
#[derive(Clone)]
pub(crate) struct SystemSpawner {
    scheduler: Weak<Scheduler>,
}

impl SystemSpawner {
    /// Starts a job. When the runtime is gone, the future is dropped.
    #[track_caller]
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        if let Some(scheduler) = self.scheduler.upgrade() {
            let _detached = scheduler.spawn(future, Unnamed, State::SYSTEM, Location::caller());
        }
    }
}

impl fmt::Debug for SystemSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemSpawner").finish_non_exhaustive()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // Tasks that are not shut down must keep their scheduler: if this panics, they leak.
        let scheduler = ManuallyDrop::new(Rc::clone(&self.scheduler));
        self.shutdown();
        if self.pulse.get().is_none_or(Pulse::is_closed) {
            drop(ManuallyDrop::into_inner(scheduler));
        }
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("scheduler", &self.scheduler)
            .finish()
    }
}
