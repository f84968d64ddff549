//! A connection that speaks HTTP/2.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ::h2::{
    Ping, PingPong, Reason,
    server::{Builder, Connection, Handshake},
};
use bytes::Bytes;

use super::{
    answer::DateValue,
    lane::{Asked, Ended, Lane, Serving, serve_all},
    wire::{Line, Wire},
};
use crate::{
    budget,
    http::{
        server::{message::handler::Handler, trace::ConnectionId, worker_shared::Shared},
        tick::Tick,
        transport::{
            Transport,
            tunnelled::{Departed, Left, Tunnelled},
        },
    },
    net::Outbox,
    task::IndexWakes,
    unwind,
};

/// Times that the connection and its lanes are polled in turn before other connections are.
const ROUNDS_PER_TURN: usize = 4;
/// Streams that are begun before their handlers and other connections have their turn.
const STREAMS_PER_ROUND: usize = 128;
/// Lanes without a stream that a connection keeps.
const SPARE_MAX: usize = 8;
/// The time that a client has to close a connection which was idle too long, after it was told so.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection that speaks HTTP/2.
pub(super) struct Http2Connection<H> {
    shared: Rc<Shared>,
    handler: Rc<H>,
    span: ConnectionId,
    line: Rc<Line>,
    state: State,
    date: Rc<DateValue>,
    lanes: slab::Slab<Running>,
    /// The lanes without a stream.
    spare: Vec<u32>,
    /// A stream for which there is no lane, until those that were woken have had their turn.
    held: Option<Asked>,
    wakes: IndexWakes,
    /// The waker of the last poll.
    waker: Option<Waker>,
    ping: Option<PingPong>,
    /// Until when the next thing has to happen.
    wait: Wait,
    /// The requests that the client has reset, less those that it has let come to an end.
    resets: u32,
    /// Whether the client may begin no further requests: a GOAWAY was sent, or follows the
    /// handshake.
    is_leaving: bool,
    /// It ends with its streams, and no client waits for more.
    is_broken: bool,
}

enum State {
    Shaking(Box<Handshake<Wire, Bytes>>),
    Open(Box<Connection<Wire, Bytes>>),
    /// The connection is at its end, and some handlers go on.
    Over,
}

/// A lane with its future.
struct Running {
    lane: Rc<Lane>,
    serving: Serving,
}

/// The next thing that has to happen. The tick is none when the clock does not go so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The preface and the first settings are complete.
    Handshake(Option<Tick>),
    /// A request comes.
    Request(Option<Tick>),
    /// Bytes come while requests are under way.
    Bytes(Option<Tick>),
    /// The client takes the rest of the answers.
    Taken(Option<Tick>),
    /// Bytes come after a ping.
    Pong(Option<Tick>),
    /// The client closes, and no request is under way.
    Close(Option<Tick>),
    /// The connection ends, whatever is under way.
    Cut(Option<Tick>),
}

impl Wait {
    fn due(self) -> Option<Tick> {
        match self {
            Self::Handshake(due)
            | Self::Request(due)
            | Self::Bytes(due)
            | Self::Taken(due)
            | Self::Pong(due)
            | Self::Close(due)
            | Self::Cut(due) => due,
        }
    }
}

impl<H: Handler> Http2Connection<H> {
    pub(super) fn new(
        departed: Departed,
        shared: Rc<Shared>,
        handler: Rc<H>,
        span: ConnectionId,
    ) -> Self {
        let line = Line::new(departed.transport);
        let wire = Wire::new(Rc::clone(&line), Rc::clone(&shared), departed.unread);
        let head_timeout = shared.settings.timeouts.head;
        Self {
            state: State::Shaking(Box::new(builder(&shared).handshake(wire))),
            shared,
            handler,
            span,
            line,
            date: Rc::default(),
            lanes: slab::Slab::new(),
            spare: Vec::new(),
            held: None,
            wakes: IndexWakes::new(),
            waker: None,
            ping: None,
            wait: Wait::Handshake(Tick::now().after(head_timeout)),
            resets: 0,
            is_leaving: false,
            is_broken: false,
        }
    }

    /// How many streams are served.
    fn active_count(&self) -> usize {
        self.lanes.len() - self.spare.len()
    }

    /// Ready when the handshake is done. False when it has failed.
    fn poll_handshake(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let State::Shaking(handshake) = &mut self.state else {
            return Poll::Ready(true);
        };
        match Pin::new(&mut **handshake).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(_)) => {
                self.state = State::Over;
                Poll::Ready(false)
            }
            Poll::Ready(Ok(mut connection)) => {
                self.ping = connection.ping_pong();
                if self.is_leaving {
                    connection.graceful_shutdown();
                }
                self.state = State::Open(Box::new(connection));
                Poll::Ready(true)
            }
        }
    }

    /// Lets the protocol go on, and begins the streams that have come. True if there may be more.
    fn accept(&mut self, context: &mut Context<'_>) -> bool {
        for _ in 0..STREAMS_PER_ROUND {
            if self.held.is_some() {
                return true;
            }
            let State::Open(connection) = &mut self.state else {
                return false;
            };
            match connection.poll_accept(context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(asked))) if self.has_room() => self.begin(asked),
                Poll::Ready(Some(Ok(asked))) => self.held = Some(asked),
                Poll::Ready(end) => {
                    self.is_broken = matches!(&end, Some(Err(error)) if error.is_io());
                    self.state = State::Over;
                }
            }
        }
        true
    }

    /// Whether one more stream may be served. The crate counts those that its client has not reset,
    /// and a handler may go on after that.
    fn has_room(&self) -> bool {
        let streams_max = self.shared.settings.http2.http2.concurrent_streams_max;
        self.active_count() < streams_max as usize
    }

    fn begin(&mut self, asked: Asked) {
        let index = self.spare.pop().unwrap_or_else(|| self.add_lane());
        self.lanes[index as usize].lane.give(asked);
        self.wakes.waker(index).wake();
    }

    /// Begins the stream that waits for a lane, or refuses it if none has become free.
    fn begin_held(&mut self) {
        match self.held.take() {
            Some(asked) if self.has_room() => self.begin(asked),
            Some((_, mut respond)) => respond.send_reset(Reason::REFUSED_STREAM),
            None => {}
        }
    }

    fn add_lane(&mut self) -> u32 {
        let lane = Lane::new(&self.shared, &self.date, &self.line.transport, self.span);
        let serving = Box::pin(serve_all(Rc::clone(&lane), Rc::clone(&self.handler)));
        let index = self.lanes.insert(Running { lane, serving });
        u32::try_from(index).expect("there are no more lanes than streams")
    }

    /// The turn of the lanes that were woken.
    fn serve_woken(&mut self) {
        let mut woken = Vec::new();
        self.wakes.take(&mut woken);
        for index in woken {
            let Some(running) = self.lanes.get_mut(index as usize) else {
                continue;
            };
            let waker = self.wakes.waker(index);
            let mut context = Context::from_waker(&waker);
            let poll = || budget::each(|| running.serving.as_mut().poll(&mut context));
            if unwind::caught(poll).is_none() {
                // A value of the user's has panicked while it was dropped.
                let broken = self.lanes.remove(index as usize);
                unwind::swallow(|| drop(broken));
                continue;
            }
            if let Some(ended) = running.lane.take_ended() {
                self.count(ended);
                self.rest(index);
            }
        }
        self.begin_held();
    }

    /// Keeps a lane for the next stream, or drops it.
    fn rest(&mut self, index: u32) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(index);
        } else {
            drop(self.lanes.remove(index as usize));
        }
    }

    /// Counts the end of a stream. Ends a connection whose client resets too many
    /// streams.
    fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Answered => self.resets = self.resets.saturating_sub(1),
            Ended::Reset => self.resets = self.resets.saturating_add(1),
            Ended::Otherwise => {}
        }
        if self.resets > self.shared.settings.http2.http2.resets_max {
            if let State::Open(connection) = &mut self.state {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                self.wait = Wait::Cut(Tick::now().after(FAREWELL));
            }
        }
    }

    /// Looks at the time. True if the connection is to be cut.
    fn look_at_time(&mut self, context: &mut Context<'_>) -> bool {
        let timeouts = &self.shared.settings.timeouts;
        let options = &self.shared.settings.http2.http2;
        let now = Tick::now();
        let State::Open(connection) = &mut self.state else {
            return self.wait.due().is_some_and(|due| due <= now);
        };
        let pong = self.ping.as_mut().map(|ping| ping.poll_pong(context));
        let has_pong = pong.is_some_and(|pong| pong.is_ready());
        let is_idle = self.lanes.len() == self.spare.len();
        let heard = self.line.heard();
        let taken = self.line.blocked().filter(|_| is_idle);
        let taken = taken.map(|since| since.after(timeouts.write));
        self.wait = match self.wait {
            Wait::Cut(due) if due.is_some_and(|due| due <= now) => return true,
            Wait::Cut(due) => Wait::Cut(due),
            // The streams are over, and their last bytes are still here.
            _ if taken.is_some() => match taken.flatten() {
                Some(due) if due <= now => return true,
                due => Wait::Taken(due),
            },
            Wait::Close(due) if is_idle && due.is_some_and(|due| due <= now) => return true,
            Wait::Close(due) if is_idle => Wait::Close(due),
            // A request that was on its way when the client was told is served.
            _ if is_idle && self.is_leaving => Wait::Close(now.after(FAREWELL)),
            Wait::Request(due) if is_idle && due.is_some_and(|due| due <= now) => {
                self.shared.count(|report| report.timed_out += 1);
                connection.graceful_shutdown();
                self.is_leaving = true;
                wake(context);
                Wait::Close(now.after(FAREWELL))
            }
            Wait::Request(due) if is_idle => Wait::Request(due),
            _ if is_idle => Wait::Request(now.after(timeouts.idle)),
            Wait::Pong(due) if !has_pong && heard.after(options.ping_timeout) <= due => {
                if due.is_some_and(|due| due <= now) {
                    return true;
                }
                Wait::Pong(due)
            }
            _ => {
                let due = heard.after(options.ping_interval);
                if due.is_some_and(|due| due <= now) {
                    if let Some(ping) = &mut self.ping {
                        let _ = ping.send_ping(Ping::opaque());
                        wake(context);
                    }
                    Wait::Pong(now.after(options.ping_timeout))
                } else {
                    Wait::Bytes(due)
                }
            }
        };
        false
    }

    /// Ends the streams whose handlers do not go on without their client. They see it by
    /// themselves.
    fn wake_all(&mut self) {
        for (index, _) in &self.lanes {
            self.wakes.waker(index as u32).wake();
        }
    }
}

/// Polls the connection again soon: it has something to send.
fn wake(context: &Context<'_>) {
    context.waker().wake_by_ref();
}

/// The settings of a connection, as the crate `h2` takes them.
fn builder(shared: &Shared) -> Builder {
    let options = &shared.settings.http2.http2;
    let fields_bytes_max = shared.settings.rules.limits.head_bytes_max;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(options.concurrent_streams_max)
        .initial_window_size(options.stream_window_bytes)
        .initial_connection_window_size(options.connection_window_bytes)
        .max_frame_size(options.frame_bytes_max)
        .header_table_size(options.table_bytes_max)
        .max_header_list_size(u32::try_from(fields_bytes_max).unwrap_or(u32::MAX))
        .max_send_buffer_size(options.send_buffer_bytes_max)
        // A client whose requests were all answered before their ends may have a part of each body
        // under way. For a stream that is forgotten by then that would be an error of the client's.
        .max_concurrent_reset_streams(options.concurrent_streams_max as usize)
        .max_pending_accept_reset_streams(options.unseen_resets_max)
        .max_local_error_reset_streams(Some(options.error_resets_max));
    builder
}

impl<H: Handler> Tunnelled for Http2Connection<H> {
    fn poll(&mut self, context: &mut Context<'_>, _outbox: &Rc<Outbox>) -> Poll<()> {
        let is_known = |waker: &Waker| waker.will_wake(context.waker());
        if !self.waker.as_ref().is_some_and(is_known) {
            drop(self.waker.replace(context.waker().clone()));
        }
        match self.poll_handshake(context) {
            Poll::Ready(true) => {}
            Poll::Ready(false) => return Poll::Ready(()),
            Poll::Pending if self.look_at_time(context) => {
                self.is_broken = true;
                return Poll::Ready(());
            }
            Poll::Pending => return Poll::Pending,
        }
        for round in 0.. {
            let was_open = matches!(self.state, State::Open(_));
            let has_more = self.accept(context);
            if was_open && matches!(self.state, State::Over) {
                self.wake_all();
            }
            if self.wakes.poll_ready(context).is_pending() && !has_more {
                break;
            }
            if round == ROUNDS_PER_TURN {
                budget::exhaust();
                wake(context);
                break;
            }
            self.serve_woken();
        }
        if matches!(self.state, State::Over) {
            return if self.active_count() == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            };
        }
        if self.look_at_time(context) {
            self.is_broken = true;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn due(&self) -> Option<Tick> {
        match self.state {
            State::Over => None,
            _ => self.wait.due(),
        }
    }

    fn stop(&mut self) {
        self.is_leaving = true;
        if let State::Open(connection) = &mut self.state {
            connection.graceful_shutdown();
        }
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    fn is_idle(&self) -> Option<bool> {
        Some(self.active_count() == 0)
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        call(&self.line.transport);
    }

    fn leave(self: Box<Self>, has_returned: bool) -> Left {
        let Self {
            line,
            state,
            mut lanes,
            is_broken,
            ..
        } = *self;
        for running in lanes.drain() {
            unwind::swallow(|| drop(running));
        }
        // The crate has one of the two.
        drop(state);
        match Rc::try_unwrap(line) {
            Ok(line) if is_broken && has_returned => {
                line.transport.cut();
                Left::Whole(None)
            }
            Ok(line) => Left::new(has_returned, Some(line.transport)),
            Err(_) => unreachable!("the other one was dropped"),
        }
    }
}
