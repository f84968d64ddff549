//! The driver of a connection: it receives, writes, and looks at the clock.

use std::{
    io, mem,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Connection, Error};
use crate::{
    http::{
        tick::Tick,
        transport::Transport,
        websocket::{outgoing::Outgoing, pulse::Due},
        ws::encode_ping,
    },
    net::Outbox,
};

/// The state of the bytes that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// The system has them.
    Whole,
    /// They were left to the kernel, and their write may be under way: only a flush waits for it.
    Posted,
    /// They may still wait in the stream.
    Unflushed,
}

impl Connection {
    /// Does what there is to do, and polls `user`, who uses the connection, after everything that
    /// has come. One task drives a connection, and its waker is registered for the rest. An
    /// `outbox` takes writes that are left to the kernel.
    pub(crate) fn drive<R>(
        &self,
        context: &mut Context<'_>,
        outbox: Option<&Rc<Outbox>>,
        mut user: impl FnMut(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let waker = match self.driver.take() {
            Some(waker) if waker.will_wake(context.waker()) => waker,
            _ => context.waker().clone(),
        };
        drop(self.driver.replace(Some(waker)));
        self.is_driven.set(true);
        // To ask the clock costs more than most of this.
        let now = Tick::now();
        let mut is_watched = false;
        self.receive(now, &mut is_watched, context);
        let polled = loop {
            let polled = user(context);
            self.write(context, outbox);
            if polled.is_ready() || !self.receive(now, &mut is_watched, context) {
                break polled;
            }
        };
        if !self.pulse.was_heard(now) {
            self.look_at_clock(now, context);
        }
        // The answers to control frames, and a ping.
        self.write(context, outbox);
        self.rest();
        self.is_driven.set(false);
        polled
    }

    /// The tick at which it is to be driven at the latest.
    pub(crate) fn due(&self) -> Option<Tick> {
        if self.is_over() {
            return None;
        }
        self.pulse.due(self.settings()).map(|(tick, _)| tick)
    }

    /// Drives a connection that its user has done with, until both ends have closed it. Messages
    /// that come are dropped.
    pub(crate) fn poll_end(&self, context: &mut Context<'_>, outbox: &Rc<Outbox>) -> Poll<()> {
        let polled = self.drive(context, Some(outbox), |_| {
            self.drop_messages();
            Poll::Pending
        });
        if self.is_over() {
            return Poll::Ready(());
        }
        polled
    }

    /// Whether both directions are at their end, or the stream is of no use.
    pub(in crate::http::websocket) fn is_over(&self) -> bool {
        let has_ended = self.peer_close.get().is_some() || self.failure.get().is_some();
        has_ended && self.is_written()
    }

    /// Whether nothing waits to be written, or nothing can be written.
    pub(in crate::http::websocket) fn is_written(&self) -> bool {
        self.is_mute.get() || self.buffered() == 0 && !self.is_unflushed()
    }

    fn is_unflushed(&self) -> bool {
        self.written.get() == Written::Unflushed
    }

    /// Has the driver wait for bytes that were left to the kernel. False if there are none.
    pub(super) fn await_posted(&self) -> bool {
        let is_posted = self.written.get() == Written::Posted;
        if is_posted {
            self.written.set(Written::Unflushed);
            self.wake_driver();
        }
        is_posted
    }

    /// Drops the messages that have come, for the end of a connection.
    pub(in crate::http::websocket) fn drop_messages(&self) {
        drop(self.if_busy(|busy| busy.incoming.take_ready()));
    }

    /// Receives until a message is complete, which waits then to be taken. Returns whether there
    /// may be something new for the receiver: if that is polled by the driver, it is the first to
    /// look at what has come. The stream is not polled once it `is_watched`, since that found all
    /// that is there and registered the waker.
    fn receive(&self, now: Tick, is_watched: &mut bool, context: &mut Context<'_>) -> bool {
        let here = self.if_busy(|busy| (busy.incoming.has_ready(), busy.incoming.has_input()));
        let (has_ready, mut has_input) = here.unwrap_or_default();
        if has_ready || self.ending().is_some() {
            return false;
        }
        loop {
            if has_input {
                if let Some(message) = self.look_at_all() {
                    self.busy(|busy| busy.incoming.keep_ready(message));
                    break;
                }
                if self.ending().is_some() {
                    break;
                }
            }
            if *is_watched {
                return false;
            }
            match self.poll_stream(|stream| stream.poll_recv_and_watch(context)) {
                Poll::Pending => return false,
                Poll::Ready(Ok((bytes, was_last))) if !bytes.is_empty() => {
                    *is_watched = was_last;
                    self.pulse.note_heard(now);
                    let has_receiver = self.busy(|busy| {
                        busy.incoming.push(bytes);
                        busy.receiver.is_some()
                    });
                    if !has_receiver {
                        return true;
                    }
                    has_input = true;
                }
                Poll::Ready(Ok(_)) => break self.lose(io::ErrorKind::UnexpectedEof),
                Poll::Ready(Err(error)) => break self.lose(error.kind()),
            }
        }
        self.wake_receiver(context);
        true
    }

    /// Whether a message waits to be taken.
    fn has_ready(&self) -> bool {
        self.if_busy(|busy| busy.incoming.has_ready())
            .unwrap_or(false)
    }

    /// The result of a poll of the stream, or an error if it is over.
    fn poll_stream<R>(
        &self,
        poll: impl FnOnce(&Transport) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let polled = self.with_stream(poll);
        let polled = polled.unwrap_or_else(|| Poll::Ready(Err(io::ErrorKind::NotConnected.into())));
        if let Poll::Ready(Err(_)) = polled {
            self.is_broken.set(true);
        }
        polled
    }

    /// The stream has ended or failed.
    fn lose(&self, kind: io::ErrorKind) {
        self.failure.set(Some(Error::Lost(kind)));
        self.mute();
        self.tell_end();
    }

    /// Wakes the task that waits for a message, unless it is the driver's own, which goes on.
    fn wake_receiver(&self, context: &Context<'_>) {
        if let Some(receiver) = self.if_busy(|busy| busy.receiver.take()).flatten() {
            if !receiver.will_wake(context.waker()) {
                receiver.wake();
            }
        }
    }

    /// Wakes the driver, unless it has its turn.
    pub(super) fn wake_driver(&self) {
        if self.is_driven.get() {
            return;
        }
        if let Some(driver) = self.driver.take() {
            driver.wake_by_ref();
            let later = self.driver.replace(Some(driver));
            drop(later);
        }
    }

    /// Writes what waits, as far as the stream takes it, and then messages of topics.
    fn write(&self, context: &mut Context<'_>, outbox: Option<&Rc<Outbox>>) {
        while self.write_queued(context, outbox) && self.feed.note_room() {}
    }

    /// Writes what waits, as far as the stream takes it. True if there was something, and all of it
    /// is gone.
    #[inline]
    fn write_queued(&self, context: &mut Context<'_>, outbox: Option<&Rc<Outbox>>) -> bool {
        let has_something = !self.is_mute.get() && (!self.is_written() || self.may_shut());
        has_something && (self.post(outbox) || self.write_now(context))
    }

    /// Leaves the bytes that wait to the kernel, where that is the cheapest way and no time counts
    /// from the end of their write. False when they stay here.
    #[inline]
    fn post(&self, outbox: Option<&Rc<Outbox>>) -> bool {
        let Some(outbox) = outbox.filter(|_| !self.is_unflushed() && self.pulse.is_calm()) else {
            return false;
        };
        let post = |bytes: &mut Vec<u8>| {
            let posted = self.with_stream(|stream| stream.post(bytes, outbox));
            posted.unwrap_or(false)
        };
        let posted = self.if_busy(|busy| {
            let is_posted = busy.outgoing.take_few(post);
            (
                is_posted,
                is_posted && (busy.room.is_some() || busy.ping.is_some()),
            )
        });
        let (is_posted, is_awaited) = posted.unwrap_or_default();
        if is_posted {
            self.written.set(Written::Posted);
        }
        if is_awaited {
            self.tell_room();
            self.answer_last_ping();
        }
        is_posted
    }

    fn write_now(&self, context: &mut Context<'_>) -> bool {
        let mut out = self.busy(|busy| mem::take(&mut busy.outgoing));
        let was_full = out.len() > self.settings().buffered_bytes_max;
        let polled = self.poll_write(&mut out, context);
        // A stream of another module may have used the connection meanwhile.
        self.busy(|busy| {
            out.append(mem::take(&mut busy.outgoing));
            busy.outgoing = out;
        });
        match &polled {
            // Bytes that the peer has sent before are received nevertheless.
            Poll::Ready(Err(_)) => self.mute(),
            Poll::Ready(Ok(())) => self.tell_room(),
            Poll::Pending if was_full && !self.is_full() => self.tell_room(),
            Poll::Pending => {}
        }
        if !self.is_full() {
            self.answer_last_ping();
        }
        matches!(polled, Poll::Ready(Ok(())))
    }

    /// Answers the last ping, whose answer had no room.
    fn answer_last_ping(&self) {
        if let Some(payload) = self.if_busy(|busy| busy.ping.take()).flatten() {
            self.answer_ping(payload);
        }
    }

    fn poll_write(&self, out: &mut Outgoing, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !out.is_empty() {
            let count = ready!(self.poll_stream(|stream| out.with_slices(
                |slices| match slices {
                    [only] => stream.poll_write(context, only),
                    _ => stream.poll_write_vectored(context, slices),
                }
            )))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written.set(Written::Unflushed);
            out.advance(count);
            self.pulse.note_written(out.is_empty());
        }
        if self.is_unflushed() {
            ready!(self.poll_stream(|stream| stream.poll_flush(context)))?;
            self.written.set(Written::Whole);
        }
        if self.may_shut() {
            ready!(self.poll_stream(|stream| stream.poll_shutdown(context)))?;
            self.is_shut.set(true);
        }
        Poll::Ready(Ok(()))
    }

    /// Whether both ends have sent their close frames, or the peer broke a rule, so that a server
    /// ends the stream (RFC 6455, section 7.1.1).
    fn may_shut(&self) -> bool {
        self.is_deaf() && self.is_closing.get() && !self.is_shut.get() && !self.is_mute.get()
    }

    /// Nothing can be written any more.
    pub(crate) fn mute(&self) {
        self.is_mute.set(true);
        self.feed.end();
        drop(self.if_busy(|busy| mem::take(&mut busy.outgoing)));
        self.tell_room();
    }

    fn look_at_clock(&self, now: Tick, context: &mut Context<'_>) {
        loop {
            let due = match self.pulse.due(self.settings()) {
                Some((tick, due)) if tick <= now && !self.is_over() => due,
                _ => return,
            };
            match due {
                Due::Ping => {
                    self.pulse.note_ping();
                    self.push(|out| {
                        let encoded = encode_ping(out, &[], self.key());
                        encoded.expect("an empty payload is not too long");
                    });
                }
                Due::PingTimeout => self.look_for_answer(context),
                Due::CloseTimeout => self.give_up(Error::CloseTimeout, context),
            }
        }
    }

    /// The answer to a ping is overdue. It may be here all the same: this thread may have been away
    /// for longer than its time, and a message that is not taken yet stands before it.
    fn look_for_answer(&self, context: &mut Context<'_>) {
        self.with_stream(Transport::collect_now);
        if self.receive(Tick::now(), &mut false, context) {
            // The user looks at it.
            context.waker().wake_by_ref();
        }
        if self.has_ready() {
            self.pulse.note_heard(Tick::now());
        } else if self.pulse.is_pinged() {
            self.give_up(Error::PingTimeout, context);
        }
    }

    /// Ends a connection whose peer does not answer.
    fn give_up(&self, error: Error, context: &Context<'_>) {
        if self.ending().is_none() {
            self.failure.set(Some(error));
        }
        self.is_broken.set(true);
        self.mute();
        self.tell_end();
        self.wake_receiver(context);
        context.waker().wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Future as _, poll_fn},
        io::Read as _,
        net::{TcpListener, TcpStream},
        pin::pin,
        thread,
    };

    use super::*;
    use crate::{
        http::{
            transport::tunnelled::Departed,
            websocket::{
                Options,
                connection::{Agreed, End},
            },
        },
        net,
        pool::ManagedBuf,
    };

    /// More than goes out at once to a peer that does not read.
    const MUCH: usize = 8 << 20;

    #[test]
    fn a_flush_waits_for_bytes_that_were_left_to_the_kernel() {
        crate::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let stream = net::TcpStream::from_std(listener.accept().unwrap().0).unwrap();
            let departed = Departed {
                transport: stream.into(),
                unread: ManagedBuf::empty(),
                stop: None,
            };
            let connection =
                Connection::new(departed, End::Server, Agreed::default(), Options::new());
            let left = connection.with_stream(|stream| stream.write_all(vec![0; MUCH]));
            let mut left = pin!(left.unwrap());
            let mut flush = pin!(connection.flush());
            let mut flush = |context: &mut Context<'_>| {
                connection.drive(context, None, |context| flush.as_mut().poll(context))
            };
            poll_fn(|context| {
                assert!(left.as_mut().poll(context).is_pending());
                connection.written.set(Written::Posted);
                assert!(flush(context).is_pending());
                Poll::Ready(())
            })
            .await;
            let reader = thread::spawn(move || peer.read_exact(&mut vec![0; MUCH]));
            left.await.unwrap();
            poll_fn(flush).await.unwrap();
            reader.join().unwrap().unwrap();
        });
    }
}
