//! The tasks of a thread as a dump shows them.

use std::{panic::Location, task::Waker, time::Duration};

use super::{header::State, scheduler::Scheduler, task_ref::TaskRef, waker};
use crate::wait_note::WaitNote;

/// Says whose a waker is. It is for comparison only, and for as long as the task is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TaskId(usize);

impl TaskId {
    /// The task that `waker` wakes; none for a waker of another kind.
    pub(crate) fn of(waker: &Waker) -> Option<Self> {
        waker::is_of_task(waker).then(|| Self(waker.data().addr()))
    }

    fn new(task: &TaskRef) -> Self {
        Self(task.as_raw().as_ptr().addr())
    }
}

/// The activity of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    Running,
    Ready,
    Waiting,
}

/// A task at a moment.
#[derive(Clone, Debug)]
pub(crate) struct TaskView {
    pub(crate) id: TaskId,
    pub(crate) name: Option<String>,
    pub(crate) location: &'static Location<'static>,
    /// The future given to `run` or `block_on`, and no task.
    pub(crate) is_root: bool,
    /// One of the runtime's own.
    pub(crate) is_system: bool,
    pub(crate) activity: Activity,
    pub(crate) note: WaitNote,
    /// The task that waits for its end.
    pub(crate) joiner: Option<TaskId>,
    /// The number of its polls, their time and that of the longest, if the runtime measures.
    pub(crate) polls: Option<(u64, Duration, Duration)>,
}

impl Scheduler {
    /// The root and all unfinished tasks, oldest first.
    pub(super) fn views(&self) -> Vec<TaskView> {
        let running = self.running().as_ref().map(TaskId::new);
        let mut views = vec![self.view(self.root(), running)];
        let mut task = self.root().successor();
        while task.as_raw() != self.root().as_raw() {
            let state = task.state();
            if !state.has(State::FINISHED.with(State::HIDDEN)) {
                views.push(self.view(&task, running));
            }
            task = task.successor();
        }
        views
    }

    fn view(&self, task: &TaskRef, running: Option<TaskId>) -> TaskView {
        let (id, state) = (TaskId::new(task), task.state());
        let is_root = task.as_raw() == self.root().as_raw();
        let is_running = if is_root {
            self.is_root_running()
        } else {
            running == Some(id)
        };
        let joiner = task.join_waker.take();
        let joined_by = joiner.as_ref().and_then(TaskId::of);
        task.join_waker.set(joiner);
        TaskView {
            id,
            name: task.name().map(|name| name.clone().into_owned()),
            location: task.location,
            is_root,
            is_system: state.has(State::SYSTEM),
            activity: match (is_running, state.has(State::SCHEDULED)) {
                (true, _) => Activity::Running,
                (false, true) => Activity::Ready,
                (false, false) => Activity::Waiting,
            },
            note: WaitNote::from_number(state.noted()),
            joiner: joined_by,
            polls: self.measure().filter(|_| !is_root).map(|measure| {
                let polls = measure.of_task(task);
                (polls.count, polls.total, polls.longest)
            }),
        }
    }
}
