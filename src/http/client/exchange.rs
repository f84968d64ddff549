//! One request and its response on one connection.
//!
//! Sending and receiving go on at the same time: the response may come before the request was sent
//! whole. A response that is an error, or announces the end of the connection, stops the sending;
//! after any other the rest of the request goes on while the response's body is pulled.
//!
//! The connection goes back to the pool at the moment at which the response's last byte was
//! received, and only when the request was sent whole, both sides keep the connection, and nothing
//! came after the response. In every other case it is closed.

pub(super) mod deadline;
pub(super) mod message;
pub(crate) mod onward_head;
mod upload;
mod waiting;

use std::{
    fmt, io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::{
    error::{Error, ErrorKind},
    informational::Informational,
    options::{ExchangeLimits, Options},
    phase::Phase,
    pool::connection::Connection,
    timings::{Moments, Timings, Watch},
};
use crate::{
    budget::PutOff,
    http::{
        Method, StatusCode,
        h1::{BodyDecoder, BodyError, ResponseError, ResponseHead, Rules},
    },
    net::{BULK_BYTES_MAX, Flood},
    pool::ManagedBuf,
    time,
};
use deadline::{Total, Watchdog};
use message::Message;
use upload::{Upload, UploadError};

/// Number of informational responses before the response.
pub(super) const INFORMATIONAL_MAX: u32 = 16;
/// Pieces up to this size are copied out of the kernel's memory.
const SMALL_PIECE_BYTES_MAX: usize = 1 << 10;
/// The idle time of a connection whose server says nothing about it; the pool's own is shorter.
const IDLE_TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// One request and its response on one connection. It is made to be used again.
pub(super) struct Exchange {
    connection: Option<Box<Connection>>,
    pub(super) head: ResponseHead,
    pub(super) upload: Upload,
    decoder: BodyDecoder,
    /// The first piece of the body, which came with the head.
    piece: Option<ManagedBuf>,
    method: Method,
    /// Whether the request says that the connection stays open.
    pub(super) keeps_alive: bool,
    /// Whether the request asks for another protocol.
    pub(super) asks_upgrade: bool,
    is_body_over: bool,
    informational_count: u32,
    has_received: bool,
    /// Why the connection took no more of the request.
    send_error: Option<io::Error>,
    watchdog: Watchdog,
    moved: bool,
    /// Whether the next piece was put off to the task's next poll.
    pub(super) put_off: PutOff,
    /// A time limit that has passed, while the kernel is asked what came before.
    passed: Option<Error>,
    total: Total,
    pub(super) limits: ExchangeLimits,
    /// The request, once the response is here.
    pub(super) message: Option<Box<Message>>,
    moments: Moments,
    /// The times before the exchange.
    before: Timings,
}

/// Why an exchange has failed before its response.
pub(super) struct Failed {
    pub(super) error: Error,
    /// The connection had served another request, and died before a byte of the response came.
    pub(super) was_stale: bool,
    /// Nothing of the request has left this process.
    pub(super) is_unsent: bool,
}

impl Exchange {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            connection: None,
            head: ResponseHead::new(),
            upload: Upload::new(),
            decoder: BodyDecoder::new(),
            piece: None,
            method: Method::GET,
            keeps_alive: true,
            asks_upgrade: false,
            is_body_over: false,
            informational_count: 0,
            has_received: false,
            send_error: None,
            watchdog: Watchdog::default(),
            moved: false,
            put_off: PutOff::new(),
            passed: None,
            total: Total::default(),
            limits: ExchangeLimits::default(),
            message: None,
            moments: Moments::new(Instant::now(), Instant::now()),
            before: Timings::default(),
        })
    }

    /// Forgets everything but the memory; a connection is closed.
    pub(super) fn clear(&mut self) {
        let connection = self.connection.take();
        drop(connection);
        self.head.clear();
        self.upload.stop();
        self.piece = None;
        self.asks_upgrade = false;
        self.is_body_over = false;
        self.informational_count = 0;
        self.has_received = false;
        self.send_error = None;
        self.watchdog = Watchdog::default();
        self.passed = None;
        self.moved = false;
        self.put_off = PutOff::new();
    }

    /// Begins on a connection. The upload was begun.
    pub(super) fn begin(
        &mut self,
        connection: Box<Connection>,
        message: &Message,
        total: Total,
        started: Instant,
        watch: &Watch,
    ) {
        let method = &message.method;
        self.limits = message.options.limits;
        self.before = Timings {
            is_reused: connection.is_reused,
            ..watch.timings
        };
        self.moments = Moments::new(started, watch.since());
        self.connection = Some(connection);
        if self.method != *method {
            self.method = method.clone();
        }
        self.total = total;
        self.moved = true;
    }

    /// Sends the request until the head of the response is here.
    pub(super) fn poll_head(
        &mut self,
        options: &Options,
        rules: &Rules,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Failed>> {
        match self.try_poll_head(options, rules, context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => {
                let phase = self.phase();
                let connection = self.connection.take();
                let is_broken = matches!(error.kind(), ErrorKind::Io | ErrorKind::Closed);
                let is_reused = connection.is_some_and(|connection| connection.is_reused);
                Poll::Ready(Err(Failed {
                    error: error.during(phase),
                    was_stale: is_broken && is_reused && !self.has_received,
                    is_unsent: !self.upload.has_sent(),
                }))
            }
        }
    }

    fn try_poll_head(
        &mut self,
        options: &Options,
        rules: &Rules,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            self.poll_upload(context)?;
            let Some(connection) = &mut self.connection else {
                return Poll::Ready(Err(Error::new(ErrorKind::Closed)));
            };
            if !connection.input.is_empty() {
                match self
                    .head
                    .read(connection.input.bytes(), &self.method, rules)
                {
                    Ok(Some(consumed)) => {
                        connection.input.consume(consumed);
                        if self.is_final(options)? {
                            self.begin_body(rules);
                            return Poll::Ready(Ok(()));
                        }
                        continue;
                    }
                    Ok(None) => connection.input.copy_out(),
                    Err(error) => {
                        return Poll::Ready(Err(Error::new(ErrorKind::Protocol(error))));
                    }
                }
            }
            match connection.transport.poll_recv(context) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    return Poll::Ready(Err(self.closed()));
                }
                Poll::Ready(Ok(bytes)) => {
                    connection.input.push(bytes);
                    self.has_received = true;
                    self.moved = true;
                    continue;
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(self.failed(error)));
                }
                Poll::Pending => {}
            }
            if self.poll_watchdog(context)?.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// An error of the body.
    #[cold]
    pub(super) fn in_body(&self, error: Error) -> Error {
        let error = error.during(Phase::Body);
        match &self.message {
            Some(message) => error.asking(&message.url),
            None => error,
        }
    }

    /// The connection failed. Why sending did says more, unless the server has told the reason.
    fn failed(&mut self, error: io::Error) -> Error {
        let error = Error::from_connection(error);
        match self.send_error.take() {
            Some(send_error) if error.kind() == ErrorKind::Io => Error::from_connection(send_error),
            _ => error,
        }
    }

    /// The connection ended before the response did.
    fn closed(&mut self) -> Error {
        let is_begun = self
            .connection
            .as_ref()
            .is_some_and(|connection| !connection.input.is_empty());
        match self.send_error.take() {
            Some(error) => Error::from_connection(error),
            None if is_begun => {
                let error = ResponseError::Body(BodyError::UnexpectedEof);
                Error::new(ErrorKind::Protocol(error))
            }
            None => Error::new(ErrorKind::Closed),
        }
    }

    fn phase(&self) -> Phase {
        if self.has_received {
            Phase::Body
        } else if self.upload.is_handed_over() {
            Phase::FirstByte
        } else {
            Phase::Send
        }
    }

    /// Sends on. A connection that takes no more is still read: the server may have answered.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        if self.upload.is_done() {
            return Ok(());
        }
        let Some(connection) = &self.connection else {
            return Ok(());
        };
        let transport = &connection.transport;
        let was_handed_over = self.upload.is_handed_over();
        match self.upload.poll(transport, context, &mut self.moved) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                if self.watchdog.has_waited() && !was_handed_over {
                    self.moments.sent = time::now();
                }
                self.moved = true;
            }
            Poll::Ready(Err(UploadError::Source(error))) => {
                return Err(Error::with_source(ErrorKind::RequestBody, error));
            }
            Poll::Ready(Err(UploadError::Connection(error))) => {
                if !self.upload.has_sent() {
                    return Err(Error::from_connection(error));
                }
                self.stop_upload();
                self.send_error = Some(error);
            }
        }
        Ok(())
    }

    /// Gives up the rest of the request, and with it the connection after the response.
    fn stop_upload(&mut self) {
        self.upload.stop();
        self.keeps_alive = false;
    }

    /// Takes note of a head that came, and tells whether it is the response's.
    fn is_final(&mut self, options: &Options) -> Result<bool, Error> {
        let status = self.head.status();
        if !status.is_informational() {
            return Ok(true);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if self.asks_upgrade {
                return Ok(true);
            }
            return Err(Error::new(ErrorKind::UnexpectedUpgrade));
        }
        self.informational_count += 1;
        if self.informational_count > INFORMATIONAL_MAX {
            let kind = ErrorKind::TooManyInformational(INFORMATIONAL_MAX);
            return Err(Error::new(kind));
        }
        if status == StatusCode::CONTINUE {
            self.upload.go_on();
        }
        if let Some(tell) = &options.on_informational {
            tell(&Informational::new(&self.head));
        }
        Ok(false)
    }

    /// Whether the connection now speaks another protocol.
    pub(super) fn is_upgraded(&self) -> bool {
        self.head.status() == StatusCode::SWITCHING_PROTOCOLS || self.is_tunnel()
    }

    fn is_tunnel(&self) -> bool {
        self.method == Method::CONNECT && self.head.status().is_success()
    }

    fn begin_body(&mut self, rules: &Rules) {
        let now = time::now();
        self.moments.head = now;
        self.moments.ended = now;
        if self.is_upgraded() {
            self.is_body_over = true;
            return;
        }
        if !self.upload.is_done() {
            let goes_on = self.head.status().is_success() && self.head.keeps_alive();
            if !goes_on || self.upload.is_held() {
                self.stop_upload();
            }
        }
        self.decoder.begin(self.head.body_length(), u64::MAX);
        if self.decoder.is_end() {
            return self.finish(now);
        }
        // Bytes that came with the head are taken at once: when they are the whole body, the
        // connection is free.
        if let Ok(Some(piece)) = self.take_piece(rules) {
            self.piece = Some(if piece.len() <= SMALL_PIECE_BYTES_MAX {
                ManagedBuf::own(piece.into_vec())
            } else {
                piece
            });
        }
        if self.decoder.is_end() {
            self.finish(now);
        }
    }

    /// The next data of the body among what was received.
    fn take_piece(&mut self, rules: &Rules) -> Result<Option<ManagedBuf>, BodyError> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        if connection.input.is_empty() {
            return Ok(None);
        }
        let mut piece = connection.input.take_all();
        let step = match self.decoder.decode_in_place(&mut piece, rules) {
            Ok(step) => step,
            Err(error) => {
                connection.input.push(piece);
                return Err(error);
            }
        };
        if step.consumed < piece.len() {
            let rest = piece[step.consumed..].to_vec();
            connection.input.push(ManagedBuf::own(rest));
        }
        piece.truncate(step.data.end);
        piece.advance(step.data.start);
        Ok((!piece.is_empty()).then_some(piece))
    }

    /// The response is complete, some time after its head.
    fn finish_later(&mut self) {
        let now = time::now();
        self.moments.ended = now;
        self.finish(now);
    }

    /// The response is complete.
    fn finish(&mut self, now: Instant) {
        self.is_body_over = true;
        self.watchdog = Watchdog::default();
        let Some(connection) = self.connection.take() else {
            return;
        };
        if !self.may_stay() || !connection.input.is_empty() {
            return;
        }
        let idle_timeout = match self.head.keep_alive_seconds() {
            // The server counts from when it sent, and we from now.
            Some(seconds) => Duration::from_secs(seconds.saturating_sub(1)),
            None => IDLE_TIMEOUT_MAX,
        };
        let pool = connection.lease.pool().clone();
        pool.release(connection, idle_timeout, now);
    }

    /// Whether the connection may be used again once the response has come whole.
    pub(super) fn may_stay(&self) -> bool {
        self.keeps_alive && self.head.keeps_alive() && self.upload.is_done()
    }

    /// The next piece of the body.
    pub(super) fn poll_piece(
        &mut self,
        rules: &Rules,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>, Error>> {
        let polled = self.try_poll_piece(rules, context);
        if let Poll::Ready(Err(error)) = polled {
            let connection = self.connection.take();
            drop(connection);
            return Poll::Ready(Err(self.in_body(error)));
        }
        polled
    }

    fn try_poll_piece(
        &mut self,
        rules: &Rules,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<ManagedBuf>, Error>> {
        if let Some(piece) = self.piece.take() {
            return Poll::Ready(Ok(Some(piece)));
        }
        loop {
            if self.is_body_over {
                return Poll::Ready(Ok(None));
            }
            self.poll_upload(context)?;
            let piece = self.take_piece(rules).map_err(protocol)?;
            if self.decoder.is_end() {
                self.finish_later();
            }
            if piece.is_some() {
                return Poll::Ready(Ok(piece));
            }
            if self.is_body_over {
                continue;
            }
            let Some(connection) = &mut self.connection else {
                let text = "expected the rest of a body, found one that has failed before";
                return Poll::Ready(Err(Error::new(ErrorKind::Decode(text))));
            };
            let left = self.decoder.bytes_left().unwrap_or(u64::MAX);
            let flood = Flood {
                bytes_max: left.min(BULK_BYTES_MAX as u64) as u32,
                gather_bytes: 0,
            };
            match connection.transport.poll_recv_up_to(flood, context) {
                Poll::Ready(Ok(bytes)) if bytes.is_empty() => {
                    self.decoder.eof().map_err(protocol)?;
                    self.finish_later();
                    continue;
                }
                Poll::Ready(Ok(bytes)) => {
                    connection.input.push(bytes);
                    self.moved = true;
                    continue;
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Error::from_connection(error)));
                }
                Poll::Pending => {}
            }
            if self.poll_watchdog(context)?.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// The connection, when it speaks another protocol now.
    pub(super) fn take_upgraded(&mut self) -> Option<Box<Connection>> {
        if self.is_upgraded() {
            self.connection.take()
        } else {
            None
        }
    }

    /// Whether the whole response was received.
    pub(super) fn is_complete(&self) -> bool {
        self.is_body_over
    }

    /// Number of bytes of the body that are to come and not yet given out, when that is known.
    pub(super) fn bytes_left(&self) -> Option<u64> {
        let piece = self.piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if self.is_body_over {
            return Some(piece);
        }
        Some(self.decoder.bytes_left()? + piece)
    }

    pub(super) fn timings(&self) -> Timings {
        self.moments.timings(self.before)
    }

    pub(super) fn decoder(&self) -> &BodyDecoder {
        &self.decoder
    }
}

fn protocol(error: BodyError) -> Error {
    Error::new(ErrorKind::Protocol(ResponseError::Body(error)))
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("connection", &self.connection)
            .field("is_body_over", &self.is_body_over)
            .finish_non_exhaustive()
    }
}
