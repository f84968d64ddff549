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
mod own_thread;
mod page;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

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
    let mut question = MetricsQuestion::ask();
    let _in_time = time::timeout(patience, &mut question).await;
    question.page()
}

/// As [`metrics`], on a thread without a runtime, which it blocks.
///
/// # Panics
///
/// Inside a runtime, which could not answer meanwhile.
#[must_use]
pub fn blocking_metrics(patience: Duration) -> String {
    assert_outside();
    let mut question = MetricsQuestion::ask();
    registry::wait_for(&mut question, patience);
    question.page()
}

/// The questions of a page. As a future it is ready when all are answered.
struct MetricsQuestion {
    stats: Asked<Stats>,
    others: Gathering,
}

impl MetricsQuestion {
    fn ask() -> Self {
        Self {
            stats: registry::ask_all(runtime::stats),
            others: Gathering::begin(),
        }
    }

    /// The page with the answers that have come.
    fn page(self) -> String {
        page::write(&take(self.stats), self.others.families())
    }
}

impl Future for MetricsQuestion {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let stats = Pin::new(&mut self.stats).poll(context);
        let others = Pin::new(&mut self.others).poll(context);
        if stats.is_ready() && others.is_ready() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

async fn ask<T: Send + 'static>(patience: Duration, answer: fn() -> T) -> Vec<Inspected<T>> {
    let mut asked = registry::ask_all(answer);
    let _in_time = time::timeout(patience, &mut asked).await;
    take(asked)
}

fn ask_blocking<T: Send + 'static>(patience: Duration, answer: fn() -> T) -> Vec<Inspected<T>> {
    assert_outside();
    let mut asked = registry::ask_all(answer);
    registry::wait_for(&mut asked, patience);
    take(asked)
}

fn assert_outside() {
    assert!(
        !runtime::is_inside(),
        "this blocks the thread, and was called inside a runtime: use the function without \
         `blocking_` there"
    );
}

fn take<T>(mut asked: Asked<T>) -> Vec<Inspected<T>> {
    let inspected = asked.take().into_iter().map(|(seat, answer)| Inspected {
        number: seat.number(),
        thread: seat.thread().to_owned(),
        answer: answer.ok_or_else(|| seat.silence()),
    });
    inspected.collect()
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::{Arc, Weak},
        time::Instant,
    };

    use super::*;
    use crate::Runtime;

    /// A source that never answers.
    struct Stuck;

    impl Source for Stuck {
        fn tell(self: Arc<Self>) -> Telling {
            Box::pin(pending())
        }
    }

    /// The one source and the one runtime that do not answer are waited for together.
    #[test]
    fn a_page_comes_when_the_patience_is_over_once() {
        const PATIENCE: Duration = Duration::from_secs(3600);

        let stuck = Arc::new(Stuck);
        let source: Weak<Stuck> = Arc::downgrade(&stuck);
        add_source(source);
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let (made, is_made) = std::sync::mpsc::channel();
        let outside = std::thread::spawn(move || {
            let runtime = Runtime::new().unwrap();
            made.send(()).unwrap();
            drop((told.recv(), runtime));
        });
        is_made.recv().unwrap();
        crate::run(async {
            time::pause();
            let start: Instant = time::now();
            let page = metrics(PATIENCE).await;
            assert_eq!(time::now() - start, PATIENCE);
            assert!(page.contains("annulus_runtime_up"), "{page}");
        });
        drop(tell);
        outside.join().unwrap();
    }
}
