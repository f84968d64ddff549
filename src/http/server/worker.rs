//! One core's part of a server: it accepts, keeps the idle connections, and polls the exchanges.
//!
//! `accepting.rs` has the way in, `serving.rs` the turn of one connection, `sweeping.rs` what comes
//! with time.

mod accepting;
pub(super) mod admission;
mod connection_list;
pub(super) mod control;
pub(super) mod counts;
mod listener;
mod query;
mod serving;
mod spare_memory;
mod stopping;
mod sweeping;
mod tunnels;

use std::{
    cell::Cell,
    collections::VecDeque,
    future::poll_fn,
    mem,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    connection_info::ConnectionInfo,
    exchange::Exchange,
    job::{self, Job},
    message::handler::Handler,
    phase::Phase,
    prefaces::Prefaces,
    report::Report,
    serve::Serving,
    settings::Settings,
    worker_shared::Shared,
};
use crate::{
    budget,
    http::alarm::Alarm,
    net::Acceptor,
    task::{IndexWakes, JoinSet},
    time, unwind,
};
use admission::Admission;
use connection_list::{Connections, Doing};
use control::{Inbox, Stop};
use counts::Counts;
use listener::Listener;
use spare_memory::Burst;
use stopping::Stopping;
use tunnels::Tunnels;

/// An exchange and its future.
struct Running {
    exchange: Rc<Exchange>,
    serving: Serving,
    /// The connection that it serves.
    index: u32,
}

struct Worker<H> {
    shared: Rc<Shared>,
    handler: Rc<H>,
    inbox: Inbox,
    listeners: Vec<Listener>,
    /// TLS handshakes that may begin in this turn.
    handshakes_left: Rc<Cell<u32>>,
    started: Instant,
    /// Seconds since the start, as of this turn.
    now: u32,
    /// When the next of these seconds begins.
    next_second: Instant,
    /// Wakes by a connection's index: bytes for an idle one, whatever its handler waits for else.
    wakes: IndexWakes,
    /// Connections that were woken and wait for a turn in which less is sent: those with a request,
    /// and those with an answer under way.
    asking: VecDeque<u32>,
    answering: VecDeque<u32>,
    connections: Connections,
    /// All exchanges by number, those that serve no connection included.
    running: slab::Slab<Running>,
    tunnels: Tunnels,
    /// The numbers of those. To move the exchanges themselves would cost a request 40 instructions.
    spare: Vec<u32>,
    burst: Burst,
    /// Until the longest idle connection has been idle too long.
    sweep: Alarm,
    /// Until the writes under way are looked at.
    write_sweep: Alarm,
    /// The second at which they were looked at last. No idle connection that was used before it has
    /// an answer under way.
    writes_seen: u32,
    stopping: Option<Stopping>,
    admission: Admission,
    /// How many connections the kernel may accept ahead at once, unless they are taken one by one.
    burst_max: Option<usize>,
    /// Until a pause looks again.
    pause: Alarm,
    /// Connections that are being told that there is no room.
    refusals: JoinSet<()>,
    /// The background jobs that have not ended.
    jobs: JoinSet<()>,
}

/// TLS handshakes that begin in one turn. Each takes a fraction of a millisecond, and a whole one
/// by a key of RSA, in which the others wait.
const HANDSHAKES_PER_TURN: u32 = 8;

/// Serves what `listeners` accept, until `inbox` brings an order to stop or a listener fails, which
/// `inbox` is told then.
pub(super) async fn serve<H: Handler>(
    listeners: Vec<(Acceptor, Prefaces)>,
    handler: H,
    settings: Settings,
    admission: Admission,
    inbox: Inbox,
    jobs: Vec<job::Start>,
) -> Report {
    let started = time::now();
    let (listeners, handshakes_left) = listeners_of(listeners, &settings);
    let mut worker = Worker {
        shared: Rc::new(Shared::new(settings, inbox.is_stopping())),
        handler: Rc::new(handler),
        inbox,
        listeners,
        handshakes_left,
        started,
        now: 0,
        next_second: started,
        wakes: IndexWakes::new(),
        asking: VecDeque::new(),
        answering: VecDeque::new(),
        connections: Connections::new(),
        running: slab::Slab::new(),
        tunnels: Tunnels::default(),
        spare: Vec::new(),
        burst: Burst::default(),
        sweep: Alarm::default(),
        write_sweep: Alarm::default(),
        writes_seen: 0,
        stopping: None,
        admission,
        burst_max: None,
        pause: Alarm::default(),
        refusals: JoinSet::new(),
        jobs: JoinSet::new(),
    };
    worker.start_jobs(jobs);
    worker.burst_max = Some(sum_of_bursts(&worker.listeners));
    worker.guard_reserve();
    let mut woken = Vec::new();
    poll_fn(|context| {
        worker.begin_turn();
        worker.look_at_post(context);
        worker.accept(context);
        worker.wakes.take(&mut woken);
        worker.serve_woken(&mut woken);
        worker.close_idle(context);
        worker.look_at_writes(context);
        worker.look_at_burst(context);
        worker.join_ended(context);
        worker.poll_pause(context);
        // Handlers that were woken meanwhile have their turn when everything else has had its own:
        // a handler that wakes itself until something happens would keep that from happening.
        if worker.wakes.poll_ready(context).is_ready() {
            context.waker().wake_by_ref();
        }
        if worker.has_waiting() {
            // Newcomers are heard of from the kernel.
            budget::exhaust();
            context.waker().wake_by_ref();
        }
        if worker.has_ended() {
            Poll::Ready(worker.shared.report())
        } else {
            Poll::Pending
        }
    })
    .await
}

impl<H: Handler> Worker<H> {
    /// Begins a turn of this worker.
    fn begin_turn(&mut self) {
        if let Some(end) = time::turn_end() {
            self.used_until(end);
        }
        time::watch_turn();
        self.handshakes_left.set(HANDSHAKES_PER_TURN);
        self.set_clocks(time::now());
    }

    /// Looks at the clock again in the middle of a turn.
    fn look_at_clocks(&mut self) {
        let now = time::now();
        self.used_until(now);
        self.set_clocks(now);
    }

    /// Most turns begin in the second of the one before. To compare costs less than to subtract.
    #[inline]
    fn set_clocks(&mut self, now: Instant) {
        self.shared.look_at_clock();
        if now >= self.next_second {
            self.begin_second(now);
        }
    }

    #[cold]
    fn begin_second(&mut self, now: Instant) {
        let since = self.since_start(now);
        self.now = seconds(since);
        let next = Duration::from_secs(since.as_secs().saturating_add(1));
        // A second that no clock can show does not begin.
        self.next_second = self.started.checked_add(next).unwrap_or(now);
        self.shared.set_second(self.now);
    }

    /// How long this worker has served.
    fn since_start(&self, time: Instant) -> Duration {
        time.saturating_duration_since(self.started)
    }

    /// Notes that the last turn has lasted until `end`. When that is long a handler has blocked the
    /// thread, and what was used in that turn was used then.
    #[inline]
    fn used_until(&mut self, end: Instant) {
        if end >= self.next_second {
            let second = seconds(self.since_start(end));
            if second > self.now + 1 {
                self.connections.move_last_use(self.now, second);
            }
        }
    }

    fn look_at_post(&mut self, context: &mut Context<'_>) {
        let commands = self.inbox.take(context);
        for reply in commands.queries {
            reply.send(self.tell_connections());
        }
        for reply in commands.counts {
            reply.send([self.tell_counts()]);
        }
        match commands.stop {
            Some(Stop::Now) => self.cut(),
            Some(Stop::Within(deadline)) if self.stopping.is_none() => {
                self.begin_stop(deadline);
            }
            Some(Stop::Within(_)) | None => {}
        }
    }

    fn tell_connections(&self) -> Vec<ConnectionInfo> {
        let tell = |(doing, accepted): (&Doing, u32)| {
            let age = Duration::from_secs(u64::from(self.now.saturating_sub(accepted)));
            match doing {
                Doing::Idle(transport) if transport.is_sending() => {
                    ConnectionInfo::of(transport, Phase::Writing, age)
                }
                Doing::Idle(transport) => ConnectionInfo::of(transport, Phase::Idle, age),
                Doing::Active(number) => match self.running.get(*number as usize) {
                    Some(running) => running.exchange.info(age),
                    None => self.tunnels.get(*number).info(age),
                },
            }
        };
        self.connections.iter().map(tell).collect()
    }

    fn tell_counts(&self) -> Counts {
        let phases = self.connections.iter().map(|(doing, _)| match doing {
            Doing::Idle(transport) if transport.is_sending() => Phase::Writing,
            Doing::Idle(_) => Phase::Idle,
            Doing::Active(number) => match self.running.get(*number as usize) {
                Some(running) => running.exchange.phase(),
                None => self.tunnels.get(*number).phase(),
            },
        });
        Counts::new(self.shared.report(), phases)
    }

    fn begin_stop(&mut self, deadline: Duration) {
        let grace = self.shared.settings.timeouts.stop_grace;
        self.stopping = Some(Stopping::begin(grace, deadline, self.now));
        self.shared.begin_stop();
    }

    fn start_jobs(&mut self, jobs: Vec<job::Start>) {
        for start in jobs {
            let job = Job::new(Rc::clone(&self.shared));
            // It is called inside of the task, which catches a panic.
            self.jobs.spawn(async move { start(job).await });
        }
    }

    /// Takes the tasks that have ended off their lists.
    #[inline]
    fn join_ended(&mut self, context: &mut Context<'_>) {
        if !self.refusals.is_empty() {
            while let Poll::Ready(Some(_)) = self.refusals.poll_join_next(context) {}
        }
        if !self.jobs.is_empty() {
            self.join_jobs(context);
        }
    }

    fn join_jobs(&mut self, context: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.jobs.poll_join_next(context) {
            self.shared.count(|report| report.count_job(&ended));
        }
    }

    /// Ends every connection and every job, whatever it does.
    fn cut(&mut self) {
        if self.stopping.is_none() {
            self.begin_stop(Duration::ZERO);
        }
        self.listeners.clear();
        self.cut_connections();
    }

    fn has_ended(&self) -> bool {
        self.stopping.is_some()
            && self.listeners.is_empty()
            && self.connections.is_empty()
            && self.refusals.is_empty()
            && self.jobs.is_empty()
    }
}

impl<H> Worker<H> {
    /// Resets what is under way, so that no client takes what it has for the whole, and closes the
    /// idle connections.
    fn cut_connections(&mut self) {
        self.keep_spare(0);
        for running in self.running.drain() {
            self.shared.count_cut(running.exchange.phase());
            discard(running);
        }
        for tunnel in self.tunnels.drain() {
            self.shared.count_cut(tunnel.phase());
            tunnel.cut(&self.shared);
        }
        for index in self.connections.unsent_since(0) {
            self.shared.count(|report| report.cut += 1);
            if let Some(Doing::Idle(transport)) = self.connections.doing(index) {
                transport.cut();
            }
        }
        self.connections.clear();
        self.refusals = JoinSet::new();
        while let Some(ended) = self.jobs.try_join_next() {
            self.shared.count(|report| report.count_job(&ended));
        }
        let jobs = mem::take(&mut self.jobs);
        self.shared
            .count(|report| report.jobs_cut += jobs.len() as u64);
    }

    /// Drops the exchanges that serve no connection, but `kept_max`: those with the lowest numbers,
    /// so that the table of all can shrink.
    fn keep_spare(&mut self, kept_max: usize) {
        self.spare.sort_unstable();
        let kept_max = kept_max.min(self.spare.len());
        for number in self.spare.drain(kept_max..) {
            drop(self.running.remove(number as usize));
        }
    }
}

/// A server that is dropped while it serves leaves its connections as a cut does.
impl<H> Drop for Worker<H> {
    fn drop(&mut self) {
        self.cut_connections();
    }
}

/// The listeners of a worker, and the count of their handshakes.
fn listeners_of(
    listeners: Vec<(Acceptor, Prefaces)>,
    settings: &Settings,
) -> (Vec<Listener>, Rc<Cell<u32>>) {
    let left = Rc::new(Cell::new(HANDSHAKES_PER_TURN));
    let listeners = listeners
        .into_iter()
        .map(|(acceptor, prefaces)| Listener::new(acceptor, prefaces, settings, &left))
        .collect();
    (listeners, left)
}

/// How many connections the kernel may accept ahead at once.
fn sum_of_bursts(listeners: &[Listener]) -> usize {
    listeners
        .iter()
        .map(|listener| listener.acceptor.burst_max())
        .sum()
}

/// A time of the worker's clock.
fn seconds(since: Duration) -> u32 {
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}

/// Drops an exchange with what its handler left, which is the user's and may panic.
fn discard(running: Running) {
    unwind::swallow(|| running.exchange.abort());
    unwind::swallow(|| drop(running));
}
