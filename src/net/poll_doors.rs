//! The poll doors of a socket: receiving and sending without a future.
//!
//! A poll has no place to keep a ticket, so it takes no turn: it is served while the turn is free,
//! and woken when the turn becomes free. Its waker is in the driver's slot of the socket's receive,
//! or in [`Turns`](super::turns::Turns), and stays there when the future that has polled is
//! dropped.

use std::{
    cell::Cell,
    io::{self, IoSlice},
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{receive::Flood, send_queue::SendQueue, socket::Socket, turns::Ticket};
use crate::{
    budget::{self, PutOff},
    buf::Room,
    op::{InFlight, SendBytes},
    pool::ManagedBuf,
    sys::{self, Completion, option},
};

/// How much one poll leaves to a send in the background when the kernel takes nothing at once. It
/// is copied, and each stream has one at most.
const BACKGROUND_BYTES_MAX: usize = 64 * 1024;

impl Socket {
    /// See `TcpStream::poll_recv`.
    pub(crate) fn poll_recv_in_turn(&self, context: &Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        ready!(self.poll_receive_turn(context))?;
        let shared = self.shared();
        let receive = &shared.extra.receive;
        let received = ready!(receive.poll_next_up_to(Flood::ANYTHING, shared, context));
        budget::spend();
        Poll::Ready(received)
    }

    /// As `poll_recv_in_turn`, and whether the next poll would find nothing: the context's waker is
    /// registered then.
    pub(crate) fn poll_recv_and_watch(
        &self,
        context: &Context<'_>,
    ) -> Poll<io::Result<(ManagedBuf, bool)>> {
        ready!(self.poll_receive_turn(context))?;
        let shared = self.shared();
        let receive = &shared.extra.receive;
        let (received, is_watched) = match receive.take_and_watch(shared, context) {
            Some(bytes) => (Ok(bytes), true),
            None => {
                let polled = receive.poll_next_up_to(Flood::ANYTHING, shared, context);
                (ready!(polled), false)
            }
        };
        budget::spend();
        Poll::Ready(received.map(|bytes| (bytes, is_watched)))
    }

    /// See `TcpStream::poll_recv_into`.
    pub(crate) fn poll_recv_into_in_turn(
        &self,
        context: &Context<'_>,
        room: &mut Room<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        ready!(self.poll_receive_turn(context))?;
        let shared = self.shared();
        let receive = &shared.extra.receive;
        let received = ready!(receive.poll_next_into(room, shared, context));
        budget::spend();
        Poll::Ready(received)
    }

    /// Whether no other receive has the turn, and the task has operations left in this poll.
    fn poll_receive_turn(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let shared = self.shared();
        shared.driver().check_current()?;
        let extra = &shared.extra;
        if extra.receive.turns().poll_free(context) && !is_put_off(&extra.receive_put_off, context)
        {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// See `TcpStream::poll_write`.
    pub(crate) fn poll_write(
        &self,
        context: &Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let first = |len_max| bytes[..bytes.len().min(len_max)].to_vec();
        self.poll_write_by(context, bytes.is_empty(), || self.send_now(bytes), first)
    }

    /// See `TcpStream::poll_write_vectored`.
    pub(crate) fn poll_write_vectored(
        &self,
        context: &Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let is_empty = slices.iter().all(|slice| slice.is_empty());
        let first = |len_max| {
            let mut copy = Vec::new();
            for slice in slices {
                let left = len_max - copy.len();
                copy.extend_from_slice(&slice[..slice.len().min(left)]);
            }
            copy
        };
        self.poll_write_by(context, is_empty, || self.send_vectored_now(slices), first)
    }

    /// Sends by `send_now`. When the kernel takes nothing, a send in the background gets what
    /// `copy_first` returns: at most so many bytes.
    #[inline]
    fn poll_write_by(
        &self,
        context: &Context<'_>,
        is_empty: bool,
        send_now: impl FnOnce() -> io::Result<usize>,
        copy_first: impl FnOnce(usize) -> Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let shared = self.shared();
        let queue = &shared.extra.send;
        ready!(self.poll_send_turn(context))?;
        if is_put_off(&shared.extra.send_put_off, context) {
            return Poll::Pending;
        }
        budget::spend();
        queue.take_error()?;
        if is_empty {
            return Poll::Ready(Ok(0));
        }
        match send_now() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return Poll::Ready(result),
        }
        let bytes = copy_first(BACKGROUND_BYTES_MAX);
        let count = bytes.len();
        let send = SendBytes::new(self.any_fd(), bytes, true);
        let ticket = Ticket::new();
        queue.begin_unattended(&ticket);
        let send = InFlight::new(Rc::clone(shared.driver()), send);
        SendQueue::finish(Rc::clone(shared), ticket, send);
        Poll::Ready(Ok(count))
    }

    /// See `TcpStream::poll_flush`.
    pub(crate) fn poll_flush(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_turn(context))?;
        Poll::Ready(self.shared().extra.send.take_error())
    }

    /// See `TcpStream::poll_shutdown`.
    pub(crate) fn poll_shutdown(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_turn(context))?;
        let sent = self.shared().extra.send.take_error();
        let result = sys::shutdown(self.raw(), option::SHUT_WR);
        Poll::Ready(sent.and(Completion::new(result).result().map(drop)))
    }

    /// Whether no write is under way.
    fn poll_send_turn(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let shared = self.shared();
        shared.driver().check_current()?;
        if shared.extra.send.turns().poll_free(context) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }
}

/// Whether an operation waits for the next poll of its task. See [`budget`].
fn is_put_off(put_off: &Cell<PutOff>, context: &Context<'_>) -> bool {
    if !budget::is_spent() {
        return false;
    }
    let mut state = put_off.take();
    let waits = state.waits(context);
    put_off.set(state);
    waits
}
