//! Runs the tasks of one thread.
//!
//! Nothing is borrowed while user code runs: futures, outputs, wakers and hooks may spawn, wake,
//! abort and drop handles from wherever they are called.

use std::{
    cell::{Cell, OnceCell, RefCell},
    fmt,
    future::{Future, pending},
    mem,
    panic::Location,
    process,
    rc::Rc,
    task::Context,
    time::Instant,
};

use super::{
    header::State,
    inbox::{Inbox, Posts, Unpark},
    measure::Measure,
    on_task_panic::{OnTaskPanic, TaskPanic},
    primitives::Arc,
    pulse::{Beat, Count},
    queue::ReadyQueue,
    raw::{self, MaybeName, Outcome, Unnamed},
    running::Running,
    task_ref::{self, TaskRef},
    thread_bound::Home,
    traced,
    waker::BorrowedWaker,
};
use crate::{budget, unwind::swallow, wait_note};

/// The counts of tasks since the start of the runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskCounters {
    /// Tasks spawned.
    pub spawned: u64,
    /// Times that a task was polled.
    pub polled: u64,
    /// Tasks that ended, however they did.
    pub completed: u64,
    /// Tasks that ended with a panic.
    pub panicked: u64,
}

impl TaskCounters {
    /// Returns how many tasks have not ended.
    #[must_use]
    pub fn alive(&self) -> u64 {
        self.spawned.saturating_sub(self.completed)
    }
}

#[derive(Debug, Default)]
struct Counters {
    spawned: Cell<u64>,
    polled: Count,
    completed: Count,
    panicked: Cell<u64>,
    /// Polls of the root that have begun, and those that have ended.
    root_begun: Count,
    root_ended: Count,
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// For whom there is still a future; each phase is entered once, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// The user's tasks are gone, the runtime's own may finish.
    SystemOnly,
    Closed,
}

/// Tasks that one that was spawned too late may leave behind, by destructors that spawn further
/// ones. The futures of more than these are leaked.
const LATE_TASKS_MAX: usize = 1000;

type PanicHook = Rc<dyn Fn(&TaskPanic<'_>)>;

pub(super) struct Scheduler {
    inbox: Arc<Inbox>,
    ready: ReadyQueue,
    /// Stands for the future that `block_on` polls and is the beginning of the list of tasks.
    ///
    /// It runs for ever, so that a wake marks it as scheduled and puts it into no queue.
    root: TaskRef,
    running: Running,
    phase: Cell<Phase>,
    system_count: Cell<usize>,
    counters: Counters,
    on_panic: Cell<OnTaskPanic>,
    panic_hook: RefCell<Option<PanicHook>>,
    /// Tasks that were spawned while the runtime ends, and whose futures are yet to be dropped.
    late: ReadyQueue,
    is_dropping_late: Cell<bool>,
    /// How many tasks may still be spawned by the destructors of late ones.
    late_left: Cell<usize>,
    /// None unless it was asked for.
    measure: OnceCell<Box<Measure>>,
    /// Made with the first value that is bound to this thread while this scheduler is current.
    pub(super) home: OnceCell<std::sync::Arc<Home>>,
}

impl Scheduler {
    pub(super) fn new(unpark: std::sync::Arc<dyn Unpark>) -> Rc<Self> {
        let inbox = Inbox::new(unpark);
        let root = raw::allocate(
            pending::<()>(),
            Unnamed,
            State::RUNNING,
            Arc::as_ptr(&inbox),
            Location::caller(),
        );
        Rc::new(Self {
            inbox,
            ready: ReadyQueue::default(),
            root,
            running: Running::new(),
            phase: Cell::new(Phase::Open),
            system_count: Cell::new(0),
            counters: Counters::default(),
            on_panic: Cell::new(OnTaskPanic::default()),
            panic_hook: RefCell::new(None),
            late: ReadyQueue::default(),
            is_dropping_late: Cell::new(false),
            late_left: Cell::new(LATE_TASKS_MAX),
            measure: OnceCell::new(),
            home: OnceCell::new(),
        })
    }

    pub(super) fn inbox(&self) -> *const Inbox {
        Arc::as_ptr(&self.inbox)
    }

    pub(super) fn root(&self) -> &TaskRef {
        &self.root
    }

    /// Whether the root was woken since the last call.
    pub(super) fn take_root_wake(&self) -> bool {
        let state = self.root.state();
        self.root.set_state(state.without(State::SCHEDULED));
        state.has(State::SCHEDULED)
    }

    pub(super) fn is_root_awake(&self) -> bool {
        self.root.state().has(State::SCHEDULED)
    }

    pub(super) fn set_on_panic(&self, on_panic: OnTaskPanic) {
        self.on_panic.set(on_panic);
    }

    pub(super) fn set_panic_hook(&self, hook: PanicHook) {
        let before = self.panic_hook.replace(Some(hook));
        drop(before);
    }

    pub(super) fn counters(&self) -> TaskCounters {
        TaskCounters {
            spawned: self.counters.spawned.get(),
            polled: self.counters.polled.get(),
            completed: self.counters.completed.get(),
            panicked: self.counters.panicked.get(),
        }
    }

    pub(super) fn system_count(&self) -> usize {
        self.system_count.get()
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The task that is being polled or dropped.
    pub(super) fn running(&self) -> Option<TaskRef> {
        self.running.get()
    }

    /// Shows the running task to `look`, also when the thread was interrupted by a signal.
    pub(super) fn look_at_running(&self, look: impl FnOnce(&TaskRef)) {
        self.running.look(look);
    }

    /// Notes that the root is about to be polled.
    pub(super) fn begin_root(&self) {
        self.counters.root_begun.add_one();
        wait_note::clear();
    }

    /// Notes that the poll of the root has ended.
    pub(super) fn end_root(&self) {
        let state = self.root.state().without(State::NOTE);
        self.root.set_state(state.noting(wait_note::number()));
        self.counters.root_ended.set(&self.counters.root_begun);
    }

    pub(super) fn is_root_running(&self) -> bool {
        self.counters.root_begun.get() != self.counters.root_ended.get()
    }

    /// The state of the tasks for another thread. It reads atomics alone.
    pub(super) fn beat(&self) -> Beat {
        let counts = &self.counters;
        let ended = counts.completed.get() + counts.root_ended.get();
        Beat {
            count: counts.polled.get() + counts.root_begun.get() + ended,
            is_asleep: self.inbox.is_asleep(),
        }
    }

    /// Spawns a task. `state` is `SYSTEM`, `DETACHED` or `JOINABLE`. The result of a joinable task
    /// goes to its join handle.
    pub(super) fn spawn<F, N>(
        &self,
        future: F,
        name: N,
        state: State,
        location: &'static Location<'static>,
    ) -> TaskRef
    where
        F: Future + 'static,
        N: MaybeName,
    {
        let phase = self.phase.get();
        let is_system = state.has(State::SYSTEM);
        if phase == Phase::Open || (phase == Phase::SystemOnly && is_system) {
            let task = self.add(future, name, state, location);
            self.schedule_by_ref(&task);
            return task;
        }
        let task = if self.late_left.get() > 0 {
            self.add(future, name, state, location)
        } else {
            // Dropping it would spawn another, as it did before, so it is left alone.
            mem::forget(future);
            self.add(pending::<F::Output>(), name, state, location)
        };
        self.drop_late(&task);
        task
    }

    /// Makes a task that is neither ready nor finished.
    #[inline]
    fn add<F, N>(
        &self,
        future: F,
        name: N,
        state: State,
        location: &'static Location<'static>,
    ) -> TaskRef
    where
        F: Future + 'static,
        N: MaybeName,
    {
        let future = traced(future, name.name(), state, location);
        let task = raw::allocate(future, name, state, self.inbox(), location);
        task.link_before(&self.root);
        // An unfinished task keeps itself; `finish` gives this reference back.
        let _kept = task.clone().into_raw();
        count(&self.counters.spawned);
        if state.has(State::SYSTEM) {
            self.system_count.set(self.system_count.get() + 1);
        }
        task
    }

    /// Drops the future of a task that was spawned too late to run. Its destructor may spawn
    /// others: they wait their turn here, so that a destructor that spawns its replacement neither
    /// recurses nor goes on for ever.
    fn drop_late(&self, task: &TaskRef) {
        // Aborting it does not put it into the ready queue.
        task.set_state(task.state().with(State::SCHEDULED));
        self.late.push(task.clone());
        if self.is_dropping_late.replace(true) {
            self.late_left.set(self.late_left.get().saturating_sub(1));
            return;
        }
        while let Some(task) = self.late.pop() {
            self.cancel(&task);
            if self.phase.get() == Phase::Closed {
                task.merge();
            }
        }
        self.is_dropping_late.set(false);
        self.late_left.set(LATE_TASKS_MAX);
    }

    /// Puts a task into the ready queue, unless it is there or is finished.
    #[inline]
    pub(super) fn schedule(&self, task: TaskRef) {
        if self.mark_scheduled(&task) {
            self.ready.push(task);
        }
    }

    #[inline]
    pub(super) fn schedule_by_ref(&self, task: &TaskRef) {
        if self.mark_scheduled(task) {
            self.ready.push(task.clone());
        }
    }

    /// Marks a task as scheduled. True if it has to go into the queue now.
    #[inline]
    fn mark_scheduled(&self, task: &TaskRef) -> bool {
        let state = task.state();
        if state.has(State::SCHEDULED.with(State::FINISHED)) {
            return false;
        }
        task.set_state(state.with(State::SCHEDULED));
        // One that runs goes to the back of the queue when its poll returns.
        !state.has(State::RUNNING)
    }

    /// Polls at most `polls_max` ready tasks and returns how many it polled. It ends after one that
    /// has used up its operations and is ready again.
    pub(super) fn run(&self, polls_max: usize) -> usize {
        if let Some(measure) = self.measure.get() {
            return self.run_measured(polls_max, measure);
        }
        for polled in 0..polls_max {
            let Some(task) = self.ready.pop() else {
                return polled;
            };
            if self.turn(task) {
                return polled + 1;
            }
        }
        polls_max
    }

    /// As [`run`](Self::run), with a look at the clock after each poll.
    #[cold]
    fn run_measured(&self, polls_max: usize, measure: &Measure) -> usize {
        let mut start = Instant::now();
        for polled in 0..polls_max {
            let Some(task) = self.ready.pop() else {
                return polled;
            };
            let is_spent = self.turn(task.clone());
            let end = Instant::now();
            let is_over = task.state().has(State::FINISHED);
            measure.note_task(&task, end.saturating_duration_since(start), is_over);
            start = end;
            if is_spent {
                return polled + 1;
            }
        }
        polls_max
    }

    /// From here on polls are measured.
    pub(super) fn start_measure(&self) {
        self.measure.get_or_init(|| Box::new(Measure::new()));
    }

    pub(super) fn measure(&self) -> Option<&Measure> {
        self.measure.get().map(|measure| &**measure)
    }

    /// Makes a task that is polled when it is woken, and not before. It is not counted.
    pub(super) fn add_idle(
        &self,
        future: impl Future<Output = ()> + 'static,
        location: &'static Location<'static>,
    ) -> TaskRef {
        let task = self.add(future, Unnamed, State::HIDDEN, location);
        self.counters.spawned.set(self.counters.spawned.get() - 1);
        task
    }

    /// The turn of a task that was in the ready queue. Only unfinished tasks are there. True if it
    /// has used up its operations and is ready again.
    // Always, because measured turns call it as well.
    #[inline(always)]
    fn turn(&self, task: TaskRef) -> bool {
        let state = task.state();
        if state.has(State::ABORTED) {
            self.cancel(&task);
            return false;
        }
        task.set_state(
            state
                .without(State::SCHEDULED.with(State::NOTE))
                .with(State::RUNNING),
        );
        self.counters.polled.add_one();
        let running = self.running.replace(Some(task.clone()));
        budget::refill();
        wait_note::clear();
        let outcome = {
            let waker = BorrowedWaker::new(&task);
            let poll = task.vtable.poll;
            // SAFETY: an unfinished task has its future, and no other code polls or drops it while
            // it is marked as running.
            unsafe { poll(task.as_raw(), &mut Context::from_waker(&waker)) }
        };
        drop(self.running.replace(running));
        if outcome != Outcome::Pending {
            self.finish(&task, outcome);
            return false;
        }
        let state = task.state().without(State::RUNNING);
        let state = state.noting(wait_note::number());
        task.set_state(state);
        if state.has(State::ABORTED) {
            self.cancel(&task);
        } else if state.has(State::SCHEDULED) {
            self.ready.push(task);
            return budget::is_spent();
        }
        false
    }

    /// Drops the future of an unfinished task that is not running and is in no queue.
    fn cancel(&self, task: &TaskRef) {
        task.set_state(task.state().with(State::RUNNING));
        let running = self.running.replace(Some(task.clone()));
        let cancel = task.vtable.cancel;
        // SAFETY: as in `turn`.
        let outcome = unsafe { cancel(task.as_raw()) };
        drop(self.running.replace(running));
        self.finish(task, outcome);
    }

    /// Hands the output of a task over to its join handle, if there is one.
    fn finish(&self, task: &TaskRef, outcome: Outcome) {
        let state = task.state();
        task.set_finished();
        self.counters.completed.add_one();
        if state.has(State::SYSTEM) {
            self.system_count.set(self.system_count.get() - 1);
        }
        if outcome == Outcome::Panicked {
            count(&self.counters.panicked);
        }
        if let Some(waker) = task.join_waker.take() {
            swallow(|| waker.wake());
        }
        let state = task.state();
        if !state.has(State::JOINABLE) && state.has(State::OUTPUT) {
            self.discard_output(task);
        }
        // SAFETY: `spawn` counted this reference for as long as the task is unfinished.
        drop(unsafe { TaskRef::from_raw(task.as_raw()) });
    }

    /// Drops an output that no join handle will take.
    fn discard_output(&self, task: &TaskRef) {
        let error = task.vtable.error;
        // SAFETY: the output is there.
        if let Some(error) = unsafe { error(task.as_raw()) } {
            // SAFETY: the output is there until it is dropped below.
            self.report_panic(task, unsafe { error.as_ref() });
        }
        task.set_state(task.state().without(State::OUTPUT));
        let drop_output = task.vtable.drop_output;
        // SAFETY: the output is there, and is marked as taken.
        swallow(|| unsafe { drop_output(task.as_raw()) });
    }

    /// Does what the runtime's builder asked for when a task without a join handle panics.
    pub(super) fn report_panic(&self, task: &TaskRef, error: &super::JoinError) {
        if !error.is_panic() {
            return;
        }
        let hook = self.panic_hook.borrow().clone();
        if let Some(hook) = hook {
            swallow(|| TaskPanic::show(task, error, |panic| hook(panic)));
            swallow(|| drop(hook));
        }
        if self.on_panic.get() == OnTaskPanic::Abort {
            process::abort();
        }
    }

    /// Takes what other threads posted.
    pub(super) fn poll_inbox(&self) {
        if self.inbox.has_posts() {
            self.settle(self.inbox.take());
        }
    }

    pub(super) fn has_posts(&self) -> bool {
        self.inbox.has_posts()
    }

    /// Whether the owner may sleep now.
    pub(super) fn fall_asleep(&self) -> bool {
        let is_idle = self.ready.is_empty() && !self.is_root_awake();
        is_idle && self.inbox.fall_asleep()
    }

    /// Ends the sleep and takes what other threads posted.
    pub(super) fn wake_up(&self) {
        if self.phase.get() < Phase::Closed {
            self.settle(self.inbox.take());
        }
    }

    fn settle(&self, posts: Posts) {
        for task in posts {
            // SAFETY: the task came out of this scheduler's inbox.
            if let Some(task) = unsafe { task_ref::settle(task) } {
                self.schedule(task);
            }
        }
    }

    /// From now on what the user spawns is dropped. It may be called while a task runs.
    pub(super) fn leave(&self) {
        self.phase.set(self.phase.get().max(Phase::SystemOnly));
    }

    /// Drops the future of every task of the user; whatever is spawned meanwhile is dropped too.
    pub(super) fn close_for_user(&self) {
        self.close(Phase::SystemOnly);
    }

    /// Drops the future of every task, closes the inbox, and lets go of all tasks.
    pub(super) fn close_for_all(&self) {
        if self.phase.get() == Phase::Closed {
            return;
        }
        self.close(Phase::Closed);
        // From here on no user code runs.
        self.settle(self.inbox.close());
        loop {
            let first = self.root.successor();
            if first.as_raw() == self.root.as_raw() {
                break;
            }
            first.merge();
        }
        self.root.merge();
    }

    fn close(&self, phase: Phase) {
        assert!(
            self.running().is_none(),
            "the runtime was shut down from inside a task"
        );
        self.phase.set(self.phase.get().max(phase));
        // Tasks that wake each other while they are dropped must not get into the queue.
        self.for_each_to_close(|task| task.set_state(task.state().with(State::SCHEDULED)));
        let ready = ReadyQueue::default();
        while let Some(task) = self.ready.pop() {
            if self.is_to_close(&task) {
                drop(task);
            } else {
                ready.push(task);
            }
        }
        while let Some(task) = ready.pop() {
            self.ready.push(task);
        }
        self.for_each_to_close(|task| self.cancel(task));
    }

    fn is_to_close(&self, task: &TaskRef) -> bool {
        let is_spared = self.phase.get() < Phase::Closed && task.state().has(State::SYSTEM);
        !is_spared && !task.state().has(State::FINISHED)
    }

    /// Calls `act` for each unfinished task that the phase does not spare. It may run user code.
    fn for_each_to_close(&self, act: impl Fn(&TaskRef)) {
        // A task that is referred to stays in the list, so there is always a way on.
        let mut task = self.root.successor();
        while task.as_raw() != self.root.as_raw() {
            if self.is_to_close(&task) {
                act(&task);
            }
            task = task.successor();
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("phase", &self.phase)
            .field("system_count", &self.system_count)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
