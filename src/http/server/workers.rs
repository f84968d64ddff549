//! Runs the workers of a server, and ends them together.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::Poll,
    time::Duration,
};

use super::{
    job,
    listening::Listening,
    message::handler::Handler,
    report::Report,
    settings::Settings,
    worker::{
        self,
        admission::Admission,
        control::{Control, Inbox, Stop},
    },
};
use crate::{
    net::Acceptor,
    runtime::{Cores, Runtime},
    systemd,
    task::{self, JoinSet},
    unwind::{self, lock},
    workers,
};

/// Resolves when the server is to stop, or fails when that will never be known.
pub(super) type StopSignal = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Makes a signal once the server is stopping.
pub(super) type MakeStopSignal = Box<dyn FnOnce() -> StopSignal>;

/// The future that passes the orders to stop on to the workers.
type Watching = Pin<Box<dyn Future<Output = ()>>>;

/// The futures that stop the server.
#[derive(Default)]
pub(super) struct StopWhen {
    /// Stops it, with that deadline.
    pub(super) stop: Option<(StopSignal, Duration)>,
    /// Makes what cuts it, once it is stopping by `stop`.
    pub(super) cut: Option<MakeStopSignal>,
    /// The same unless there is a `cut`: `stop` once more.
    pub(super) again: Option<MakeStopSignal>,
}

/// The parts of a server that all its workers are made from.
pub(super) struct Workers {
    pub(super) settings: Settings,
    pub(super) admission: Admission,
    pub(super) control: Arc<Control>,
    pub(super) stop_when: StopWhen,
    /// The background jobs of each worker.
    pub(super) jobs: Vec<Vec<job::Start>>,
}

/// The parts that one worker is made from.
struct Start<M> {
    listeners: Vec<Listening>,
    make: M,
    settings: Settings,
    admission: Admission,
    control: Arc<Control>,
    inbox: Inbox,
    jobs: Vec<job::Start>,
}

impl Workers {
    /// Runs a worker on each of `cores`, and returns when all have ended. Where they are in no
    /// list of the user's, the only one runs on the calling thread.
    pub(super) fn run<M, H>(
        self,
        cores: &[usize],
        are_listed: bool,
        listeners: Vec<Vec<Listening>>,
        makes: impl Iterator<Item = M>,
    ) -> io::Result<Report>
    where
        M: FnOnce() -> H + Send + 'static,
        H: Handler,
    {
        let posts = self.control.open(cores.len());
        let mut starts: Vec<Start<M>> = posts
            .into_iter()
            .zip(listeners.into_iter().zip(makes))
            .zip(self.jobs)
            .map(|((inbox, (listeners, make)), jobs)| Start {
                listeners,
                make,
                settings: self.settings.clone(),
                admission: self.admission.clone(),
                control: Arc::clone(&self.control),
                inbox,
                jobs,
            })
            .collect();
        let report = if starts.len() == 1 && !are_listed {
            let only = starts.pop().expect("there is one");
            only.run(self.stop_when.follow(&self.control))
        } else {
            run_threads(cores, starts, self.stop_when, &self.control)?
        };
        match self.control.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }

    /// Runs one worker in the runtime that this is awaited in.
    pub(super) async fn serve<H: Handler>(
        mut self,
        listeners: Vec<Listening>,
        handler: H,
    ) -> io::Result<Report> {
        let inbox = self
            .control
            .open(1)
            .pop()
            .expect("one mailbox was asked for");
        let acceptors: io::Result<Vec<Acceptor>> = listeners
            .into_iter()
            .map(Listening::into_acceptor)
            .collect();
        let acceptors = acceptors?;
        // They end with the server, and when this is dropped.
        let mut following = JoinSet::new();
        if let Some(stop_when) = self.stop_when.follow(&self.control) {
            drop(following.spawn(stop_when));
        }
        if self.control.announcer.takes_watchdog() {
            drop(following.spawn(async { drop(systemd::watchdog().await) }));
        }
        let jobs = self.jobs.pop().expect("there is one worker");
        let (settings, admission) = (self.settings, self.admission);
        let report = worker::serve(acceptors, handler, settings, admission, inbox, jobs).await;
        match self.control.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }
}

/// Runs each worker on a thread of its own, as one of a set of the crate's.
fn run_threads<M, H>(
    cores: &[usize],
    starts: Vec<Start<M>>,
    stop_when: StopWhen,
    control: &Arc<Control>,
) -> io::Result<Report>
where
    M: FnOnce() -> H + Send + 'static,
    H: Handler,
{
    let starts: Vec<_> = starts.into_iter().map(Some).map(Mutex::new).collect();
    let set = workers::Workers::builder().cores(Cores::List(cores.to_vec()));
    let set = set.start(async move |worker| {
        let start = lock(&starts[worker.index()]).take();
        Ok::<_, io::Error>(start.expect("each starts once").run_in(&worker).await)
    })?;
    let mut failed = None;
    let stop_when = stop_when.follow(control);
    let watchdog = control.announcer.takes_watchdog();
    if stop_when.is_some() || watchdog {
        let watchdog = watchdog.then(|| systemd::watchdog_of(set.handle().clone()));
        if let Err(error) = watch_over(stop_when, watchdog, control) {
            control.stop(Stop::Now);
            failed = Some(error);
        }
    }
    let reports = set.join()?;
    let mut report = Report::default();
    for ended in reports.into_iter().flatten() {
        report.add(&ended);
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Passes the orders to stop on, and tells that the workers are alive, in a small runtime until
/// every worker has ended.
fn watch_over(
    stop_when: Option<Watching>,
    watchdog: Option<impl Future<Output = io::Result<()>> + 'static>,
    control: &Control,
) -> io::Result<()> {
    let runtime = Runtime::builder()
        .ring_entries(8)
        .receive_buffers(1)
        .build()?;
    runtime.block_on(async {
        stop_when.map(task::spawn).into_iter().for_each(drop);
        watchdog.map(task::spawn).into_iter().for_each(drop);
        poll_fn(|context| control.poll_ended(context)).await;
    });
    Ok(())
}

impl StopWhen {
    /// Returns the future that passes the orders to stop on; none when no future stops the server.
    fn follow(self, control: &Arc<Control>) -> Option<Watching> {
        let (stop, deadline) = self.stop?;
        let control = Arc::clone(control);
        Some(Box::pin(async move {
            let stopped = stop.await;
            // Made before the stop shows: who sees that may send the signal to cut at once.
            let cut = self.cut.or(self.again).map(|make| make());
            match stopped {
                Ok(()) => control.stop(Stop::Within(deadline)),
                Err(error) => control.fail(error),
            }
            if let Some(cut) = cut {
                match cut.await {
                    Ok(()) => control.stop(Stop::Now),
                    Err(error) => control.fail(error),
                }
            }
        }))
    }
}

impl fmt::Debug for StopWhen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopWhen").finish_non_exhaustive()
    }
}

impl<M, H> Start<M>
where
    M: FnOnce() -> H,
    H: Handler,
{
    /// The whole life of a worker, on this thread. Its failure goes to the control.
    fn run(self, stop_when: Option<Watching>) -> Report {
        let control = Arc::clone(&self.control);
        let serve = || self.serve(stop_when);
        match unwind::caught(serve).unwrap_or_else(panicked) {
            Ok(report) => report,
            Err(error) => {
                control.fail(error);
                Report::default()
            }
        }
    }

    fn serve(self, stop_when: Option<Watching>) -> io::Result<Report> {
        // The control hears of the end after everything else is dropped.
        let runtime = Runtime::builder().build()?;
        // A waker or a future of a handler may panic, which is no other connection's concern.
        runtime.block_on_regardless(async {
            if let Some(stop_when) = stop_when {
                drop(task::spawn(stop_when));
            }
            if self.control.announcer.takes_watchdog() {
                drop(task::spawn(systemd::watchdog()));
            }
            self.serve_here().await
        })
    }

    /// The life of a worker that is one of a set, which has made its runtime. Its failure goes to
    /// the control, which stops the others in good order.
    async fn run_in(self, worker: &workers::Worker) -> Report {
        // Should the set stop, requests have their time.
        let _ = worker.is_stopping();
        let control = Arc::clone(&self.control);
        let mut serve = pin!(self.serve_here());
        let served = poll_fn(|context| {
            unwind::caught(|| serve.as_mut().poll(context))
                .unwrap_or_else(|| Poll::Ready(panicked()))
        });
        match served.await {
            Ok(report) => report,
            Err(error) => {
                control.fail(error);
                Report::default()
            }
        }
    }

    /// Serves in the runtime that this is awaited in.
    async fn serve_here(self) -> io::Result<Report> {
        let listeners: io::Result<Vec<Acceptor>> = self
            .listeners
            .into_iter()
            .map(Listening::into_acceptor)
            .collect();
        let listeners = listeners?;
        let (settings, admission, jobs) = (self.settings, self.admission, self.jobs);
        let handler = (self.make)();
        Ok(worker::serve(listeners, handler, settings, admission, self.inbox, jobs).await)
    }
}

fn panicked() -> io::Result<Report> {
    Err(io::Error::other("a worker has panicked"))
}
