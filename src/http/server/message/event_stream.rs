//! A connection that gets the messages of a topic as server-sent events.
//!
//! It is no task and has no exchange. Its subscription sends what is published; the worker polls it
//! when its client sends or leaves, when the kernel has room again, and when it has been silent for
//! long.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt::Write as _,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes};

use super::sse::Event;
use crate::{
    http::{
        base64,
        tick::Tick,
        topics::{EventId, FeedHandle, Message, Outlet, Piece, Published, Topics},
        transport::{
            Transport,
            tunnelled::{Departed, Left, MakeTunnel, Protocol, Tunnelled},
        },
    },
    net::Outbox,
};

/// The bytes that a client may send after its request, which are dropped.
const SKIPPED_BYTES_MAX: usize = 64 * 1024;

/// An event that clients skip.
pub(super) const COMMENT: &[u8] = b":\n\n";

/// An event stream that is to begin.
pub(crate) struct EventStart {
    pub(crate) topics: Topics,
    pub(crate) topic: Box<str>,
    /// The last message that the client has had.
    pub(crate) after: Option<EventId>,
}

impl EventStart {
    /// Makes the connection go on as an event stream, in chunks or to its end.
    pub(crate) fn into_tunnel(
        self: Box<Self>,
        is_chunked: bool,
        write_timeout: Duration,
    ) -> Box<MakeTunnel> {
        Box::new(move |departed| {
            let stream = EventStream::new(departed, is_chunked, write_timeout, &self);
            stream.subscribe(&self);
            Box::new(Events(stream))
        })
    }
}

/// An event stream, which its subscription and its tunnel share.
struct EventStream {
    /// None once the connection is over.
    transport: Cell<Option<Transport>>,
    feed: FeedHandle,
    /// Bytes that the kernel has not taken.
    waiting: RefCell<VecDeque<Bytes>>,
    waker: Cell<Option<Waker>>,
    heartbeat_interval: Duration,
    write_timeout: Duration,
    body_bytes: Cell<u64>,
    skipped: Cell<usize>,
    /// A figure that changes when the client takes bytes, as it was at `blocked_at`.
    taken: Cell<u64>,
    blocked_at: Cell<Option<Tick>>,
    /// When something was sent last.
    sent_at: Cell<Tick>,
    is_chunked: bool,
    /// The stream may still have bytes that were written.
    is_unflushed: Cell<bool>,
    is_polled: Cell<bool>,
    /// The client took nothing for so long that it was given up.
    is_timed_out: Cell<bool>,
    /// The client has closed its side.
    has_left: Cell<bool>,
    end: Cell<End>,
}

/// The way to the end of an event stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It goes on.
    None,
    /// The body is to end after what waits.
    Asked,
    /// The end of the body waits, or was sent.
    Sent,
}

impl EventStream {
    fn new(
        departed: Departed,
        is_chunked: bool,
        write_timeout: Duration,
        start: &EventStart,
    ) -> Rc<Self> {
        Rc::new(Self {
            transport: Cell::new(Some(departed.transport)),
            feed: FeedHandle::default(),
            waiting: RefCell::default(),
            waker: Cell::new(None),
            heartbeat_interval: start.topics.heartbeat_interval(&start.topic),
            write_timeout,
            body_bytes: Cell::new(0),
            skipped: Cell::new(departed.unread.len()),
            taken: Cell::new(0),
            blocked_at: Cell::new(None),
            sent_at: Cell::new(Tick::now()),
            is_chunked,
            is_unflushed: Cell::new(false),
            is_polled: Cell::new(false),
            is_timed_out: Cell::new(false),
            has_left: Cell::new(false),
            end: Cell::new(End::None),
        })
    }

    fn subscribe(self: &Rc<Self>, start: &EventStart) {
        let outlet = || {
            let stream: Weak<Self> = Rc::downgrade(self);
            stream as Weak<dyn Outlet>
        };
        let subscription = self
            .feed
            .subscribe(&start.topics, &start.topic, start.after, outlet);
        drop(subscription);
    }

    fn with<R>(&self, call: impl FnOnce(&Transport) -> R) -> Option<R> {
        let transport = self.transport.take()?;
        let result = call(&transport);
        self.transport.set(Some(transport));
        Some(result)
    }

    fn poll_with<R>(
        &self,
        call: impl FnOnce(&Transport) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let polled = self.with(call);
        polled.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into())))
    }

    fn is_written(&self) -> bool {
        self.waiting.borrow().is_empty() && !self.is_unflushed.get()
    }

    /// Has its turn at the worker, unless it has it now.
    fn wake(&self) {
        if self.is_polled.get() {
            return;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake_by_ref();
            self.waker.set(Some(waker));
        }
    }

    /// Lets the body end after what waits.
    fn ask_for_end(&self) {
        if self.end.get() == End::None {
            self.end.set(End::Asked);
            self.feed.end();
            self.wake();
        }
    }

    fn add(&self, bytes: Bytes) {
        self.waiting.borrow_mut().push_back(bytes);
        self.block();
        self.wake();
    }

    /// Lets the time of its client begin, in which it has to take something.
    fn block(&self) {
        self.blocked_at.set(Some(Tick::now()));
        self.taken.set(self.bytes_taken());
    }

    fn bytes_taken(&self) -> u64 {
        self.with(Transport::bytes_taken).flatten().unwrap_or(0)
    }

    /// Goes on until the connection is over: an error if it broke.
    fn poll(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        drop(self.waker.replace(Some(context.waker().clone())));
        if !self.has_left.get() && self.poll_client(context)?.is_ready() {
            // It may read on, and is to see that this is the end.
            self.has_left.set(true);
            self.ask_for_end();
        }
        self.look_at_clock()?;
        loop {
            ready!(self.poll_write(context))?;
            self.blocked_at.set(None);
            match self.end.get() {
                End::None => {
                    self.feed.note_room();
                }
                End::Asked => {
                    self.end.set(End::Sent);
                    if self.is_chunked {
                        self.add(Bytes::from_static(b"0\r\n\r\n"));
                    }
                }
                End::Sent => return Poll::Ready(Ok(())),
            }
            if self.end.get() == End::None && self.is_written() {
                return Poll::Pending;
            }
        }
    }

    /// Ready when the client has closed its side. Its bytes are dropped.
    fn poll_client(&self, context: &mut Context<'_>) -> io::Result<Poll<()>> {
        loop {
            match self.poll_with(|transport| transport.poll_recv(context)) {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(bytes) => {
                    let bytes = bytes?;
                    if bytes.is_empty() {
                        return Ok(Poll::Ready(()));
                    }
                    self.skipped.set(self.skipped.get() + bytes.len());
                    if self.skipped.get() > SKIPPED_BYTES_MAX {
                        return Err(io::ErrorKind::InvalidData.into());
                    }
                }
            }
        }
    }

    /// Sends a comment after a silence, and gives up a client that takes nothing.
    fn look_at_clock(&self) -> io::Result<()> {
        let now = Tick::now();
        if self.due().is_none_or(|due| due > now) {
            return Ok(());
        }
        if self.blocked_at.get().is_none() {
            let comment: &[u8] = if self.is_chunked {
                b"3\r\n:\n\n\r\n"
            } else {
                COMMENT
            };
            self.send(Piece::Borrowed(comment));
            return Ok(());
        }
        if self.taken.replace(self.bytes_taken()) == self.taken.get() {
            self.is_timed_out.set(true);
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.blocked_at.set(Some(now));
        Ok(())
    }

    /// The tick at which it is to be polled at the latest.
    fn due(&self) -> Option<Tick> {
        match self.blocked_at.get() {
            Some(blocked_at) => blocked_at.after(self.write_timeout),
            None => self.sent_at.get().after(self.heartbeat_interval),
        }
    }

    fn poll_write(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(first) = self.waiting.borrow().front().cloned() else {
                break;
            };
            let count = ready!(self.poll_with(|transport| transport.poll_write(context, &first)))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_unflushed.set(true);
            self.block();
            let mut waiting = self.waiting.borrow_mut();
            match waiting.front_mut() {
                Some(first) if first.len() > count => first.advance(count),
                _ => drop(waiting.pop_front()),
            }
            if waiting.is_empty() {
                // One at rest holds no memory for this.
                *waiting = VecDeque::new();
            }
        }
        if self.is_unflushed.get() {
            ready!(self.poll_with(|transport| transport.poll_flush(context)))?;
            self.is_unflushed.set(false);
        }
        Poll::Ready(Ok(()))
    }
}

impl Outlet for EventStream {
    fn has_room(&self) -> bool {
        self.end.get() == End::None && self.is_written()
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        if self.is_chunked {
            return published.event_chunk.get_or_init(|| {
                let event = encode(published);
                format!("{:x}\r\n{event}\r\n", event.len()).into()
            });
        }
        event(published)
    }

    fn send(&self, piece: Piece<'_>) {
        let bytes = piece.as_slice();
        self.sent_at.set(Tick::now());
        let count = if self.is_chunked {
            data_len(bytes)
        } else {
            bytes.len()
        };
        self.body_bytes.set(self.body_bytes.get() + count as u64);
        // An error is found by the next poll.
        let sent = self.with(|transport| transport.try_write(bytes));
        let sent = sent.and_then(Result::ok).unwrap_or(0);
        if sent < bytes.len() {
            self.add(piece.keep_from(sent));
        }
    }

    fn close_slow(&self) {
        self.ask_for_end();
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.with(Transport::peer_addr)?
    }
}

/// How many bytes are in these chunks.
fn data_len(mut chunks: &[u8]) -> usize {
    let mut sum = 0;
    while let Some(end) = chunks.iter().position(|byte| *byte == b'\r') {
        let digits = std::str::from_utf8(&chunks[..end]).unwrap_or_default();
        let len = usize::from_str_radix(digits, 16).unwrap_or(0);
        sum += len;
        chunks = chunks.get(end + len + 4..).unwrap_or_default();
    }
    sum
}

/// A message as an event, without a chunk around it.
pub(super) fn event(published: &Published) -> &Bytes {
    published.event.get_or_init(|| encode(published).into())
}

/// A message as it goes on the wire.
fn encode(published: &Published) -> String {
    let message: &Message = published.message();
    let data = message.as_text().map_or_else(
        || {
            let mut data = String::new();
            base64::encode(&mut data, message.as_bytes());
            data
        },
        str::to_owned,
    );
    let mut event = Event::data(data).id(published.id().to_string());
    if let Some(name) = message.event() {
        event = event.name(name);
    }
    let mut encoded = String::new();
    write!(encoded, "{event}").expect("a string takes everything");
    encoded
}

/// The tunnel of an event stream.
struct Events(Rc<EventStream>);

impl Tunnelled for Events {
    fn poll(&mut self, context: &mut Context<'_>, _: &Rc<Outbox>) -> Poll<()> {
        let stream = &self.0;
        stream.is_polled.set(true);
        let polled = stream.poll(context);
        stream.is_polled.set(false);
        let result = ready!(polled);
        stream.feed.end();
        if result.is_err() {
            // The client is gone, or takes nothing.
            if let Some(transport) = stream.transport.take() {
                transport.cut();
            }
        }
        Poll::Ready(())
    }

    fn due(&self) -> Option<Tick> {
        self.0.due()
    }

    fn stop(&mut self) {
        self.0.ask_for_end();
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        self.0.with(call);
    }

    fn protocol(&self) -> Protocol {
        Protocol::Events
    }

    fn body_bytes(&self) -> u64 {
        self.0.body_bytes.get()
    }

    fn leave(self: Box<Self>, has_returned: bool) -> Left {
        self.0.feed.end();
        if self.0.is_timed_out.get() {
            return Left::TimedOut;
        }
        Left::new(has_returned, self.0.transport.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_chunks_are_counted_without_their_framing() {
        assert_eq!(data_len(b""), 0);
        assert_eq!(data_len(b"3\r\n:\n\n\r\n"), 3);
        let chunk = format!("1a\r\n{}\r\n", "\r".repeat(26));
        assert_eq!(data_len(chunk.repeat(3).as_bytes()), 78);
    }

    /// A client that only listens costs this, beside its subscription and an idle connection.
    #[test]
    fn an_event_stream_is_small() {
        let bytes = size_of::<EventStream>() + 2 * size_of::<usize>();
        println!("an event stream has {bytes} bytes");
        assert!(bytes <= 240, "{bytes}");
    }
}
