//! The bytes that an exchange has to send.

#[cfg(any(feature = "http2", feature = "tower"))]
mod pieces;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::{
    buf::Interleaved,
    http::{
        HeaderName, HeaderValue,
        h1::{BodyEncoder, BodyLength, CHUNK_END, DataFrame, PromiseBroken},
        transport::Transport,
    },
    net::Outbox,
};

/// Output beyond this is sent although more could be added.
const GATHERED_BYTES_MAX: usize = 64 * 1024;
/// A writer waits while so much of its answer has not been sent, larger pieces not counted.
const WRITER_BYTES_MAX: usize = 16 * 1024;
/// Data from this size on is sent from where it is instead of being copied.
const SEGMENT_BYTES_MIN: usize = 8 * 1024;
/// A writer whose client takes everything at once waits while so much in larger pieces has not been
/// sent; otherwise it waits for each of them. Each send ends with a part of a segment, which costs
/// as much as a whole one: CPU time for a GiB in a bare C loop, beside hyper's with 64 KiB at once,
/// is 0.87 with 128 KiB, 0.72 with 256, 0.48 with 512 (2-vCPU guest, Linux 6.18).
const SEGMENTS_BYTES_MAX: usize = 256 * 1024;
/// Answers up to this size in all may be sent while their connection is idle.
const POSTED_BYTES_MAX: usize = 16 * 1024;
/// Memory that a used exchange keeps in its buffer.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// The stages of the present answer.
#[derive(Clone, Copy)]
enum Answer {
    /// Its head was not written.
    None,
    /// Its head begins there in the bytes, none of which were sent.
    At(usize),
    /// It is under way.
    Sent,
}

/// The output that has gathered: bytes, and between them large pieces that are not copied.
pub(crate) struct Outgoing {
    bytes: RefCell<Vec<u8>>,
    /// All are of the present answer.
    segments: RefCell<Vec<(usize, Bytes)>>,
    /// The bytes in them together.
    segments_bytes: Cell<usize>,
    /// A writer waits while they have so much.
    segments_room: Cell<usize>,
    /// The answer that is written in pieces.
    answer: Cell<Answer>,
    /// Something was taken and has not been sent yet.
    is_sending: Cell<bool>,
    /// The framing of the answer that is being written in pieces.
    encoder: Cell<Option<BodyEncoder>>,
    trailers: RefCell<Vec<(HeaderName, HeaderValue)>>,
    /// The waker of the task that waits for room.
    writer: Cell<Option<Waker>>,
    /// Bytes of the present answer's body so far.
    body_bytes: Cell<u64>,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self {
            bytes: RefCell::default(),
            segments: RefCell::default(),
            segments_bytes: Cell::new(0),
            segments_room: Cell::new(1),
            answer: Cell::new(Answer::None),
            is_sending: Cell::new(false),
            encoder: Cell::new(None),
            trailers: RefCell::default(),
            writer: Cell::new(None),
            body_bytes: Cell::new(0),
        }
    }

    fn has_segment(&self) -> bool {
        self.segments_bytes.get() > 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.borrow().is_empty() && !self.has_segment()
    }

    /// Whether it is time to send, although more could be added.
    pub(crate) fn is_much(&self) -> bool {
        self.bytes.borrow().len() > GATHERED_BYTES_MAX || self.has_segment()
    }

    /// Returns the bytes that wait to be sent.
    pub(crate) fn len(&self) -> usize {
        self.bytes.borrow().len() + self.segments_bytes.get()
    }

    /// Calls with the bytes, to which an answer is added.
    #[inline]
    pub(crate) fn with_bytes<R>(&self, add: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        add(&mut self.bytes.borrow_mut())
    }

    /// Takes the bytes, without the large pieces.
    pub(super) fn take_bytes(&self) -> Vec<u8> {
        self.bytes.take()
    }

    /// Notes whether something was taken that has not been sent yet.
    pub(crate) fn set_sending(&self, is_sending: bool) {
        self.is_sending.set(is_sending);
    }

    /// Bytes of the present answer's body so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.get()
    }

    /// Notes a body that was added together with its head.
    #[inline]
    pub(crate) fn set_body_bytes(&self, count: u64) {
        self.body_bytes.set(count);
    }

    /// Takes everything that is to be sent now.
    pub(crate) fn take(&self) -> Interleaved {
        if let Answer::At(_) = self.answer.get() {
            self.answer.set(Answer::Sent);
        }
        self.segments_bytes.set(0);
        Interleaved {
            bytes: self.bytes.take(),
            segments: self.segments.take(),
        }
    }

    /// Gives back the memory of large pieces that were sent, `bytes` together with what stood
    /// between them.
    pub(crate) fn segments_were_sent(&self, sent: Interleaved, bytes: usize, at_once: bool) {
        let room = if at_once { 2 * bytes } else { 1 };
        self.segments_room.set(room.min(SEGMENTS_BYTES_MAX));
        let Interleaved {
            mut bytes,
            mut segments,
        } = sent;
        segments.clear();
        bytes.clear();
        self.put_back(bytes);
        // None was added but by a task that writes beside the exchange.
        let added = self.segments.replace(segments);
        if !added.is_empty() {
            self.segments.replace(added);
        }
    }

    /// Leaves what is here to the kernel, if it is little; false when it stays here.
    #[inline]
    pub(crate) fn post(&self, transport: &Transport, outbox: &Rc<Outbox>) -> bool {
        let bytes = &mut *self.bytes.borrow_mut();
        let is_little = (1..POSTED_BYTES_MAX).contains(&bytes.len()) && !self.has_segment();
        is_little && transport.post(bytes, outbox)
    }

    /// Gives back the memory of what was taken, in front of what has gathered since: bytes that
    /// stand in it are still to be sent.
    #[inline]
    pub(crate) fn put_back(&self, mut bytes: Vec<u8>) {
        if bytes.is_empty() && bytes.capacity() > KEPT_BYTES_MAX {
            bytes.shrink_to(KEPT_BYTES_MAX);
        }
        if !bytes.is_empty() {
            self.move_segments(bytes.len());
        }
        let mut gathered = self.bytes.borrow_mut();
        bytes.extend_from_slice(&gathered);
        *gathered = bytes;
    }

    /// Makes room for `count` bytes in front of the large pieces.
    #[cold]
    fn move_segments(&self, count: usize) {
        for (at, _) in self.segments.borrow_mut().iter_mut() {
            *at += count;
        }
    }

    /// Begins the answer to the next request, nothing of which is here.
    pub(crate) fn begin_answer(&self) {
        self.answer.set(Answer::None);
        self.body_bytes.set(0);
    }

    /// Notes that the head of an answer, whose body comes in pieces, is added next.
    pub(crate) fn mark_head(&self) {
        self.answer.set(Answer::At(self.bytes.borrow().len()));
    }

    /// Adds an interim answer in front of the present one. When that is under way it is too late,
    /// and nothing is added.
    pub(crate) fn add_interim(&self, interim: &[u8]) {
        let mut bytes = self.bytes.borrow_mut();
        match self.answer.get() {
            Answer::None => bytes.extend_from_slice(interim),
            Answer::At(at) => {
                bytes.splice(at..at, interim.iter().copied());
                self.move_segments(interim.len());
                self.answer.set(Answer::At(at + interim.len()));
            }
            Answer::Sent => {}
        }
    }

    /// Whether some of the present answer was sent.
    pub(crate) fn is_under_way(&self) -> bool {
        matches!(self.answer.get(), Answer::Sent)
    }

    /// Whether the present answer has a head, sent or not.
    pub(crate) fn has_head(&self) -> bool {
        !matches!(self.answer.get(), Answer::None)
    }

    /// Adds data that is framed already, or needs none.
    pub(crate) fn push(&self, data: Bytes) {
        self.body_bytes
            .set(self.body_bytes.get() + data.len() as u64);
        if data.len() < SEGMENT_BYTES_MIN {
            self.bytes.borrow_mut().extend_from_slice(&data);
        } else {
            self.segments_bytes
                .set(self.segments_bytes.get() + data.len());
            let at = self.bytes.borrow().len();
            self.segments.borrow_mut().push((at, data));
        }
    }

    /// Begins an answer that is written in pieces.
    pub(crate) fn begin(&self, length: BodyLength) {
        self.encoder.set(Some(BodyEncoder::new(length)));
        self.segments_room.set(1);
        drop(self.trailers.take());
    }

    /// Whether a writer has to wait; its task is woken when there is room.
    pub(crate) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let has_room = self.segments_bytes.get() < self.segments_room.get();
        if has_room && self.bytes.borrow().len() < WRITER_BYTES_MAX {
            return Poll::Ready(());
        }
        drop(self.writer.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    /// Whether everything was handed to the kernel; the task is woken when it was.
    pub(crate) fn poll_empty(&self, context: &Context<'_>) -> Poll<()> {
        if self.is_empty() && !self.is_sending.get() {
            return Poll::Ready(());
        }
        drop(self.writer.replace(Some(context.waker().clone())));
        Poll::Pending
    }

    /// Tells the writer that there is room.
    pub(crate) fn wake_writer(&self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    /// Adds a piece of the answer's body in its framing.
    pub(crate) fn write(&self, data: Bytes) -> Result<(), PromiseBroken> {
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
                self.bytes.borrow_mut().extend_from_slice(CHUNK_END);
            }
        }
        Ok(())
    }

    /// Whether a piece of the answer's body may be sent past this, as it is: nothing is before it,
    /// and it has no framing.
    pub(super) fn is_passable(&self) -> bool {
        let is_plain = self.encoder.get().is_some_and(|encoder| encoder.is_plain());
        is_plain && self.is_under_way() && self.is_empty() && !self.is_sending.get()
    }

    /// Notes bytes of the answer's body that were sent past this.
    pub(super) fn note_sent(&self, count: usize) -> Result<(), PromiseBroken> {
        if let Some(mut encoder) = self.encoder.take() {
            encoder.frame(count)?;
            self.encoder.set(Some(encoder));
        }
        self.body_bytes.set(self.body_bytes.get() + count as u64);
        Ok(())
    }

    pub(crate) fn add_trailer(&self, name: HeaderName, value: HeaderValue) {
        self.trailers.borrow_mut().push((name, value));
    }

    /// Ends the answer's body.
    pub(crate) fn finish(&self, with_trailers: bool) -> Result<(), PromiseBroken> {
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
    pub(crate) fn take_back(&self) -> bool {
        let Answer::At(at) = self.answer.get() else {
            return false;
        };
        self.bytes.borrow_mut().truncate(at);
        self.encoder.set(None);
        self.body_bytes.set(0);
        self.drop_segments();
        true
    }

    /// Forgets everything of a connection that is gone.
    pub(crate) fn clear(&self) {
        self.bytes.borrow_mut().clear();
        self.bytes.borrow_mut().shrink_to(KEPT_BYTES_MAX);
        self.answer.set(Answer::None);
        self.is_sending.set(false);
        self.encoder.set(None);
        drop(self.trailers.take());
        self.drop_segments();
        self.wake_writer();
    }

    fn drop_segments(&self) {
        self.segments_bytes.set(0);
        drop(self.segments.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(outgoing: &Outgoing) -> bool {
        let nobody = Context::from_waker(Waker::noop());
        outgoing.poll_room(&nobody).is_ready()
    }

    /// Writes pieces until there is no room, and returns how many.
    fn fill(outgoing: &Outgoing) -> usize {
        let mut count = 0;
        while room(outgoing) {
            outgoing.write(Bytes::from(vec![b'x'; 64 * 1024])).unwrap();
            count += 1;
        }
        count
    }

    fn send(outgoing: &Outgoing, at_once: bool) {
        let taken = outgoing.take();
        let bytes = taken.parts().map(<[u8]>::len).sum();
        outgoing.segments_were_sent(taken, bytes, at_once);
    }

    #[test]
    fn large_pieces_gather_only_while_the_client_takes_all_at_once() {
        let outgoing = Outgoing::new();
        outgoing.begin(BodyLength::Chunked);
        let mut counts = Vec::new();
        for at_once in [true, true, true, true, false, false, true, true] {
            counts.push(fill(&outgoing));
            send(&outgoing, at_once);
        }
        assert_eq!(counts, [1, 3, 4, 4, 4, 1, 1, 3]);
        assert!(outgoing.is_empty());
        outgoing.begin(BodyLength::Chunked);
        assert_eq!(fill(&outgoing), 1);
    }

    #[test]
    fn pieces_keep_their_order_behind_an_interim_answer_and_what_is_put_back() {
        let outgoing = Outgoing::new();
        outgoing.begin_answer();
        outgoing.mark_head();
        outgoing.bytes.borrow_mut().extend_from_slice(b"head ");
        outgoing.begin(BodyLength::Chunked);
        outgoing.segments_room.set(SEGMENTS_BYTES_MAX);
        let large = Bytes::from(vec![b'y'; SEGMENT_BYTES_MIN]);
        outgoing.write(Bytes::from_static(b"a")).unwrap();
        outgoing.write(large.clone()).unwrap();
        outgoing.write(Bytes::from_static(b"b")).unwrap();
        outgoing.add_interim(b"interim ");
        outgoing.put_back(b"before ".to_vec());
        outgoing.finish(false).unwrap();
        let sent = outgoing.take().parts().collect::<Vec<_>>().concat();
        let large = String::from_utf8(large.to_vec()).unwrap();
        let body = format!("1\r\na\r\n2000\r\n{large}\r\n1\r\nb\r\n0\r\n\r\n");
        assert_eq!(
            String::from_utf8(sent).unwrap(),
            format!("before interim head {body}")
        );
        assert!(outgoing.is_empty());
    }
}
