//! What an exchange has to send.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::{
    HeaderName, HeaderValue,
    h1::{BodyEncoder, BodyLength, CHUNK_END, DataFrame, PromiseBroken},
    transport::Transport,
};
use crate::net::Outbox;

/// Output beyond this is sent although more could be added.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// A writer waits while so much of its answer has not been sent.
const WRITER_BYTES_MAX: usize = 16 * 1024;
/// Data from this size on is sent from where it is instead of being copied.
const SEGMENT_BYTES_MIN: usize = 8 * 1024;
/// Answers up to this size in all may be sent while their connection is idle.
const POSTED_BYTES_MAX: usize = 16 * 1024;
/// Memory that a used exchange keeps in its buffer.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// Where the present answer is.
#[derive(Clone, Copy)]
enum Answer {
    /// Its head was not written.
    None,
    /// Its head begins there in the bytes, none of which were sent.
    At(usize),
    /// It is under way.
    Sent,
}

/// What has gathered to be sent: bytes, and behind them at most one large piece that is not copied.
pub(super) struct Outgoing {
    pub(super) bytes: RefCell<Vec<u8>>,
    segment: RefCell<Option<Bytes>>,
    /// The large piece is a chunk, whose end is still to be written.
    ends_chunk: Cell<bool>,
    /// The answer that is written in pieces.
    answer: Cell<Answer>,
    /// Something was taken and has not been sent yet.
    pub(super) is_sending: Cell<bool>,
    /// The framing of the answer that is being written in pieces.
    encoder: Cell<Option<BodyEncoder>>,
    trailers: RefCell<Vec<(HeaderName, HeaderValue)>>,
    /// Who waits for room.
    writer: Cell<Option<Waker>>,
    /// Bytes of the present answer's body so far.
    pub(super) body_bytes: Cell<u64>,
}

impl Outgoing {
    pub(super) fn new() -> Self {
        Self {
            bytes: RefCell::default(),
            segment: RefCell::new(None),
            ends_chunk: Cell::new(false),
            answer: Cell::new(Answer::None),
            is_sending: Cell::new(false),
            encoder: Cell::new(None),
            trailers: RefCell::default(),
            writer: Cell::new(None),
            body_bytes: Cell::new(0),
        }
    }

    fn has_segment(&self) -> bool {
        self.segment.borrow().is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty() && !self.has_segment()
    }

    /// Whether it is time to send, although more could be added.
    pub(super) fn is_much(&self) -> bool {
        self.bytes.borrow().len() > GATHERED_BYTES_MAX || self.has_segment()
    }

    /// Takes everything that is to be sent now.
    pub(super) fn take(&self) -> (Vec<u8>, Option<Bytes>) {
        let bytes = self.bytes.take();
        let segment = self.segment.take();
        if let Answer::At(_) = self.answer.get() {
            self.answer.set(Answer::Sent);
        }
        if self.ends_chunk.take() {
            self.bytes.borrow_mut().extend_from_slice(CHUNK_END);
        }
        (bytes, segment)
    }

    /// Leaves what is here to the kernel, if it is little; false when it stays here.
    #[inline]
    pub(super) fn post(&self, transport: &Transport, outbox: &Rc<Outbox>) -> bool {
        let bytes = &mut *self.bytes.borrow_mut();
        let is_little = (1..POSTED_BYTES_MAX).contains(&bytes.len()) && !self.has_segment();
        is_little && transport.post(bytes, outbox)
    }

    /// Gives back the memory of what was taken, in front of what has gathered since: bytes that
    /// stand in it are still to be sent.
    #[inline]
    pub(super) fn put_back(&self, mut bytes: Vec<u8>) {
        if bytes.is_empty() && bytes.capacity() > KEPT_BYTES_MAX {
            bytes.shrink_to(KEPT_BYTES_MAX);
        }
        let mut gathered = self.bytes.borrow_mut();
        bytes.extend_from_slice(&gathered);
        *gathered = bytes;
    }

    /// Begins the answer to the next request, nothing of which is here.
    pub(super) fn begin_answer(&self) {
        self.answer.set(Answer::None);
        self.body_bytes.set(0);
    }

    /// Notes that the head of an answer, whose body comes in pieces, is added next.
    pub(super) fn mark_head(&self) {
        self.answer.set(Answer::At(self.bytes.borrow().len()));
    }

    /// Adds an interim answer in front of the present one. When that is under way it is too late,
    /// and nothing is added.
    pub(super) fn add_interim(&self, interim: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        match self.answer.get() {
            Answer::None => bytes.extend_from_slice(interim),
            Answer::At(at) => {
                bytes.splice(at..at, interim.iter().copied());
                self.answer.set(Answer::At(at + interim.len()));
            }
            Answer::Sent => {}
        }
    }

    /// Whether the present answer has a head, sent or not.
    pub(super) fn has_head(&self) -> bool {
        !matches!(self.answer.get(), Answer::None)
    }

    /// Adds data that is framed already, or needs none.
    pub(super) fn push(&self, data: Bytes) {
        self.body_bytes
            .set(self.body_bytes.get() + data.len() as u64);
        if data.len() < SEGMENT_BYTES_MIN {
            self.bytes.borrow_mut().extend_from_slice(&data);
        } else {
            debug_assert!(!self.has_segment(), "there is one large piece at a time");
            self.segment.replace(Some(data));
        }
    }

    /// Begins an answer that is written in pieces.
    pub(super) fn begin(&self, length: BodyLength) {
        self.encoder.set(Some(BodyEncoder::new(length)));
        self.trailers.borrow_mut().clear();
    }

    /// Whether a writer has to wait; its task is woken when there is room.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.bytes.borrow().len() < WRITER_BYTES_MAX && !self.has_segment() {
            return Poll::Ready(());
        }
        drop(self.writer.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    /// Whether everything was handed to the kernel; the task is woken when it was.
    pub(super) fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_empty() && !self.is_sending.get() {
            return Poll::Ready(());
        }
        drop(self.writer.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    /// Tells the writer that there is room.
    pub(super) fn wake_writer(&self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Adds a piece of the answer's body in its framing.
    pub(super) fn write(&self, data: Bytes) -> Result<(), PromiseBroken> {
        let Some(mut encoder) = self.encoder.take() else {
            return Err(PromiseBroken::Surplus);
        };
        let frame = encoder.frame(data.len());
        self.encoder.set(Some(encoder));
        match frame? {
            DataFrame::Skip => {}
            DataFrame::Plain => self.push(data),
            DataFrame::Chunk(header) => {
                self.bytes.borrow_mut().extend_from_slice(header.as_slice());
                self.push(data);
                if self.has_segment() {
                    self.ends_chunk.set(true);
                } else {
                    self.bytes.borrow_mut().extend_from_slice(CHUNK_END);
                }
            }
        }
        Ok(())
    }

    pub(super) fn add_trailer(&self, name: HeaderName, value: HeaderValue) {
        self.trailers.borrow_mut().push((name, value));
    }

    /// Ends the answer's body, whose large pieces have been sent.
    pub(super) fn finish(&self, with_trailers: bool) -> Result<(), PromiseBroken> {
        let Some(encoder) = self.encoder.take() else {
            return Ok(());
        };
        let mut bytes = self.bytes.borrow_mut();
        let trailers = self.trailers.borrow();
        if with_trailers && !trailers.is_empty() {
            let trailers = trailers.iter().map(|(name, value)| (name, value));
            return encoder.finish_with_trailers(&mut bytes, trailers);
        }
        encoder.finish(&mut bytes)
    }

    /// Takes back the answer that is written in pieces; false when some of it was sent.
    pub(super) fn take_back(&self) -> bool {
        let Answer::At(at) = self.answer.get() else {
            return false;
        };
        self.bytes.borrow_mut().truncate(at);
        self.ends_chunk.set(false);
        self.encoder.set(None);
        self.body_bytes.set(0);
        drop(self.segment.take());
        true
    }

    /// Forgets everything of a connection that is gone.
    pub(super) fn clear(&self) {
        self.bytes.borrow_mut().clear();
        self.bytes.borrow_mut().shrink_to(KEPT_BYTES_MAX);
        self.ends_chunk.set(false);
        self.answer.set(Answer::None);
        self.is_sending.set(false);
        self.encoder.set(None);
        self.trailers.borrow_mut().clear();
        drop(self.segment.take());
        self.wake_writer();
    }
}
