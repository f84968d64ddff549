//! One core's part of a server: it accepts, keeps the idle connections, and polls the exchanges.

use std::{
    future::poll_fn,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    ConnectionInfo, Handler, Report,
    activity::Phase,
    admission::Admission,
    burst::Burst,
    connections::{Connections, Doing},
    control::{Post, Stop},
    exchange::{Ended, Exchange, Written},
    refusal::refuse,
    serve::{Serving, serve_all},
    settings::Settings,
    shared::Shared,
    stopping::{Due, Stopping},
};
use crate::{
    driver,
    net::{Acceptor, Socket},
    pool::ManagedBuf,
    sys,
    task::{IndexWakes, JoinSet},
    time::{self, Sleep},
};

/// Used exchanges that are kept for the next connection.
const SPARE_MAX: usize = 64;
/// Connections accepted before those that are here get their turn.
const ACCEPTS_PER_TURN: usize = 32;
/// Connections that a listener has taken from its backlog when it closes. More would keep coming
/// under load, for ever.
const LAST_ACCEPTS_MAX: usize = 8192;
/// Times that one connection is served before the others get their turn.
const ROUNDS_PER_TURN: usize = 4;

/// How long a connection that has not said anything counts as fresh, by a clock of whole seconds.
const FRESH_SECONDS: u32 = 1;

/// When descriptors have run out, this part of the connections makes room, if it is idle.
const EXHAUSTED_PART: usize = 16;

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
    post: Post,
    listeners: Vec<Acceptor>,
    started: Instant,
    /// Seconds since the start, as of this turn.
    now: u32,
    /// Wakes by a connection's index: bytes for an idle one, whatever its handler waits for else.
    wakes: IndexWakes,
    connections: Connections,
    running: slab::Slab<Running>,
    spare: Vec<Running>,
    burst: Burst,
    /// Until the longest idle connection has been idle too long.
    sweep: Option<Sleep>,
    /// Until the writes under way are looked at.
    write_sweep: Option<Sleep>,
    /// The second at which they were looked at last. No idle connection that was used before it has
    /// an answer under way.
    writes_seen: u32,
    stopping: Option<Stopping>,
    admission: Admission,
    /// Until a pause looks again.
    pause: Option<Sleep>,
    /// Connections that are being told that there is no room.
    refusals: JoinSet<()>,
}

/// Serves what `listeners` accept, until `post` brings an order to stop or a listener fails, which
/// `post` is told then.
pub(super) async fn serve<H: Handler>(
    listeners: Vec<Acceptor>,
    handler: H,
    settings: Settings,
    admission: Admission,
    post: Post,
) -> Report {
    let mut worker = Worker {
        shared: Rc::new(Shared::new(settings, post.is_stopping())),
        handler: Rc::new(handler),
        post,
        listeners,
        started: time::now(),
        now: 0,
        wakes: IndexWakes::new(),
        connections: Connections::new(),
        running: slab::Slab::new(),
        spare: Vec::new(),
        burst: Burst::default(),
        sweep: None,
        write_sweep: None,
        writes_seen: 0,
        stopping: None,
        admission,
        pause: None,
        refusals: JoinSet::new(),
    };
    let mut woken = Vec::new();
    poll_fn(|context| {
        worker.look_at_clocks();
        worker.look_at_post(context);
        worker.accept(context);
        worker.wakes.take(&mut woken);
        for index in woken.drain(..) {
            worker.serve_index(index);
        }
        worker.close_idle(context);
        worker.look_at_writes(context);
        worker.look_at_burst(context);
        while let Poll::Ready(Some(_)) = worker.refusals.poll_join_next(context) {}
        worker.poll_pause(context);
        // What was woken meanwhile has its turn when everything else has had its own: a handler
        // that wakes itself until something happens would keep that from happening.
        if worker.wakes.poll_ready(context).is_ready() {
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
    fn look_at_clocks(&mut self) {
        self.shared.look_at_clock();
        let since = time::now().saturating_duration_since(self.started);
        self.now = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
        self.shared.set_second(self.now);
    }

    fn look_at_post(&mut self, context: &mut Context<'_>) {
        let letters = self.post.take(context);
        for ballot in letters.ballots {
            ballot.fill_in(self.tell_connections());
        }
        match letters.stop {
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
                    transport.info(Phase::Writing, age)
                }
                Doing::Idle(transport) => transport.info(Phase::Idle, age),
                Doing::Active(number) => self.running[*number as usize].exchange.info(age),
            }
        };
        self.connections.iter().map(tell).collect()
    }

    fn begin_stop(&mut self, deadline: Duration) {
        let grace = self.shared.settings.timeouts.stop_grace;
        self.stopping = Some(Stopping::begin(grace, deadline, self.now));
        self.shared.begin_stop();
    }

    fn accept(&mut self, context: &mut Context<'_>) {
        if self.stopping.is_some() {
            return self.accept_last(context);
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let mut is_pending = true;
            for listener in 0..self.listeners.len() {
                if !self.may_accept() {
                    return;
                }
                match self.listeners[listener].poll_accept(context) {
                    Poll::Ready(Ok(socket)) => {
                        is_pending = false;
                        self.admit(socket);
                    }
                    // The listener rests by itself when descriptors have run out; the next call
                    // waits.
                    Poll::Ready(Err(error)) if is_exhausted(&error) => {
                        is_pending = false;
                        self.shared.count(|report| report.exhausted += 1);
                        self.evict_some();
                    }
                    Poll::Ready(Err(error)) => return self.post.fail(error),
                    Poll::Pending => {}
                }
            }
            if is_pending {
                return;
            }
        }
        context.waker().wake_by_ref();
    }

    /// Takes the connections that the kernel has accepted for us, and closes the listeners, so that
    /// nobody connects any more.
    fn accept_last(&mut self, context: &mut Context<'_>) {
        let mut listeners = std::mem::take(&mut self.listeners);
        listeners.retain(|listener| {
            for _ in 0..LAST_ACCEPTS_MAX {
                match listener.poll_stop(context) {
                    Poll::Ready(Some(socket)) => self.add(socket),
                    Poll::Ready(None) => return false,
                    Poll::Pending => return true,
                }
            }
            false
        });
        self.listeners = listeners;
    }

    fn may_accept(&mut self) -> bool {
        let (count, has_idle) = (self.connections.len(), self.evictable().is_some());
        let was_paused = self.admission.is_paused();
        let may_accept = self
            .admission
            .may_accept(count, has_idle, self.refusals.len());
        if !may_accept && !was_paused {
            self.shared.count(|report| report.pauses += 1);
        }
        may_accept
    }

    /// Takes a connection, in place of the longest idle one when there is no room.
    fn admit(&mut self, socket: Socket) {
        if self.admission.has_room(self.connections.len()) || self.evict() {
            return self.add(socket);
        }
        self.shared.count(|report| report.accepted += 1);
        // The access log is the user's and may panic.
        let refuse = || refuse(socket.into(), &self.shared);
        if let Ok(refusal) = catch_unwind(AssertUnwindSafe(refuse)) {
            self.refusals.spawn(refusal);
        }
    }

    /// Makes room for more than one connection, since the listener rests after each failure.
    fn evict_some(&mut self) {
        for _ in 0..=self.connections.len() / EXHAUSTED_PART {
            self.evict();
        }
    }

    /// The connection that has been idle longest, unless it came in the last moment and its request
    /// is most likely on its way.
    fn evictable(&self) -> Option<u32> {
        let (index, _) = self.connections.longest_idle()?;
        let is_fresh = self
            .connections
            .is_fresh(index, self.now.saturating_sub(FRESH_SECONDS));
        (!is_fresh).then_some(index)
    }

    /// Looks again at what it paused for: those that were fresh may have said nothing.
    fn poll_pause(&mut self, context: &mut Context<'_>) {
        while self.admission.is_paused() {
            if self.may_accept() {
                return context.waker().wake_by_ref();
            }
            let again = || time::sleep(Duration::from_secs(u64::from(FRESH_SECONDS)));
            if Pin::new(self.pause.get_or_insert_with(again))
                .poll(context)
                .is_pending()
            {
                return;
            }
            self.pause = None;
            self.look_at_clocks();
        }
        self.pause = None;
    }

    /// Closes the connection that has been idle longest. One that has sent something in the last
    /// moment is served instead, and the next longest idle one is looked at.
    fn evict(&mut self) -> bool {
        let count = self.connections.len();
        // All of them may have sent something, and again when they are idle again.
        for _ in 0..count {
            let Some(index) = self.evictable() else {
                return false;
            };
            self.serve_index(index);
            // What was served and is idle again stands last.
            let longest_idle = self.connections.longest_idle();
            if longest_idle.is_some_and(|(longest, _)| longest == index) {
                self.shared.count(|report| report.evicted += 1);
                drop(self.connections.remove(index));
            }
            if self.connections.len() < count {
                return true;
            }
        }
        false
    }

    fn add(&mut self, socket: Socket) {
        self.shared.count(|report| report.accepted += 1);
        let index = self.connections.insert(socket.into(), self.now);
        // Its first turn asks the kernel for bytes.
        self.wakes.waker(index).wake();
    }

    /// Wakes the exchanges whose writes take long, so that they count their time, and gives one to
    /// every connection that is idle but for its answer. The timer is armed once a second as long as
    /// anything is written.
    fn look_at_writes(&mut self, context: &mut Context<'_>) {
        if self.write_sweep.is_none() && !self.shared.has_writes().get() {
            return;
        }
        let next = || time::sleep(Duration::from_secs(1));
        while Pin::new(self.write_sweep.get_or_insert_with(next))
            .poll(context)
            .is_ready()
        {
            self.write_sweep = None;
            self.look_at_clocks();
            self.shared.has_writes().set(false);
            for (_, running) in &self.running {
                match running.exchange.look_at_write(self.now) {
                    Written::All => {}
                    Written::Soon => self.shared.has_writes().set(true),
                    Written::Slowly => self.wakes.waker(running.index).wake(),
                }
            }
            for index in self.connections.unsent_since(self.writes_seen) {
                if self.connections.last_used(index) >= self.now {
                    self.shared.has_writes().set(true);
                } else {
                    self.wait_for_write(index);
                }
            }
            self.writes_seen = self.now;
            if !self.shared.has_writes().get() {
                return;
            }
        }
    }

    /// The turn of one connection.
    fn serve_index(&mut self, index: u32) {
        let waker = self.wakes.waker(index);
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS_PER_TURN {
            let number = match self.connections.doing(index) {
                Some(Doing::Active(number)) => *number,
                Some(Doing::Idle(stream)) => match stream.poll_recv(&mut context) {
                    Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.activate(index, bytes),
                    // What is still to be sent to it is waited for.
                    Poll::Ready(Ok(end)) if stream.is_sending() => self.activate(index, end),
                    Poll::Pending if stream.is_sending() && self.stopping.is_some() => {
                        self.activate(index, ManagedBuf::empty())
                    }
                    Poll::Ready(_) => return drop(self.connections.remove(index)),
                    Poll::Pending if self.closes_idle(index) => {
                        return drop(self.connections.remove(index));
                    }
                    Poll::Pending => return,
                },
                None => return,
            };
            let running = &mut self.running[number as usize];
            let poll = || running.serving.as_mut().poll(&mut context);
            if catch_unwind(AssertUnwindSafe(poll)).is_err() {
                let broken = self.running.remove(number as usize);
                drop(self.connections.remove(index));
                discard(broken);
                return self.count_finished();
            }
            match running.exchange.take_ended() {
                None => return,
                Some(Ended::Idle(stream)) => {
                    self.count_finished();
                    self.recycle(number);
                    self.connections.rest(index, stream, self.now);
                }
                Some(Ended::Closed) => {
                    self.count_finished();
                    self.recycle(number);
                    return drop(self.connections.remove(index));
                }
            }
        }
        waker.wake();
    }

    /// Gives a connection that is idle but for its answer to an exchange, which waits until that is
    /// sent.
    fn wait_for_write(&mut self, index: u32) {
        self.activate(index, ManagedBuf::empty());
        self.wakes.waker(index).wake();
    }

    /// Gives an idle connection to an exchange, and returns that one's number.
    fn activate(&mut self, index: u32, bytes: ManagedBuf) -> u32 {
        let mut running = self.spare.pop().unwrap_or_else(|| {
            let exchange = Exchange::new(Rc::clone(&self.shared));
            let serving = Box::pin(serve_all(Rc::clone(&exchange), Rc::clone(&self.handler)));
            Running {
                exchange,
                serving,
                index,
            }
        });
        running.index = index;
        let exchange = Rc::clone(&running.exchange);
        let number = u32::try_from(self.running.insert(running))
            .expect("there are no more exchanges than connections");
        let stream = self
            .connections
            .activate(index, number)
            .expect("the connection was idle");
        exchange.give(stream, bytes);
        number
    }

    fn recycle(&mut self, number: u32) {
        let running = self.running.remove(number as usize);
        // A request that its handler kept would be told of the next one's body.
        if self.spare.len() < SPARE_MAX {
            self.spare.push(running);
        } else {
            self.burst.note_dropped(1);
        }
    }

    /// Gives back the memory that a burst of requests needed.
    fn look_at_burst(&mut self, context: &mut Context<'_>) {
        let (running, spare) = (self.running.len(), self.spare.len());
        self.burst.note_dropped(self.shared.outbox.take_dropped());
        let Poll::Ready(over) = self.burst.poll_over(running, spare, context) else {
            return;
        };
        self.spare.truncate(over.kept_max);
        if over.gives_back {
            // Timers that were armed in the burst stand behind all of its own. They are armed anew.
            self.sweep = None;
            self.write_sweep = None;
            context.waker().wake_by_ref();
            time::shrink();
            self.spare.shrink_to_fit();
            self.shared.outbox.shrink(over.kept_max);
            self.running.shrink_to_fit();
            self.wakes.shrink();
            if let Ok(driver) = driver::current() {
                driver.shrink();
            }
            sys::give_back_memory();
        }
    }

    fn count_finished(&self) {
        if self.shared.is_stopping() {
            self.shared.count(|report| report.finished += 1);
        }
    }

    /// Closes the connections that have been idle too long.
    fn close_idle(&mut self, context: &mut Context<'_>) {
        if let Some(stopping) = &mut self.stopping {
            match stopping.poll(context) {
                Due::Nothing => {}
                Due::Idle => self.serve_idle(),
                Due::Everything => self.cut(),
            }
            return;
        }
        loop {
            if let Some(sweep) = &mut self.sweep {
                if Pin::new(sweep).poll(context).is_pending() {
                    return;
                }
                self.sweep = None;
            }
            let Some((index, since)) = self.connections.longest_idle() else {
                return;
            };
            let since = Duration::from_secs(u64::from(since) + 1);
            let deadline = self
                .started
                .checked_add(since.saturating_add(self.shared.settings.timeouts.idle));
            // So long a time never passes.
            let Some(deadline) = deadline else { return };
            if deadline > time::now() {
                self.sweep = Some(time::sleep_until(deadline));
            } else if self.connections.is_unsent(index) {
                self.wait_for_write(index);
            } else {
                self.shared.count(|report| report.timed_out += 1);
                drop(self.connections.remove(index));
            }
        }
    }

    /// Gives every idle connection its turn, to be answered or closed.
    fn serve_idle(&mut self) {
        let idle: Vec<u32> = self.connections.idle().collect();
        for index in idle {
            self.serve_index(index);
        }
    }

    /// Whether the stop closes a connection that is idle.
    fn closes_idle(&self, index: u32) -> bool {
        self.stopping.as_ref().is_some_and(|stopping| {
            let is_fresh = self.connections.is_fresh(index, stopping.fresh_since());
            stopping.closes_idle(is_fresh)
        })
    }

    /// Ends every connection, whatever it does.
    fn cut(&mut self) {
        if self.stopping.is_none() {
            self.begin_stop(Duration::ZERO);
        }
        self.listeners.clear();
        for running in self.running.drain() {
            // Whoever only does not close its side has had the whole answer.
            let is_answered = running.exchange.phase.get() == Phase::Closing;
            self.shared.count(|report| {
                let count = if is_answered {
                    &mut report.finished
                } else {
                    &mut report.cut
                };
                *count += 1;
            });
            discard(running);
        }
        for index in self.connections.unsent_since(0) {
            self.shared.count(|report| report.cut += 1);
            if let Some(Doing::Idle(transport)) = self.connections.doing(index) {
                transport.cut();
            }
        }
        self.connections.clear();
        self.refusals = JoinSet::new();
    }

    fn has_ended(&self) -> bool {
        self.stopping.is_some()
            && self.listeners.is_empty()
            && self.connections.is_empty()
            && self.refusals.is_empty()
    }
}

/// Drops an exchange with what its handler left, which is the user's and may panic.
fn discard(running: Running) {
    let _ = catch_unwind(AssertUnwindSafe(|| running.exchange.abort()));
    let _ = catch_unwind(AssertUnwindSafe(|| drop(running)));
}

fn is_exhausted(error: &io::Error) -> bool {
    use crate::sys::errno;
    matches!(
        error.raw_os_error(),
        Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
    )
}
