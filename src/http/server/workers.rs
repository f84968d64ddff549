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
    runtime::{Cores, Runtime},
    systemd,
    task::{self, JoinSet},
    unwind::{self, lock},
    workers::{self, Configure},
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
    /// Changes the options of the runtimes that are made for it.
    pub(super) configure: Option<Configure>,
}

/// One worker's part of a server, which any thread may take.
pub(super) struct Part {
    listeners: Vec<Listening>,
    settings: Settings,
    admission: Admission,
    control: Arc<Control>,
    inbox: Inbox,
    jobs: Vec<job::Start>,
}

/// A worker before it begins: its part, and the maker of its handler.
struct Start<M> {
    part: Part,
    make: M,
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
        let control = Arc::clone(&self.control);
        let configure = self.configure.clone();
        let (parts, stop_when) = self.parts(listeners);
        let parts = parts.into_iter().zip(makes);
        let mut starts: Vec<Start<M>> = parts.map(|(part, make)| Start { part, make }).collect();
        let report = if starts.len() == 1 && !are_listed {
            let only = starts.pop().expect("there is one");
            only.run(configure, stop_when.follow(&control))
        } else {
            run_threads(cores, starts, configure, stop_when, &control)?
        };
        match control.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }

    /// Runs one worker in the runtime that this is awaited in.
    pub(super) async fn serve<H: Handler>(
        self,
        listeners: Vec<Listening>,
        handler: H,
    ) -> io::Result<Report> {
        let control = Arc::clone(&self.control);
        let (mut parts, stop_when) = self.parts(vec![listeners]);
        let part = parts.pop().expect("there is one worker");
        let orders = stop_when.follow(&control);
        let says_alive = control.announcer.takes_watchdog();
        let report = part.serve(|| handler, orders, says_alive).await;
        match control.take_failure() {
            Some(failure) => Err(failure),
            None => report,
        }
    }

    /// The part of each worker, by the listening sockets that each has.
    pub(super) fn parts(self, listeners: Vec<Vec<Listening>>) -> (Vec<Part>, StopWhen) {
        let inboxes = self.control.open(listeners.len());
        let parts = inboxes.into_iter().zip(listeners).zip(self.jobs);
        let parts = parts.map(|((inbox, listeners), jobs)| Part {
            listeners,
            settings: self.settings.clone(),
            admission: self.admission.clone(),
            control: Arc::clone(&self.control),
            inbox,
            jobs,
        });
        (parts.collect(), self.stop_when)
    }
}

impl Part {
    /// Serves in the runtime that this is awaited in. `orders` stop the server, as does the set of
    /// workers that the thread is of; `says_alive` is for one that tells the service manager.
    pub(super) async fn serve<H: Handler>(
        self,
        make: impl FnOnce() -> H,
        orders: Option<Watching>,
        says_alive: bool,
    ) -> io::Result<Report> {
        let listeners: io::Result<Vec<_>> = self
            .listeners
            .into_iter()
            .map(Listening::into_acceptor)
            .collect();
        let listeners = listeners?;
        // They end with the part, and when this is dropped.
        let mut beside = JoinSet::new();
        if let Some(worker) = workers::Worker::current() {
            let control = Arc::clone(&self.control);
            drop(beside.spawn(follow_set(&worker, control, orders.is_some())));
        }
        if let Some(orders) = orders {
            drop(beside.spawn(orders));
        }
        if says_alive {
            drop(beside.spawn(async { drop(systemd::watchdog().await) }));
        }
        let (settings, admission, jobs) = (self.settings, self.admission, self.jobs);
        let handler = make();
        self.control.announcer.worker_serves()?;
        Ok(worker::serve(listeners, handler, settings, admission, self.inbox, jobs).await)
    }
}

/// Stops the server with the set of workers that serves it. The set has the deadline. Where the
/// server has orders of its own, only the end of the set's time cuts it.
fn follow_set(
    worker: &workers::Worker,
    control: Arc<Control>,
    has_orders: bool,
) -> impl Future<Output = ()> + use<> {
    let (stopping, cutting) = (worker.stopping(), worker.cutting());
    async move {
        if !has_orders {
            stopping.await;
            control.stop_first(Stop::Within(Duration::MAX));
        }
        cutting.await;
        control.stop(Stop::Now);
    }
}

/// Runs each worker on a thread of its own, as one of a set of the crate's.
fn run_threads<M, H>(
    cores: &[usize],
    starts: Vec<Start<M>>,
    configure: Option<Configure>,
    stop_when: StopWhen,
    control: &Arc<Control>,
) -> io::Result<Report>
where
    M: FnOnce() -> H + Send + 'static,
    H: Handler,
{
    let starts: Vec<_> = starts.into_iter().map(Some).map(Mutex::new).collect();
    let mut set = workers::Workers::builder().cores(Cores::List(cores.to_vec()));
    if let Some(configure) = configure {
        set = set.runtime(move |builder| configure(builder));
    }
    let set = set.start(async move |worker| {
        let start = lock(&starts[worker.index()]).take();
        Ok::<_, io::Error>(start.expect("each starts once").run_in_set().await)
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
    fn run(self, configure: Option<Configure>, orders: Option<Watching>) -> Report {
        let control = Arc::clone(&self.part.control);
        let serve = || self.serve(configure, orders);
        match unwind::caught(serve).unwrap_or_else(panicked) {
            Ok(report) => report,
            Err(error) => {
                control.fail(error);
                Report::default()
            }
        }
    }

    fn serve(self, configure: Option<Configure>, orders: Option<Watching>) -> io::Result<Report> {
        // The control hears of the end after everything else is dropped.
        let builder = Runtime::builder();
        let builder = match configure {
            Some(configure) => configure(builder),
            None => builder,
        };
        let runtime = builder.build()?;
        let says_alive = self.part.control.announcer.takes_watchdog();
        // A waker or a future of a handler may panic, which is no other connection's concern.
        runtime.block_on_regardless(self.part.serve(self.make, orders, says_alive))
    }

    /// The life of a worker that is one of a set, which has made its runtime. Its failure goes to
    /// the control, which stops the others in good order.
    async fn run_in_set(self) -> Report {
        let control = Arc::clone(&self.part.control);
        let mut serve = pin!(self.part.serve(self.make, None, false));
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
}

fn panicked() -> io::Result<Report> {
    Err(io::Error::other("a worker has panicked"))
}
