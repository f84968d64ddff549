//! The tasks of a thread, and what each waits for.

use std::{collections::HashMap, fmt, panic::Location, thread, time::Duration};

use crate::{
    driver,
    task::{self, Activity, TaskId, TaskView},
    time,
};

/// The tasks of one runtime at a moment, and what each waits for. It prints as a report.
#[derive(Clone, Debug)]
pub struct Dump {
    thread: String,
    tasks: Vec<TaskDump>,
    others: usize,
}

/// A task of a [`Dump`].
#[derive(Clone, Debug)]
pub struct TaskDump {
    name: Option<String>,
    location: Option<&'static Location<'static>>,
    is_system: bool,
    activity: Activity,
    waits: Vec<WaitsFor>,
    polls: Option<(u64, Duration, Duration)>,
}

/// Something that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// The kernel, for an operation with the name of the system call that does the same: `recv`,
    /// `accept`, `poll`.
    Operation {
        /// The name.
        name: &'static str,
        /// The descriptor, if it has one.
        descriptor: Option<i32>,
    },
    /// A call on a helper thread, such as one that reads a file on the poll driver.
    Helper,
    /// A timer.
    Timer {
        /// The time until it fires.
        left: Duration,
    },
    /// The end of another task of this thread.
    Task {
        /// Its name.
        name: Option<String>,
        /// The place where it was spawned.
        location: &'static Location<'static>,
    },
    /// A channel, a lock or anything else, in words.
    Other(String),
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation {
                name,
                descriptor: Some(descriptor),
            } => write!(f, "{name} on descriptor {descriptor}"),
            Self::Operation { name, .. } => f.write_str(name),
            Self::Helper => f.write_str("a helper thread"),
            Self::Timer { left } => write!(f, "a timer in {:.3} s", left.as_secs_f64()),
            Self::Task { name, location } => {
                f.write_str("the end of the task ")?;
                write_task(f, name.as_deref(), location)
            }
            Self::Other(words) => f.write_str(words),
        }
    }
}

fn write_task(f: &mut fmt::Formatter<'_>, name: Option<&str>, at: &Location<'_>) -> fmt::Result {
    match name {
        Some(name) => write!(f, "`{name}` of {at}"),
        None => write!(f, "of {at}"),
    }
}

impl TaskDump {
    /// Returns the name that [`Builder::name`](crate::task::Builder::name) gave to the task.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns the place where the task was spawned. None for the future given to `run` or
    /// `block_on`.
    #[must_use]
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Whether it is one of the runtime's own, which finishes what a dropped future has begun.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.is_system
    }

    /// Whether it runs, or has its turn soon: it waits for nothing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.activity != Activity::Waiting
    }

    /// Returns what it waits for. There may be several things, as in a `race` or a timeout.
    #[must_use]
    pub fn waits_for(&self) -> &[WaitsFor] {
        &self.waits
    }

    /// Returns the number of its polls, if the runtime measures
    /// ([`RuntimeBuilder::measure`](super::RuntimeBuilder::measure)). Those of all tasks together
    /// are counted always: [`Stats::tasks`](super::Stats::tasks).
    #[must_use]
    pub fn polls(&self) -> Option<u64> {
        self.polls.map(|(count, ..)| count)
    }

    /// Returns the time of its longest poll, if the runtime measures
    /// ([`RuntimeBuilder::measure`](super::RuntimeBuilder::measure)).
    #[must_use]
    pub fn longest_poll(&self) -> Option<Duration> {
        self.polls.map(|(_, _, longest)| longest)
    }

    /// Whether a report may show both in one line.
    fn is_alike(&self, other: &Self) -> bool {
        let kind = |task: &Self| {
            let waits = task.waits.iter().map(|wait| match wait {
                WaitsFor::Operation { name, .. } => WaitsFor::Operation {
                    name,
                    descriptor: None,
                },
                WaitsFor::Timer { .. } => WaitsFor::Timer {
                    left: Duration::ZERO,
                },
                wait => wait.clone(),
            });
            waits.collect::<Vec<_>>()
        };
        self.name == other.name
            && self.location == other.location
            && self.activity == other.activity
            && kind(self) == kind(other)
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            Some(location) => {
                f.write_str(if self.is_system {
                    "the runtime's task "
                } else {
                    "task "
                })?;
                write_task(f, self.name(), location)?;
            }
            None => f.write_str("the future given to `run` or `block_on`")?,
        }
        match self.activity {
            Activity::Running => return f.write_str(": runs"),
            Activity::Ready => return f.write_str(": ready to run"),
            Activity::Waiting => f.write_str(": waits for ")?,
        }
        for (index, wait) in self.waits.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{wait}")?;
        }
        if let Some((count, _, longest)) = self.polls {
            let longest = longest.as_secs_f64() * 1000.0;
            write!(f, " ({count} polls, the longest {longest:.3} ms)")?;
        }
        Ok(())
    }
}

impl Dump {
    /// Returns the name of the thread, or its number if it has no name.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns the tasks that have not finished: first the future given to `run` or `block_on`,
    /// then the tasks in the order in which they were spawned.
    #[must_use]
    pub fn tasks(&self) -> &[TaskDump] {
        &self.tasks
    }

    /// Returns how many operations and timers wake something else than a task, such as a set of
    /// futures within a task, or a connection of an HTTP server.
    #[must_use]
    pub fn others(&self) -> usize {
        self.others
    }
}

/// Tasks that are alike share a line, so that a server with ten thousand of them has a short
/// report.
impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "thread `{}`", self.thread)?;
        let mut groups: Vec<(&TaskDump, usize)> = Vec::new();
        let mut places: HashMap<_, Vec<usize>> = HashMap::new();
        for task in &self.tasks {
            let same_place = places.entry(task.location).or_default();
            let found = same_place
                .iter()
                .find(|&&index| groups[index].0.is_alike(task));
            match found {
                Some(&index) => groups[index].1 += 1,
                None => {
                    same_place.push(groups.len());
                    groups.push((task, 1));
                }
            }
        }
        for (task, count) in groups {
            write!(f, "\n  {task}")?;
            if count > 1 {
                write!(f, "; and {} like it", count - 1)?;
            }
        }
        if self.others > 0 {
            let count = self.others;
            write!(
                f,
                "\n  operations and timers of others, such as connections of a server: {count}"
            )?;
        }
        Ok(())
    }
}

/// Returns the tasks of the runtime that this code runs in, and what each waits for: the answer to
/// the question why everything stands still.
///
/// An operation or a timer is found by its waker, so a task that waits for one through a set of
/// futures with wakers of its own, as `FuturesUnordered`, shows what its last poll noted in place
/// of it. Channels and locks of [`sync`](crate::sync) are noted by their kind; those of other
/// crates are "something that this crate does not know".
///
/// This looks at each task and each operation in flight, and so takes longer the more there are.
/// It costs nothing as long as it is not called.
///
/// # Panics
///
/// Outside a runtime.
///
/// # Examples
///
/// ```
/// use annulus::{spawn, sync::Mutex, task::{self, yield_now}};
/// use std::rc::Rc;
///
/// annulus::run(async {
///     let mutex = Rc::new(Mutex::new(0));
///     let guard = mutex.lock().await;
///     let other = Rc::clone(&mutex);
///     let waiting = task::Builder::new().name("counter").spawn(async move {
///         *other.lock().await += 1;
///     });
///     yield_now().await;
///     let dump = annulus::dump();
///     assert_eq!(dump.tasks()[1].name(), Some("counter"));
///     assert_eq!(dump.tasks()[1].waits_for()[0].to_string(), "a `Mutex`");
///     println!("{dump}");
///     drop(guard);
///     waiting.await
/// })
/// # .unwrap();
/// ```
#[must_use]
pub fn dump() -> Dump {
    let driver = driver::current().unwrap_or_else(|error| panic!("{error}"));
    let views = task::views();
    let mut waits: HashMap<TaskId, Vec<WaitsFor>> = HashMap::new();
    let mut others = 0;
    let mut add = |task: Option<TaskId>, wait: WaitsFor| match task {
        Some(task) => waits.entry(task).or_default().push(wait),
        None => others += 1,
    };
    for operation in driver.waited_for() {
        let wait = match operation.name {
            Some(name) => WaitsFor::Operation {
                name,
                descriptor: operation.fd,
            },
            None => WaitsFor::Helper,
        };
        add(operation.task, wait);
    }
    time::for_each_pending(|left, waker| add(TaskId::of(waker), WaitsFor::Timer { left }));
    for view in &views {
        if view.joiner.is_some() {
            let wait = WaitsFor::Task {
                name: view.name.clone(),
                location: view.location,
            };
            add(view.joiner, wait);
        }
    }
    let show = |view: TaskView| {
        let mut waits = waits.remove(&view.id).unwrap_or_default();
        let note = view.note.to_string();
        if view.note.says_more() || waits.is_empty() {
            waits.push(WaitsFor::Other(note));
        }
        TaskDump {
            name: view.name,
            location: (!view.is_root).then_some(view.location),
            is_system: view.is_system,
            activity: view.activity,
            waits: if view.activity == Activity::Waiting {
                waits
            } else {
                Vec::new()
            },
            polls: view.polls,
        }
    };
    let tasks = views.into_iter().map(show).collect();
    let current = thread::current();
    let number = || driver::watched::current_thread().id().to_string();
    Dump {
        thread: current.name().map_or_else(number, str::to_owned),
        tasks,
        others,
    }
}
