//! The sending side of a stream: one send in flight, the others wait their turn.
//!
//! A write waits in its own future, with its buffer: dropped before its turn, it has sent nothing.
//! One that is dropped in flight is finished whole by a task of the runtime's, which keeps the
//! turn: otherwise it would be unknown how much of it was sent. Its error goes to the next write,
//! flush or shutdown.

use std::{
    cell::Cell,
    future::Future,
    io,
    num::NonZeroI32,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    socket::Shared,
    turns::{Ticket, Turns},
};
use crate::{
    buf::{BufResult, IoBuf, IoVectored},
    future::{Either, race},
    op::{InFlight, Op, SendBytes, SendVectored},
    sys::{self, option},
    time,
};

/// How long a write that no task waits for may go on once the stream's last handle is gone. A peer
/// that does not read would hold the descriptor for ever otherwise.
pub(super) const LINGER: Duration = Duration::from_secs(5);

/// The state that a stream keeps for its sends.
#[derive(Default)]
pub(super) struct SendQueue {
    turns: Turns,
    /// The errno of a write that no task waited for.
    error: Cell<Option<NonZeroI32>>,
    /// Whether such a write is under way.
    finishing: Cell<bool>,
    /// Whether the stream's last handle is gone.
    orphaned: Cell<bool>,
}

impl SendQueue {
    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Whether no write is under way or waits its turn.
    #[inline]
    pub(super) fn is_free(&self) -> bool {
        self.turns.is_free()
    }

    /// The error of a write that no task waited for, returned once.
    #[inline]
    pub(super) fn take_error(&self) -> io::Result<()> {
        match self.error.take() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno.get())),
            None => Ok(()),
        }
    }

    /// Keeps the error of a write that no task waits for.
    pub(super) fn keep_error(shared: &Shared, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(sys::errno::EPIPE);
        shared.extra.send.error.set(NonZeroI32::new(errno));
        shared.extra.receive.look(shared.driver());
    }

    /// Whether a write would begin now, with no error to be told first.
    #[inline]
    pub(super) fn is_clear(&self) -> bool {
        self.turns.is_free() && self.error.get().is_none()
    }

    /// Takes the turn, which is free, for a write that no task waits for.
    #[inline]
    pub(super) fn begin_unattended(&self, ticket: &Ticket) {
        let is_taken = self.turns.try_take(ticket);
        debug_assert!(is_taken, "the turn is free");
        self.finishing.set(true);
    }

    #[inline]
    pub(super) fn end_unattended(&self, ticket: &Ticket) {
        self.finishing.set(false);
        self.turns.leave(ticket);
    }

    /// Gives a write that no task waits for to a task of the runtime's, which finishes it.
    pub(super) fn finish<O: Sending>(shared: Rc<Shared>, ticket: Ticket, op: InFlight<O>) {
        shared.extra.send.finishing.set(true);
        if shared.extra.send.orphaned.get() {
            Self::bound_time(&shared);
        }
        let driver = Rc::clone(shared.driver());
        let turn = Finishing { shared, ticket };
        driver.spawn_system(async move {
            if let Err(error) = op.await {
                Self::keep_error(&turn.shared, &error.error);
            }
            drop(turn);
        });
    }

    /// Bounds the time of a write that is still being finished when the last handle goes, and of
    /// one whose future goes later.
    pub(super) fn linger(shared: &Rc<Shared>) {
        let queue = &shared.extra.send;
        queue.orphaned.set(true);
        if queue.finishing.get() {
            Self::bound_time(shared);
        }
    }

    fn bound_time(shared: &Rc<Shared>) {
        let shared = Rc::clone(shared);
        let driver = Rc::clone(shared.driver());
        driver.spawn_system(async move {
            let turn = SendTurn::new(&shared);
            if let Either::Right(()) = race(turn.wait(), time::sleep(LINGER)).await {
                sys::shutdown(shared.raw(), option::SHUT_RDWR);
            }
        });
    }

    /// Ends the sending direction after the writes that have begun. No caller is left to get an
    /// error.
    pub(super) fn end(shared: &Rc<Shared>) {
        if shared.driver().is_inherited() {
            // A shutdown would end the parent's connection.
            return;
        }
        if shared.extra.send.is_free() {
            sys::shutdown(shared.raw(), option::SHUT_WR);
            return;
        }
        // It keeps the descriptor, and not the stream: that one's drop bounds the time.
        let shared = Rc::clone(shared);
        let driver = Rc::clone(shared.driver());
        driver.spawn_system(async move {
            if SendTurn::new(&shared).wait().await.is_ok() {
                sys::shutdown(shared.raw(), option::SHUT_WR);
            }
        });
    }
}

/// An operation that sends, and goes on to the end when its future was dropped.
pub(crate) trait Sending: Op<Output = BufResult<usize, Self::Buf>> {
    type Buf;

    fn send_all(&mut self);
}

impl<B: IoBuf> Sending for SendBytes<B> {
    type Buf = B;

    fn send_all(&mut self) {
        SendBytes::send_all(self);
    }
}

impl<B: IoVectored> Sending for SendVectored<B> {
    type Buf = B;

    fn send_all(&mut self) {
        SendVectored::send_all(self);
    }
}

/// The turn of a write that no task waits for. It goes to the next write also when it is dropped
/// with its task, at the runtime's end.
struct Finishing {
    shared: Rc<Shared>,
    ticket: Ticket,
}

impl Drop for Finishing {
    fn drop(&mut self) {
        self.shared.extra.send.end_unattended(&self.ticket);
    }
}

/// A place in the queue of writes that sends nothing.
pub(super) struct SendTurn<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl<'a> SendTurn<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            ticket: Ticket::new(),
        }
    }

    pub(super) async fn wait(&self) -> io::Result<()> {
        let turns = &self.shared.extra.send.turns;
        std::future::poll_fn(|context| turns.poll_turn(self.shared.driver(), &self.ticket, context))
            .await
    }
}

impl Drop for SendTurn<'_> {
    fn drop(&mut self) {
        self.shared.extra.send.turns.leave(&self.ticket);
    }
}

/// A send of one whole buffer.
pub(crate) type SendAll<B> = InTurn<SendBytes<B>>;

/// A write, in its turn.
pub(crate) struct InTurn<O: Sending> {
    shared: Rc<Shared>,
    ticket: Ticket,
    op: Option<InFlight<O>>,
    has_turn: bool,
}

impl<O: Sending> Unpin for InTurn<O> {}

impl<O: Sending> InTurn<O> {
    pub(super) fn new(shared: &Rc<Shared>, op: O) -> Self {
        let op = Some(InFlight::new(Rc::clone(shared.driver()), op));
        Self {
            shared: Rc::clone(shared),
            ticket: Ticket::new(),
            op,
            has_turn: false,
        }
    }
}

impl<O: Sending> Future for InTurn<O> {
    type Output = O::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        let this = self.get_mut();
        let queue = &this.shared.extra.send;
        let op = this
            .op
            .as_mut()
            .expect("a future is not polled after it is ready");
        if !this.has_turn {
            let driver = this.shared.driver();
            let turn = ready!(queue.turns.poll_turn(driver, &this.ticket, context));
            this.has_turn = true;
            if let Err(error) = turn.and_then(|()| queue.take_error()) {
                queue.turns.leave(&this.ticket);
                let op = this.op.take().and_then(InFlight::into_op);
                let op = op.expect("an operation that never started is still there");
                // Completing it with the error hands the buffer back.
                return Poll::Ready(op.complete(Err(error)));
            }
        }
        let Poll::Ready(output) = Pin::new(op).poll(context) else {
            return Poll::Pending;
        };
        this.op = None;
        queue.turns.leave(&this.ticket);
        if output.is_err() {
            this.shared.extra.receive.look(this.shared.driver());
        }
        Poll::Ready(output)
    }
}

impl<O: Sending> Drop for InTurn<O> {
    fn drop(&mut self) {
        let begun = self.op.take().filter(|op| self.has_turn && op.has_begun());
        let Some(mut op) = begun else {
            return self.shared.extra.send.turns.leave(&self.ticket);
        };
        if let Some(op) = op.op_mut() {
            op.send_all();
        }
        let ticket = std::mem::take(&mut self.ticket);
        SendQueue::finish(Rc::clone(&self.shared), ticket, op);
    }
}
