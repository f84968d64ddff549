//! Receiving into the caller's memory.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Shared, State, Ticket, WhenIdle};
use crate::{
    budget,
    buf::{BufError, BufResult, IoBufMut, bytes_of, fill},
    op::{AnyFd, InFlight, Recv as RecvOp},
    pool::ManagedBuf,
    sys::errno,
};

/// The future of [`TcpStream::read`](crate::net::TcpStream::read).
pub(in crate::net) struct Read<'a, B: IoBufMut> {
    shared: &'a Rc<Shared>,
    ticket: Ticket,
    buf: Option<B>,
    /// The receive straight into the caller's memory, once there is one.
    bulk: Option<InFlight<RecvOp<B>>>,
    /// Whether what was read stays to be read again.
    peek: bool,
}

impl<B: IoBufMut> Unpin for Read<'_, B> {}

impl<'a, B: IoBufMut> Read<'a, B> {
    pub(in crate::net) fn new(shared: &'a Rc<Shared>, buf: B, peek: bool) -> Self {
        Self {
            shared,
            ticket: Ticket::new(),
            buf: Some(buf),
            bulk: None,
            peek,
        }
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<BufResult<usize, B>> {
        let receive = &self.shared.extra.receive;
        let driver = self.shared.driver();
        if let Some(bulk) = &mut self.bulk {
            let Poll::Ready(result) = Pin::new(bulk).poll(context) else {
                return Poll::Pending;
            };
            self.bulk = None;
            if let Ok((count, buf)) = &result {
                // A read that falls short says that the flood is over.
                receive.count_full(*count == buf.capacity());
            }
            return Poll::Ready(result);
        }
        let mut buf = self
            .buf
            .take()
            .expect("a future is not polled after it is ready");
        if buf.capacity() == 0 {
            return Poll::Ready(Err(BufError::no_room(buf)));
        }
        let bulk = !self.peek && receive.wants_bulk(buf.capacity());
        if let (true, State::Multi(key)) = (bulk, receive.state.get()) {
            // Bytes that it still brings are taken first; its last completion leaves us idle.
            driver.cancel_multi(key);
        }
        let when_idle = if bulk { WhenIdle::Stop } else { WhenIdle::Ask };
        match receive.poll_next_or_idle(self.shared, context, when_idle) {
            Poll::Ready(Ok(None)) => {
                let op = RecvOp::new(Rc::clone(self.shared) as AnyFd, buf);
                self.bulk = Some(InFlight::new(Rc::clone(driver), op));
                self.poll_turn(context)
            }
            Poll::Ready(Ok(Some(mut bytes))) => {
                let count = fill(&mut buf, &bytes);
                if !self.peek {
                    bytes.advance(count);
                }
                receive.put_back(bytes);
                Poll::Ready(Ok((count, buf)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(BufError::new(error, buf))),
            Poll::Pending => {
                self.buf = Some(buf);
                Poll::Pending
            }
        }
    }
}

impl<B: IoBufMut> Future for Read<'_, B> {
    type Output = BufResult<usize, B>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let turns = &this.shared.extra.receive.turns;
        if this.bulk.is_none() {
            let turn = turns.poll_counted(this.shared.driver(), &this.ticket, context);
            if let Err(error) = ready!(turn) {
                let buf = this.buf.take();
                let buf = buf.expect("a future is not polled after it is ready");
                return Poll::Ready(Err(BufError::new(error, buf)));
            }
        }
        let Poll::Ready(result) = this.poll_turn(context) else {
            return Poll::Pending;
        };
        budget::spend();
        turns.leave(&this.ticket);
        Poll::Ready(result)
    }
}

impl<B: IoBufMut> Drop for Read<'_, B> {
    fn drop(&mut self) {
        let bulk = self.bulk.take().filter(InFlight::is_submitted);
        let Some(bulk) = bulk else {
            return self.shared.extra.receive.turns.leave(&self.ticket);
        };
        // The kernel may already have put bytes into the caller's memory. They are parked, and
        // the turn is kept until then, so that nothing overtakes them.
        bulk.cancel();
        let turn = KeptTurn {
            shared: Rc::clone(self.shared),
            ticket: std::mem::take(&mut self.ticket),
        };
        self.shared.driver().spawn_system(async move {
            let result = bulk.await;
            let receive = &turn.shared.extra.receive;
            match result {
                Ok((0, _)) => drop(receive.end(None)),
                // A buffer that is a slice has its old length still: the count says what came.
                Ok((count, buf)) => {
                    receive.put_back(ManagedBuf::own(bytes_of(&buf)[..count].to_vec()));
                }
                Err(error) => match error.error.raw_os_error() {
                    Some(errno::ECANCELED) | None => {}
                    errno => drop(receive.end(errno)),
                },
            }
            drop(turn);
        });
    }
}

/// The turn of a read whose future was dropped. It goes to the next receive also when it is dropped
/// with its task, at the runtime's end.
struct KeptTurn {
    shared: Rc<Shared>,
    ticket: Ticket,
}

impl Drop for KeptTurn {
    fn drop(&mut self) {
        self.shared.extra.receive.turns.leave(&self.ticket);
    }
}
