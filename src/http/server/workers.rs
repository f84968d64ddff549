//! Runs the workers of a server, and ends them together.

use std::{
    fmt,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    listening::Listening,
    message::handler::Handler,
    report::Report,
    settings::Settings,
    worker::{
        self,
        admission::Admission,
        control::{Control, Post, Stop},
    },
};
use crate::{
    net::Acceptor,
    runtime::{Builder, pin_to_core},
    task::{self, JoinSet},
    unwind,
};

/// Resolves when something is to be done, or fails when that will never be known.
pub(super) type Order = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// Makes an order when its time has come.
pub(super) type MakeOrder = Box<dyn FnOnce() -> Order>;

/// The future that passes orders to stop on to the workers.
type Orderly = Pin<Box<dyn Future<Output = ()>>>;

/// The futures that order the server to stop.
#[derive(Default)]
pub(super) struct Orders {
    /// Stops it, with that deadline.
    pub(super) stop: Option<(Order, Duration)>,
    /// Makes what cuts it, once it is stopping by `stop`.
    pub(super) cut: Option<MakeOrder>,
    /// The same unless there is a `cut`: `stop` once more.
    pub(super) again: Option<MakeOrder>,
}

/// The parts of a server that all its workers are made from.
pub(super) struct Workers {
    pub(super) settings: Settings,
    pub(super) admission: Admission,
    pub(super) control: Arc<Control>,
    pub(super) orders: Orders,
}

/// The parts that one worker is made from.
struct Start<M> {
    listeners: Vec<Listening>,
    make: M,
    settings: Settings,
    admission: Admission,
    control: Arc<Control>,
    post: Post,
}

impl Workers {
    /// Runs a worker on each of `cores`, and returns when all have ended.
    pub(super) fn run<M, H>(
        self,
        cores: &[usize],
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
            .map(|(post, (listeners, make))| Start {
                listeners,
                make,
                settings: self.settings.clone(),
                admission: self.admission.clone(),
                control: Arc::clone(&self.control),
                post,
            })
            .collect();
        let report = match (starts.pop(), starts.is_empty()) {
            (Some(only), true) => only.run(self.orders.follow(&self.control)),
            (last, _) => {
                starts.extend(last);
                run_threads(cores, starts, self.orders, &self.control)?
            }
        };
        match self.control.take_failure() {
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
        let post = self
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
        if let Some(orders) = self.orders.follow(&self.control) {
            drop(following.spawn(orders));
        }
        let report = worker::serve(acceptors, handler, self.settings, self.admission, post).await;
        match self.control.take_failure() {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }
}

/// Runs each worker on a thread of its own.
fn run_threads<M, H>(
    cores: &[usize],
    starts: Vec<Start<M>>,
    orders: Orders,
    control: &Arc<Control>,
) -> io::Result<Report>
where
    M: FnOnce() -> H + Send + 'static,
    H: Handler,
{
    let mut threads: Vec<JoinHandle<Report>> = Vec::new();
    let mut failed = None;
    for (&core, start) in cores.iter().zip(starts) {
        let work = move || {
            // A core that went away meanwhile is no reason not to serve.
            let _ = pin_to_core(core);
            start.run(None)
        };
        let name = format!("annulus-worker-{core}");
        match thread::Builder::new().name(name).spawn(work) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                control.stop(Stop::Now);
                failed = Some(error);
                break;
            }
        }
    }
    if let (Some(orders), None) = (orders.follow(control), &failed) {
        if let Err(error) = wait_for_orders(orders, control) {
            control.stop(Stop::Now);
            failed = Some(error);
        }
    }
    let mut report = Report::default();
    for thread in threads {
        let ended = thread.join().expect("a worker catches its panics");
        report.add(&ended);
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(report),
    }
}

/// Waits for the orders, in a small runtime, until every worker has ended.
fn wait_for_orders(orders: Orderly, control: &Control) -> io::Result<()> {
    let runtime = Builder::new().ring_entries(8).receive_buffers(1).build()?;
    runtime.block_on(async {
        drop(task::spawn(orders));
        poll_fn(|context| control.poll_ended(context)).await;
    });
    Ok(())
}

impl Orders {
    /// The future that passes the orders on.
    fn follow(self, control: &Arc<Control>) -> Option<Orderly> {
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

impl fmt::Debug for Orders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Orders").finish_non_exhaustive()
    }
}

impl<M, H> Start<M>
where
    M: FnOnce() -> H,
    H: Handler,
{
    /// The whole life of a worker, on this thread. Its failure goes to the control.
    fn run(self, orders: Option<Orderly>) -> Report {
        let control = Arc::clone(&self.control);
        let serve = || self.serve(orders);
        match unwind::caught(serve) {
            Some(Ok(report)) => return report,
            Some(Err(error)) => control.fail(error),
            None => control.fail(io::Error::other("a worker has panicked")),
        }
        Report::default()
    }

    fn serve(self, orders: Option<Orderly>) -> io::Result<Report> {
        // Its end is the worker's, after everything else is dropped.
        let post = self.post;
        let runtime = Builder::new().build()?;
        // What a handler waits by may panic, which is no other connection's concern.
        runtime.block_on_regardless(async {
            if let Some(orders) = orders {
                drop(task::spawn(orders));
            }
            let listeners: io::Result<Vec<Acceptor>> = self
                .listeners
                .into_iter()
                .map(Listening::into_acceptor)
                .collect();
            let (settings, admission) = (self.settings, self.admission);
            Ok(worker::serve(listeners?, (self.make)(), settings, admission, post).await)
        })
    }
}
