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

use futures_core::Stream as _;

use super::{
    Handler,
    connections::{Connections, Doing},
    exchange::{Ended, Exchange},
    serve::{Serving, serve_all},
    settings::Settings,
    shared::Shared,
};
use crate::{
    net::{Incoming, TcpListener},
    pool::ManagedBuf,
    task::IndexWakes,
    time::{self, Sleep},
};

/// Used exchanges that are kept for the next connection.
const SPARE_MAX: usize = 64;
/// Connections accepted before those that are here get their turn.
const ACCEPTS_PER_TURN: usize = 32;
/// Times that one connection is served before the others get their turn.
const ROUNDS_PER_TURN: usize = 4;

/// An exchange and its future.
struct Running {
    exchange: Rc<Exchange>,
    serving: Serving,
}

struct Worker<H> {
    shared: Rc<Shared>,
    handler: Rc<H>,
    started: Instant,
    /// Seconds since the start, as of this turn.
    now: u32,
    /// Wakes by a connection's index: bytes for an idle one, whatever its handler waits for else.
    wakes: IndexWakes,
    connections: Connections,
    running: slab::Slab<Running>,
    spare: Vec<Running>,
    /// Until the longest idle connection has been idle too long.
    sweep: Option<Sleep>,
}

/// Serves what `listener` accepts.
pub(super) async fn serve<H: Handler>(
    listener: &TcpListener,
    handler: H,
    settings: Settings,
) -> io::Result<()> {
    let mut worker = Worker {
        shared: Rc::new(Shared::new(settings)),
        handler: Rc::new(handler),
        started: time::now(),
        now: 0,
        wakes: IndexWakes::new(),
        connections: Connections::new(),
        running: slab::Slab::new(),
        spare: Vec::new(),
        sweep: None,
    };
    let mut incoming = listener.incoming();
    let mut woken = Vec::new();
    poll_fn(|context| {
        worker.look_at_clocks();
        worker.accept(&mut incoming, context)?;
        worker.wakes.take(&mut woken);
        for index in woken.drain(..) {
            worker.serve_index(index);
        }
        // What was woken meanwhile has its turn when everything else has had its own: a handler
        // that wakes itself until something happens would keep that from happening.
        if worker.wakes.poll_ready(context).is_ready() {
            context.waker().wake_by_ref();
        }
        worker.close_idle(context);
        Poll::Pending
    })
    .await
}

impl<H: Handler> Worker<H> {
    fn look_at_clocks(&mut self) {
        self.shared.look_at_clock();
        let since = time::now().saturating_duration_since(self.started);
        self.now = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
    }

    fn accept(&mut self, incoming: &mut Incoming<'_>, context: &mut Context<'_>) -> io::Result<()> {
        for _ in 0..ACCEPTS_PER_TURN {
            match Pin::new(&mut *incoming).poll_next(context) {
                Poll::Ready(Some(Ok(stream))) => {
                    let index = self.connections.insert(stream.into(), self.now);
                    // Its first turn asks the kernel for bytes.
                    self.wakes.waker(index).wake();
                }
                // The listener rests by itself when descriptors have run out; the next call waits.
                Poll::Ready(Some(Err(error))) if is_exhausted(&error) => {}
                Poll::Ready(Some(Err(error))) => return Err(error),
                Poll::Ready(None) | Poll::Pending => return Ok(()),
            }
        }
        context.waker().wake_by_ref();
        Ok(())
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
                    Poll::Ready(_) => return drop(self.connections.remove(index)),
                    Poll::Pending => return,
                },
                None => return,
            };
            let running = &mut self.running[number as usize];
            let poll = || running.serving.as_mut().poll(&mut context);
            if catch_unwind(AssertUnwindSafe(poll)).is_err() {
                let broken = self.running.remove(number as usize);
                broken.exchange.abort();
                drop(self.connections.remove(index));
                // What the handler left is the user's too.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(broken)));
                return;
            }
            match running.exchange.take_ended() {
                None => return,
                Some(Ended::Idle(stream)) => {
                    self.recycle(number);
                    self.connections.rest(index, stream, self.now);
                }
                Some(Ended::Closed) => {
                    self.recycle(number);
                    return drop(self.connections.remove(index));
                }
            }
        }
        waker.wake();
    }

    /// Gives an idle connection to an exchange, and returns that one's number.
    fn activate(&mut self, index: u32, bytes: ManagedBuf) -> u32 {
        let running = self.spare.pop().unwrap_or_else(|| {
            let exchange = Exchange::new(Rc::clone(&self.shared));
            let serving = Box::pin(serve_all(Rc::clone(&exchange), Rc::clone(&self.handler)));
            Running { exchange, serving }
        });
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
        }
    }

    /// Closes the connections that have been idle too long.
    fn close_idle(&mut self, context: &mut Context<'_>) {
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
            } else {
                drop(self.connections.remove(index));
            }
        }
    }
}

fn is_exhausted(error: &io::Error) -> bool {
    use crate::sys::errno;
    matches!(
        error.raw_os_error(),
        Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM)
    )
}
