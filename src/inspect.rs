//! Counts, tasks and metrics of all runtimes of this process, for its operator.
//!
//! [`annulus::stats`](crate::stats) and [`annulus::dump`](crate::dump) are about the runtime that
//! they are called in. The functions here ask every runtime of the process, whichever way it was
//! made: by `run`, as one of [`Workers`](crate::Workers), or by a server. Each answers between two
//! polls, also when all of its tasks wait, and also when it sleeps. A runtime that is not asked
//! does nothing for it.
//!
//! A thread that is stuck does not answer. So each function takes a *patience*, after which it
//! returns what it has, and tells of each other thread why it is silent.
//!
//! | Question | In a runtime | On a thread without one |
//! |---|---|---|
//! | Counts | [`stats`] | [`blocking_stats`] |
//! | What each task waits for | [`dumps`] | [`blocking_dumps`] |
//! | All counts as a page for Prometheus | [`metrics`] | [`blocking_metrics`] |
//!
//! [`listen`] answers the last two at a Unix socket, and [`dump_on`] writes the dumps to standard
//! error at a signal.

mod listener;
mod metric;
mod on_signal;
mod page;

use std::{fmt, time::Duration};

pub use listener::{Inspector, listen};
pub use on_signal::dump_on;

pub(crate) use metric::{Family, Kind, Source, Telling, add_source};

use metric::Gathering;

use crate::{
    runtime::{
        self, Dump, Stats,
        registry::{self, Asked},
    },
    time,
};

pub use crate::runtime::Silence;

/// The answer of one runtime, or why there is none.
#[derive(Clone, Debug)]
pub struct Inspected<T> {
    number: usize,
    thread: String,
    answer: Result<T, Silence>,
}

impl<T> Inspected<T> {
    /// Returns the name of the runtime's thread, or its number if it has no name.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns the number of the runtime, which no other of the process has or had. Several may
    /// have threads of one name, or one thread.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns the answer.
    ///
    /// # Errors
    ///
    /// Why the runtime has not answered.
    pub fn answer(&self) -> Result<&T, &Silence> {
        self.answer.as_ref()
    }
}

/// The dump, or that there is none and why.
impl fmt::Display for Inspected<Dump> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer {
            Ok(dump) => dump.fmt(f),
            Err(silence) => write!(f, "thread `{}` {silence}", self.thread),
        }
    }
}

/// Returns the counts of every runtime of the process, in the order in which they were made.
///
/// # Panics
///
/// Outside a runtime: use [`blocking_stats`] there.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Examples
///
/// ```
/// use annulus::inspect;
/// use std::time::Duration;
///
/// annulus::run(async {
///     let all = inspect::stats(Duration::from_secs(1)).await;
///     let answers = all.iter().flat_map(|one| one.answer());
///     let tasks: u64 = answers.map(|stats| stats.tasks.alive()).sum();
///     println!("{tasks} tasks on {} threads", all.len());
/// });
/// ```
pub async fn stats(patience: Duration) -> Vec<Inspected<Stats>> {
    ask(patience, runtime::stats).await
}

/// As [`stats`], on a thread without a runtime, which it blocks.
///
/// # Panics
///
/// Inside a runtime, which could not answer meanwhile.
#[must_use]
pub fn blocking_stats(patience: Duration) -> Vec<Inspected<Stats>> {
    ask_blocking(patience, runtime::stats)
}

/// Returns the tasks of every runtime of the process, and what each waits for.
///
/// # Panics
///
/// Outside a runtime: use [`blocking_dumps`] there.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Examples
///
/// ```
/// use annulus::inspect;
/// use std::time::Duration;
///
/// # annulus::run(async {
/// for dump in inspect::dumps(Duration::from_secs(1)).await {
///     println!("{dump}");
/// }
/// # });
/// ```
pub async fn dumps(patience: Duration) -> Vec<Inspected<Dump>> {
    ask(patience, runtime::dump).await
}

/// As [`dumps`], on a thread without a runtime, which it blocks.
///
/// # Panics
///
/// Inside a runtime, which could not answer meanwhile.
#[must_use]
pub fn blocking_dumps(patience: Duration) -> Vec<Inspected<Dump>> {
    ask_blocking(patience, runtime::dump)
}

/// Returns the counts of all runtimes and of all HTTP servers of the process as a page for
/// Prometheus, in its text format 0.0.4. The HTTP server has a handler that sends it.
///
/// # Panics
///
/// Outside a runtime: use [`blocking_metrics`] there.
///
/// # Cancel safety
///
/// Nothing is lost.
///
/// # Source
///
/// <https://prometheus.io/docs/instrumenting/exposition_formats/>
pub async fn metrics(patience: Duration) -> String {
    let mut gathering = Gathering::begin();
    let stats = stats(patience).await;
    let _in_time = time::timeout(patience, &mut gathering).await;
    page::write(&stats, gathering.families())
}

/// As [`metrics`], on a thread without a runtime, which it blocks.
///
/// # Panics
///
/// Inside a runtime, which could not answer meanwhile.
#[must_use]
pub fn blocking_metrics(patience: Duration) -> String {
    let mut gathering = Gathering::begin();
    let stats = blocking_stats(patience);
    registry::wait_for(&mut gathering, patience);
    page::write(&stats, gathering.families())
}

async fn ask<T: Send + 'static>(patience: Duration, answer: fn() -> T) -> Vec<Inspected<T>> {
    let mut asked = registry::ask_all(answer);
    let _in_time = time::timeout(patience, &mut asked).await;
    take(asked)
}

fn ask_blocking<T: Send + 'static>(patience: Duration, answer: fn() -> T) -> Vec<Inspected<T>> {
    assert!(
        !runtime::is_inside(),
        "this blocks the thread, and was called inside a runtime: use the function without \
         `blocking_` there"
    );
    let mut asked = registry::ask_all(answer);
    registry::wait_for(&mut asked, patience);
    take(asked)
}

fn take<T>(mut asked: Asked<T>) -> Vec<Inspected<T>> {
    let inspected = asked.take().into_iter().map(|(seat, answer)| Inspected {
        number: seat.number(),
        thread: seat.thread().to_owned(),
        answer: answer.ok_or_else(|| seat.silence()),
    });
    inspected.collect()
}
