//! Sends the output of an exchange: at once, in pieces, or by the kernel alone.

use std::{
    future::{Future, poll_fn},
    io,
    os::fd::RawFd,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Instant,
};

use super::{Exchange, Gone, line::Line};
use crate::{
    buf::{Interleaved, IoVectored as _},
    http::{
        server::{end_reason::EndReason, phase::Phase, worker_shared::Shared},
        transport::Transport,
    },
    task, time,
};

/// More than this is sent in pieces, one after the other, while many connections are served: the
/// kernel would take several megabytes at once for each of them.
const WHOLE_BYTES_MAX: usize = 512 * 1024;
const PIECE_BYTES_MAX: usize = 256 * 1024;
/// The first is smaller: many clients may ask at once.
pub(super) const FIRST_PIECE_BYTES_MAX: usize = 64 * 1024;

impl Exchange {
    /// Leaves the answers that have gathered to the kernel, for a connection that is idle next;
    /// false when that cannot be done, and the exchange has to wait for them.
    #[inline]
    pub(crate) fn post(&self) -> bool {
        let shared = &self.shared;
        // A stop waits for what is being written, and looks at the exchanges for it.
        if shared.is_stopping() || !shared.watches_writes() {
            return false;
        }
        let is_posted = self
            .line
            .with(|transport| Ok(self.outgoing.post(transport, &shared.outbox)))
            .unwrap_or_default();
        if is_posted {
            shared.note_write();
        }
        is_posted
    }

    /// Waits until all that was left to the kernel is sent.
    pub(crate) async fn settle(&self) -> Result<(), Gone> {
        let is_sending = self.line.with(|transport| Ok(transport.is_sending()))?;
        if is_sending {
            self.line.set_phase(Phase::Writing);
            // The connection had at least the time between two looks at the writes.
            self.line.set_slow();
            // It has its turn when the others are done.
            let turn = self
                .line
                .with(|transport| Ok(transport.write_all(Vec::new())))?;
            UntilStalled::new(&self.line, &self.shared, turn).await?;
        }
        Ok(())
    }

    /// Sends what goes at once of `data`, which is of the answer's body, from where it is; nothing
    /// when it has to wait for other bytes or needs framing.
    pub(crate) fn send_body_at_once(&self, data: &[u8]) -> io::Result<usize> {
        self.send_past(|transport| transport.try_write(data))
    }

    /// As [`send_body_at_once`](Self::send_body_at_once), from a file. `Unsupported` where its
    /// bytes have to be read.
    pub(crate) fn send_file_at_once(
        &self,
        file: RawFd,
        offset: u64,
        len: usize,
    ) -> io::Result<usize> {
        self.send_past(|transport| transport.try_send_file(file, offset, len))
    }

    fn send_past(&self, send: impl FnOnce(&Transport) -> io::Result<usize>) -> io::Result<usize> {
        if !self.outgoing.is_passable() {
            return Ok(0);
        }
        let sent = match self.line.with(send) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            sent => sent?,
        };
        self.shared.count_sent(sent);
        let noted = self.outgoing.note_sent(sent);
        noted.map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        Ok(sent)
    }

    /// Sends what has gathered.
    pub(crate) async fn flush(&self) -> Result<(), Gone> {
        if self.outgoing.is_empty() {
            return Ok(());
        }
        self.outgoing.set_sending(true);
        // The handler may add something meanwhile.
        while !self.outgoing.is_empty() {
            let taken = self.outgoing.take();
            if !taken.segments.is_empty() {
                self.write_segments(taken).await?;
                continue;
            }
            let mut bytes = taken.bytes;
            self.shared.count_sent(bytes.len());
            let sent = self.line.with(|transport| transport.send_at_once(&bytes))?;
            if sent == bytes.len() {
                bytes.clear();
            } else if sent > 0 {
                bytes.drain(..sent);
            }
            if !bytes.is_empty() {
                let before = self.line.set_phase(Phase::Writing);
                let write = self.line.with(|transport| Ok(transport.write_all(bytes)))?;
                bytes = UntilStalled::new(&self.line, &self.shared, write).await?;
                self.line.set_phase(before);
                bytes.clear();
            }
            self.outgoing.put_back(bytes);
        }
        self.outgoing.set_sending(false);
        self.outgoing.wake_writer();
        Ok(())
    }

    /// Sends what has large pieces: very much of it in smaller ones, between which the other
    /// connections have their turn. A Unix socket gets such of which it tells whether the client
    /// takes them.
    async fn write_segments(&self, mut taken: Interleaved) -> Result<(), Gone> {
        let before = self.line.set_phase(Phase::Writing);
        let bytes = taken.total_len();
        self.shared.note_body_bytes(bytes);
        let piece_max = self
            .line
            .with(|transport| Ok(transport.piece_bytes_max()))?;
        let mut at_once = true;
        let is_much = bytes > WHOLE_BYTES_MAX && self.shared.is_crowded();
        if piece_max < usize::MAX || is_much {
            self.write_in_pieces(&taken, piece_max).await?;
            at_once = false;
        } else {
            self.shared.count_sent(bytes);
            let write = self
                .line
                .with(|transport| Ok(transport.write_parts(taken)))?;
            let mut write = pin!(write);
            let mut write = UntilStalled::new(&self.line, &self.shared, write.as_mut());
            let written = poll_fn(|context| {
                let polled = Pin::new(&mut write).poll(context);
                at_once &= polled.is_ready();
                polled
            });
            taken = written.await?;
        }
        self.line.set_phase(before);
        self.outgoing.segments_were_sent(taken, bytes, at_once);
        Ok(())
    }

    /// After the first piece it is the others' turn: those whose answers are under way come after
    /// those who have asked for one.
    async fn write_in_pieces(&self, taken: &Interleaved, piece_max: usize) -> Result<(), Gone> {
        let (mut start, mut piece_count) = (0, 0_usize);
        for (at, segment) in &taken.segments {
            let mut bytes = taken.bytes[start..*at].to_vec();
            start = *at;
            let mut segment = segment.clone();
            while !segment.is_empty() {
                let bytes_max = match piece_count {
                    0 => FIRST_PIECE_BYTES_MAX,
                    _ => PIECE_BYTES_MAX,
                };
                if piece_count == 1 || self.shared.is_turn_over() {
                    task::yield_now().await;
                }
                piece_count += 1;
                let piece = segment.split_to(segment.len().min(piece_max).min(bytes_max));
                self.shared.count_sent(piece.len());
                let parts = Interleaved {
                    segments: vec![(bytes.len(), piece)],
                    bytes: std::mem::take(&mut bytes),
                };
                let write = self
                    .line
                    .with(|transport| Ok(transport.write_parts(parts)))?;
                UntilStalled::new(&self.line, &self.shared, pin!(write)).await?;
            }
        }
        let last = taken.bytes[start..].to_vec();
        if !last.is_empty() {
            let write = self.line.with(|transport| Ok(transport.write_all(last)))?;
            UntilStalled::new(&self.line, &self.shared, write).await?;
        }
        Ok(())
    }
}

/// A write whose client is cut when it takes nothing for too long.
///
/// Most writes are done within a turn or two, and reading a clock or arming a timer for each would
/// cost more than the rest of them. A worker therefore looks once a second at those that are under
/// way, and only one that it finds twice counts its time.
struct UntilStalled<'a, W> {
    line: &'a Line,
    shared: &'a Shared,
    write: W,
    /// The number of bytes that the client had taken when the time began, and when the time ends.
    stall: Option<(Option<u64>, Instant)>,
}

impl<'a, W> UntilStalled<'a, W> {
    fn new(line: &'a Line, shared: &'a Shared, write: W) -> Self {
        Self {
            line,
            shared,
            write,
            stall: None,
        }
    }

    /// The time is over and the client has taken nothing.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let (taken, until) = match self.stall {
                Some(stall) => stall,
                None => {
                    let limit = self.shared.settings.timeouts.write;
                    // The deadline does not fit an `Instant`: there is no limit.
                    let Some(until) = time::now().checked_add(limit) else {
                        return Poll::Pending;
                    };
                    *self.stall.insert((self.line.bytes_taken(), until))
                }
            };
            if self.line.poll_timer(until, context).is_pending() {
                return Poll::Pending;
            }
            if taken.is_none() || self.line.bytes_taken() == taken {
                return Poll::Ready(());
            }
            self.stall = None;
        }
    }
}

impl<T, W: Future<Output = io::Result<T>> + Unpin> Future for UntilStalled<'_, W> {
    type Output = Result<T, Gone>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (line, shared) = (this.line, this.shared);
        if let Poll::Ready(result) = Pin::new(&mut this.write).poll(context) {
            line.end_write();
            return Poll::Ready(result.map_err(Gone::from));
        }
        if let (Some(now), false) = (shared.note_write(), line.is_slow()) {
            line.note_write(now);
            return Poll::Pending;
        }
        if this.poll_stall(context).is_pending() {
            return Poll::Pending;
        }
        // The write is dropped before the connection, and what it has begun would be finished
        // first.
        line.cut();
        shared.count_refusal(EndReason::WriteTimeout);
        Poll::Ready(Err(Gone(EndReason::WriteTimeout)))
    }
}
