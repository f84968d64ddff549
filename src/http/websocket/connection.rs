//! The state of a connection that its handles share, and the driver that does its work.

mod driving;
mod sending;

use std::{
    any::Any,
    cell::{Cell, OnceCell},
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;

use self::driving::Written;
use super::{
    CloseCode, CloseInfo, Error, FrameError, Message, Options,
    busy::Busy,
    incoming::{Arrived, Next},
    keys::Keys,
    options::Settings,
    pulse::Pulse,
    serving::{STOP_REASON, UserError},
};
use crate::{
    budget,
    http::{
        topics::FeedHandle,
        transport::{Transport, tunnelled::Departed},
        ws::{CloseFrame, Deflate, Payload, Role, encode_close, encode_pong},
    },
};

/// The agreement of a handshake.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Agreed {
    /// The place of the subprotocol in the options.
    pub(crate) protocol: Option<u8>,
    pub(crate) deflate: Option<Deflate>,
}

/// The end of a connection that this program is.
#[derive(Debug)]
pub(crate) enum End {
    Server,
    /// One that masks its frames.
    Client(Box<Keys>),
}

/// The state of a connection that its handles share with its driver.
///
/// Wakers, and streams that are not sockets, are code of other modules, which may use the very
/// connection: no cell is empty for the time being while one of them runs, but that of the stream.
pub(crate) struct Connection {
    /// None once the connection is over, and while a call of the stream's is under way: handles
    /// that are kept hold no socket.
    stream: Cell<Option<Transport>>,
    /// None while the connection is at rest, so that it costs no memory then.
    busy: Cell<Option<Box<Busy>>>,
    /// The close frame of the peer, after which it sends nothing.
    peer_close: OnceCell<Box<CloseInfo>>,
    /// The task that drives the connection.
    driver: Cell<Option<Waker>>,
    /// Its subscriptions to topics.
    feed: FeedHandle,
    end: End,
    options: Options,
    pulse: Pulse,
    agreed: Agreed,
    /// The reason why nothing more is received, but for a close frame.
    failure: Cell<Option<Error>>,
    /// Receiving or writing has failed, or the peer is given up: there is nothing to wait for.
    is_broken: Cell<bool>,
    written: Cell<Written>,
    /// A close frame was sent, or is the last one that waits: nothing follows it.
    is_closing: Cell<bool>,
    /// Nothing can be written any more.
    is_mute: Cell<bool>,
    /// The stream's sending direction was ended.
    is_shut: Cell<bool>,
    /// The user has done with it.
    is_left: Cell<bool>,
    /// The server stops, and the user is to hear of it.
    is_stop_due: Cell<bool>,
    /// The driver has its turn, and looks at everything before it ends.
    is_driven: Cell<bool>,
}

/// A wait for room. Few sends have one, and it is large.
type Waiting = Pin<Box<dyn Future<Output = ()>>>;

const POLLED_AFTER_END: &str = "a future is not polled after its end";

/// The result of a receive.
pub(crate) type Received = Result<Option<Message>, Error>;

impl Connection {
    pub(crate) fn new(departed: Departed, end: End, agreed: Agreed, options: Options) -> Self {
        let connection = Self {
            stream: Cell::new(Some(departed.transport)),
            busy: Cell::new(None),
            peer_close: OnceCell::new(),
            driver: Cell::new(None),
            feed: FeedHandle::default(),
            end,
            options,
            pulse: Pulse::new(),
            agreed,
            failure: Cell::new(None),
            is_broken: Cell::new(false),
            written: Cell::new(Written::Whole),
            is_closing: Cell::new(false),
            is_mute: Cell::new(false),
            is_shut: Cell::new(false),
            is_left: Cell::new(false),
            is_stop_due: Cell::new(false),
            is_driven: Cell::new(false),
        };
        if !departed.unread.is_empty() {
            connection.busy(|busy| busy.incoming.push(departed.unread));
        }
        connection
    }

    /// Calls with the state of what is under way, which is made if there is none. The call runs no
    /// code of another module.
    fn busy<R>(&self, call: impl FnOnce(&mut Busy) -> R) -> R {
        let mut busy = self.busy.take().unwrap_or_else(|| {
            let role = match self.end {
                End::Server => Role::Server,
                End::Client(_) => Role::Client,
            };
            Busy::begin(role, self.agreed.deflate)
        });
        let result = call(&mut busy);
        self.busy.set(Some(busy));
        result
    }

    /// As `busy`, and none when the connection is at rest.
    fn if_busy<R>(&self, call: impl FnOnce(&mut Busy) -> R) -> Option<R> {
        let mut busy = self.busy.take()?;
        let result = call(&mut busy);
        self.busy.set(Some(busy));
        Some(result)
    }

    /// Lets go of the memory that is not needed while the connection waits.
    fn rest(&self) {
        if let Some(mut busy) = self.busy.take() {
            // The kernel has few buffers, and wants them back meanwhile.
            busy.incoming.copy_out();
            if busy.is_at_rest() {
                busy.recycle();
            } else {
                busy.outgoing.rest();
                self.busy.set(Some(busy));
            }
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        self.options.settings()
    }

    pub(super) fn protocol(&self) -> Option<&str> {
        let names = &self.settings().subprotocols;
        names
            .get(usize::from(self.agreed.protocol?))
            .map(|name| &**name)
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        self.with_stream(Transport::peer_addr)?
    }

    /// Calls with the stream. None once it is over, and from inside of another call of it.
    pub(crate) fn with_stream<R>(&self, call: impl FnOnce(&Transport) -> R) -> Option<R> {
        let stream = self.stream.take()?;
        let result = call(&stream);
        self.stream.set(Some(stream));
        Some(result)
    }

    /// Lets go of the stream, which is over, and returns it unless it is broken.
    pub(crate) fn end_stream(&self) -> Option<Transport> {
        let stream = self.stream.take();
        if self.ending().is_none() {
            self.failure
                .set(Some(Error::Lost(io::ErrorKind::ConnectionAborted)));
        }
        self.mute();
        self.tell_end();
        if let Some(receiver) = self.if_busy(|busy| busy.receiver.take()).flatten() {
            receiver.wake();
        }
        stream.filter(|_| !self.is_broken.get())
    }

    /// Waits until nothing more is received. Returns the peer's close frame.
    pub(super) async fn closed(&self) -> Result<&CloseInfo, Error> {
        loop {
            if let Some(info) = self.close_info() {
                return Ok(info);
            }
            if let Some(failure) = self.failure.get() {
                return Err(failure);
            }
            let ended = self.busy(|busy| Rc::clone(busy.ended.get_or_insert_default()));
            ended.notified().await;
        }
    }

    pub(crate) fn close_info(&self) -> Option<&CloseInfo> {
        self.peer_close.get().map(|info| &**info)
    }

    pub(super) fn end(&self) -> &End {
        &self.end
    }

    /// The agreement on compressed messages.
    pub(super) fn deflate(&self) -> Option<Deflate> {
        self.agreed.deflate
    }

    pub(super) fn feed(&self) -> &FeedHandle {
        &self.feed
    }

    /// The key for the next frame that is sent.
    fn key(&self) -> Option<[u8; 4]> {
        match &self.end {
            End::Server => None,
            End::Client(keys) => Some(keys.frame_key()),
        }
    }

    /// A client's connection is closed when its last handle is dropped. A server's function closes
    /// its connection by its result.
    pub(super) fn note_last_handle(&self) {
        if matches!(self.end, End::Client(_)) {
            self.start_close(CloseCode::NORMAL, "");
        }
    }

    // The receiver's side.

    /// The next message; none after the peer's close frame.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Received> {
        if let Some(next) = self.next() {
            return Poll::Ready(next);
        }
        // The driver polls the rest of its task when something has come.
        if !self.is_driver(context.waker()) {
            // A waker may do anything while it is cloned or dropped.
            let waker = context.waker().clone();
            let before = self.busy(|busy| busy.receiver.replace(waker));
            drop(before);
            if let Some(next) = self.next() {
                return Poll::Ready(next);
            }
        }
        self.wake_driver();
        Poll::Pending
    }

    /// Whether a waker is that of the task which drives the connection.
    fn is_driver(&self, waker: &Waker) -> bool {
        let driver = self.driver.take();
        let is_driver = driver
            .as_ref()
            .is_some_and(|driver| driver.will_wake(waker));
        self.driver.set(driver);
        is_driver
    }

    /// The next message or the end, if it is here.
    pub(crate) fn next(&self) -> Option<Received> {
        let (limits, is_deaf) = (&self.settings().limits, self.is_deaf());
        let next = self.if_busy(|busy| busy.incoming.take_next(limits, is_deaf));
        let message = match next {
            Some(Next::Little(message)) => message,
            Some(Next::Ready(message)) => {
                // It receives on, for the sake of control frames.
                self.wake_driver();
                message
            }
            Some(Next::Other) => match self.look_at_all() {
                Some(message) => message,
                None => return self.ending(),
            },
            Some(Next::Nothing) | None => return self.ending(),
        };
        Some(Ok(Some(message)))
    }

    /// The end of what is received, once it is here.
    fn ending(&self) -> Option<Received> {
        match self.failure.get() {
            _ if self.peer_close.get().is_some() => Some(Ok(None)),
            failure => failure.map(Err),
        }
    }

    /// Whether no further byte of the peer counts.
    fn is_deaf(&self) -> bool {
        self.peer_close.get().is_some() || matches!(self.failure.get(), Some(Error::Protocol(_)))
    }

    /// The next message in the bytes that are here. Control frames before it are dealt with.
    #[inline(never)]
    fn look_at_all(&self) -> Option<Message> {
        while !self.is_deaf() {
            let limits = &self.settings().limits;
            match self.if_busy(|busy| busy.incoming.next(limits))?? {
                Arrived::Message(message) => return Some(message),
                Arrived::Ping(payload) => self.answer_ping(payload),
                Arrived::Close(info) => self.note_close(info),
                Arrived::Failed(error) => self.refuse(error),
            }
        }
        None
    }

    fn answer_ping(&self, payload: Vec<u8>) {
        if self.is_closing.get() || self.is_mute.get() {
            return;
        }
        // A peer that reads nothing would make these pile up. The answer to its last ping is enough
        // (RFC 6455, section 5.5.3).
        if self.is_full() {
            self.busy(|busy| busy.ping = Some(payload));
            return;
        }
        self.push(|out| {
            let encoded = encode_pong(out, &payload, self.key());
            encoded.expect("it has the length of a ping's payload");
        });
    }

    /// Answers the close frame of the peer, unless it is an answer itself.
    fn note_close(&self, info: CloseInfo) {
        let info = info.answering(self.is_closing.get());
        let info = self.peer_close.get_or_init(|| Box::new(info));
        self.queue_close(info.frame());
        self.tell_end();
    }

    /// Tells the peer which rule it broke.
    fn refuse(&self, error: FrameError) {
        self.failure.set(Some(Error::Protocol(error)));
        self.queue_close(Some(CloseFrame {
            code: error.close_code(),
            reason: error.message(),
        }));
        self.tell_end();
    }

    // The sender's side.

    /// Whether so much waits to be sent that senders have to wait.
    fn is_full(&self) -> bool {
        self.buffered() > self.settings().buffered_bytes_max
    }

    pub(super) fn buffered(&self) -> usize {
        self.if_busy(|busy| busy.outgoing.len()).unwrap_or(0)
    }

    /// The reason why nothing more is sent, if there is one.
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match self.failure.get() {
            Some(failure) => Err(failure),
            None if self.is_closing.get() || self.is_mute.get() => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Adds a message that is masked if this is a client.
    pub(super) fn push_payload(&self, payload: Payload<'_>) {
        let key = self.key();
        self.busy(|busy| busy.outgoing.push_copied(payload, key));
        self.wake_driver();
    }

    /// Adds frames as they are.
    pub(super) fn push_encoded(&self, frames: Bytes) {
        self.busy(|busy| busy.outgoing.push_encoded(frames));
        self.wake_driver();
    }

    /// Waits until bytes were written, or nothing will be. The wait begins with the first call.
    fn poll_room(&self, wait: &mut Option<Waiting>, context: &mut Context<'_>) -> Poll<()> {
        let waiting = wait.get_or_insert_with(|| {
            let room = self.busy(|busy| Rc::clone(busy.room.get_or_insert_default()));
            Box::pin(async move { room.notified().await })
        });
        ready!(waiting.as_mut().poll(context));
        *wait = None;
        Poll::Ready(())
    }

    /// Wakes the tasks that wait for room, or for the end.
    fn tell_room(&self) {
        if let Some(room) = self.if_busy(|busy| busy.room.take()).flatten() {
            room.notify_waiters();
        }
    }

    /// Wakes the tasks that wait for the end.
    fn tell_end(&self) {
        if let Some(ended) = self.if_busy(|busy| busy.ended.take()).flatten() {
            ended.notify_waiters();
        }
    }

    fn push(&self, write: impl FnOnce(&mut Vec<u8>)) {
        self.busy(|busy| busy.outgoing.push(write));
        self.wake_driver();
    }

    /// Sends a close frame, unless that was done, and lets nothing follow it.
    pub(crate) fn start_close(&self, code: CloseCode, reason: &str) {
        self.queue_close(Some(CloseFrame { code, reason }));
    }

    /// Notes that the user of a handler object's connection has done with it.
    pub(crate) fn note_left(&self) {
        self.is_left.set(true);
    }

    pub(crate) fn is_left(&self) -> bool {
        self.is_left.get()
    }

    /// Notes that the server stops, for the next turn of the driver.
    pub(crate) fn note_stop(&self) {
        self.is_stop_due.set(true);
        self.wake_driver();
    }

    pub(crate) fn take_stop(&self) -> bool {
        self.is_stop_due.take()
    }

    /// The reason why nothing more is received, unless that is a close frame.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.get()
    }

    /// Closes the connection after its user's code. The code of the close frame tells how that has
    /// ended, and an error is kept for the log.
    pub(crate) fn close_after<E: UserError>(&self, returned: Result<(), E>) {
        let code = match &returned {
            Ok(()) => CloseCode::NORMAL,
            Err(_) => CloseCode::INTERNAL_ERROR,
        };
        self.start_close(code, "");
        if let Err(error) = returned {
            let error = error.told(self.failure.get());
            self.busy(|busy| busy.error = Some(error));
        }
    }

    /// Takes the error of the user's code.
    pub(crate) fn take_error(&self) -> Option<Box<dyn Any>> {
        self.if_busy(|busy| busy.error.take()).flatten()
    }

    /// Sends the close frame of a server that stops.
    pub(crate) fn start_stop(&self) {
        self.start_close(self.settings().stop_code, STOP_REASON);
    }

    fn queue_close(&self, frame: Option<CloseFrame<'_>>) {
        if self.is_closing.replace(true) {
            return;
        }
        self.feed.end();
        self.if_busy(|busy| busy.ping = None);
        if !self.is_mute.get() {
            self.push(|out| encode_close(out, frame, self.key()));
        }
        self.pulse.note_close();
        self.wake_driver();
        self.tell_room();
    }

    /// Sends a close frame, and waits for that of the peer. Messages that come before it are
    /// dropped.
    pub(super) async fn close(&self, code: CloseCode, reason: &str) -> Result<&CloseInfo, Error> {
        self.start_close(code, reason);
        while poll_fn(|context| self.poll_next(context)).await?.is_some() {
            budget::turn().await;
        }
        Ok(self.peer_close.get().expect("it ends the messages"))
    }
}

/// Ends a connection when its driver is dropped: its function has panicked, or its server or its
/// runtime has ended.
pub(super) struct Driven(pub(super) Rc<Connection>);

impl Drop for Driven {
    fn drop(&mut self) {
        drop(self.0.end_stream());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An idle WebSocket costs this, beside its tunnel and the state of its user. Eight bytes are
    /// the place of its subscriptions.
    #[test]
    fn a_connection_is_small() {
        let bytes = size_of::<Connection>();
        println!("a connection has {bytes} bytes");
        assert!(bytes <= 96, "{bytes}");
    }
}
