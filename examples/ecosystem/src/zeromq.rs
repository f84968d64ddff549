//! Sockets of ZeroMQ, by the crate `zmq` over the readiness of their descriptors.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, RawFd},
};

use annulus::{
    future::{Either, race},
    io::{AsyncFd, Interest},
    sync::Notify,
};
use zmq::{DONTWAIT, POLLIN, POLLOUT, PollEvents};

/// A socket of ZeroMQ, which several tasks of a thread may use at the same time.
///
/// Its descriptor (`ZMQ_FD`) is readable when something may have changed: a message has come, there
/// is room for one to be sent, or neither. It becomes readable once for each change, and each call
/// of the library clears that. So the state (`ZMQ_EVENTS`) is looked at after each call, and a task
/// waits only when the state does not have its event. A call may also clear the event of a task
/// that waits for the other direction: [`now`](Self::now) wakes that task then.
///
/// A `zmq::Context` that is dropped blocks its thread until all messages are sent, for ever by
/// default: `zmq::Socket::set_linger` sets the time.
pub struct Socket {
    fd: AsyncFd<Descriptor>,
    can_receive: Notify,
    can_send: Notify,
}

/// A socket with its descriptor, which the library gives as a number.
struct Descriptor {
    socket: zmq::Socket,
    fd: RawFd,
}

impl AsFd for Descriptor {
    #[expect(unsafe_code, reason = "C libraries give a number")]
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the library closes it with the socket, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl Socket {
    /// Takes a socket, which is bound or connected before or by [`now`](Self::now).
    pub fn new(socket: zmq::Socket) -> io::Result<Self> {
        let fd = socket.get_fd()?;
        Ok(Self {
            fd: AsyncFd::new(Descriptor { socket, fd })?,
            can_receive: Notify::new(),
            can_send: Notify::new(),
        })
    }

    /// Receives a message. Dropped before, it has taken none.
    pub async fn recv(&self) -> io::Result<zmq::Message> {
        self.call(POLLIN, |socket| socket.recv_msg(DONTWAIT)).await
    }

    /// Receives all parts of a message. Dropped before, it has taken none.
    pub async fn recv_multipart(&self) -> io::Result<Vec<Vec<u8>>> {
        let receive = |socket: &zmq::Socket| socket.recv_multipart(DONTWAIT);
        self.call(POLLIN, receive).await
    }

    /// Sends a message, as soon as there is room for it in the library's queue. Dropped before, it
    /// has sent nothing.
    pub async fn send(&self, message: impl AsRef<[u8]>) -> io::Result<()> {
        let send = |socket: &zmq::Socket| socket.send(message.as_ref(), DONTWAIT);
        self.call(POLLOUT, send).await
    }

    /// Calls a function that does not wait, such as `connect` or `send` with `DONTWAIT`.
    pub fn now<R>(&self, call: impl FnOnce(&zmq::Socket) -> zmq::Result<R>) -> zmq::Result<R> {
        let socket = &self.fd.get_ref().socket;
        let result = call(socket);
        // It fails as the call has, if the context was terminated.
        let events = socket.get_events().unwrap_or(POLLIN | POLLOUT);
        for (event, can) in [(POLLIN, &self.can_receive), (POLLOUT, &self.can_send)] {
            if events.contains(event) {
                can.notify_waiters();
            }
        }
        result
    }

    /// Calls a function now, and again when the state may have `event`, until it does not return
    /// `EAGAIN`.
    async fn call<R>(
        &self,
        event: PollEvents,
        call: impl Fn(&zmq::Socket) -> zmq::Result<R>,
    ) -> io::Result<R> {
        let can = if event == POLLIN {
            &self.can_receive
        } else {
            &self.can_send
        };
        loop {
            // The note of another task's call. It is kept from here on, also from a call of ours.
            let noted = can.notified();
            // The descriptor is readable for either event. Messages that are there without a wait
            // use up the task's budget here, so that other tasks have their turn.
            let called = self
                .fd
                .async_io(Interest::READABLE, |_| Ok(self.now(&call)?));
            match race(std::pin::pin!(called), std::pin::pin!(noted)).await {
                Either::Left(result) => return result,
                Either::Right(()) => {}
            }
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("fd", &self.fd.get_ref().fd)
            .finish_non_exhaustive()
    }
}
