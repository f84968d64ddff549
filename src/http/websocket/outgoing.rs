//! Frames that wait to be written.

use std::{collections::VecDeque, io::IoSlice, mem};

use bytes::{Buf as _, Bytes};

use crate::http::ws::{FrameHeader, MessageKind, Payload, encode_message, mask, push_little_frame};

/// A payload up to this size is copied behind its header, so that many small frames leave as one
/// slice. A larger one is sent from where it is.
pub(super) const COPIED_BYTES_MAX: usize = 4 * 1024;
/// The capacity that is kept for the next frames.
const KEPT_BYTES_MAX: usize = 16 * 1024;
/// The most bytes that are left to the kernel while no task waits for their write.
const POSTED_BYTES_MAX: usize = 16 * 1024;
/// Slices of one write.
const SLICES_MAX: usize = 16;

/// Frames that wait to be written, in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The first bytes, of which `written` are gone.
    first: Vec<u8>,
    written: usize,
    /// The bytes after them.
    #[expect(
        clippy::box_collection,
        reason = "most output has none, and each write moves it"
    )]
    more: Option<Box<VecDeque<Part>>>,
    /// Bytes of all parts that wait.
    len: usize,
}

#[derive(Debug)]
enum Part {
    Copied(Vec<u8>),
    Shared(Bytes),
}

impl Outgoing {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the frame of a message whose payload is at hand, by a copy. A large one is added by
    /// [`push_shared`](Self::push_shared).
    pub(super) fn push_copied(&mut self, payload: Payload<'_>, key: Option<[u8; 4]>) {
        self.push(|out| encode_message(out, payload, key));
    }

    /// Adds the frame of a little message of a server, if at most `waiting_max` bytes wait and
    /// there is room behind them. False when it was not added.
    #[inline]
    pub(super) fn push_little(
        &mut self,
        kind: MessageKind,
        payload: &[u8],
        waiting_max: usize,
    ) -> bool {
        let is_one = self.written == 0 && self.len == self.first.len();
        if !is_one || self.len > waiting_max {
            return false;
        }
        let is_added = push_little_frame(&mut self.first, kind, payload);
        self.len = self.first.len();
        is_added
    }

    /// Adds the frame of a message, which is sent from where it is.
    pub(super) fn push_shared(&mut self, header: FrameHeader, payload: Bytes) {
        self.push(|out| out.extend_from_slice(header.to_bytes().as_slice()));
        let payload = match header.key {
            Some(key) => {
                let mut masked = payload.to_vec();
                mask(&mut masked, key);
                masked.into()
            }
            None => payload,
        };
        self.len += payload.len();
        self.more().push_back(Part::Shared(payload));
    }

    /// Lets `take` have the bytes that wait, if they are few and in one piece. It returns whether
    /// it took them, and leaves an empty buffer in their place.
    #[inline]
    pub(super) fn take_few(&mut self, take: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let is_one = self.written == 0 && self.len == self.first.len();
        if !is_one || !(1..=POSTED_BYTES_MAX).contains(&self.len) || !take(&mut self.first) {
            return false;
        }
        debug_assert!(self.first.is_empty());
        self.len = 0;
        true
    }

    fn more(&mut self) -> &mut VecDeque<Part> {
        self.more.get_or_insert_default()
    }

    /// Adds frames as they are.
    pub(super) fn push_encoded(&mut self, frames: Bytes) {
        if frames.len() <= COPIED_BYTES_MAX {
            return self.push(|out| out.extend_from_slice(&frames));
        }
        self.len += frames.len();
        self.more().push_back(Part::Shared(frames));
    }

    /// Adds the bytes that `write` appends.
    #[inline]
    pub(super) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        match &mut self.more {
            Some(more) if !more.is_empty() => {
                if !matches!(more.back(), Some(Part::Copied(_))) {
                    more.push_back(Part::Copied(Vec::new()));
                }
                if let Some(Part::Copied(last)) = more.back_mut() {
                    append(last, &mut self.len, write);
                }
            }
            _ => append(&mut self.first, &mut self.len, write),
        }
    }

    /// Adds all of `other`.
    pub(super) fn append(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            *self = other;
            return;
        }
        self.len += other.len;
        let mut first = other.first;
        first.drain(..other.written);
        let more = self.more();
        more.push_back(Part::Copied(first));
        more.extend(other.more.into_iter().flat_map(|more| *more));
    }

    /// Gives back the memory that many bytes have needed. Nothing waits.
    pub(super) fn shrink(&mut self) {
        debug_assert!(self.is_empty());
        if self.first.capacity() > KEPT_BYTES_MAX {
            self.first = Vec::new();
        }
        drop(self.more.take_if(|more| more.capacity() > SLICES_MAX));
    }

    /// Gives back all memory, unless something waits.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Calls with the bytes of the next write.
    #[inline]
    pub(super) fn with_slices<R>(&self, call: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let Some(more) = self.more.as_ref().filter(|more| !more.is_empty()) else {
            return call(&[IoSlice::new(&self.first[self.written..])]);
        };
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        slices[0] = IoSlice::new(&self.first[self.written..]);
        let mut count = 1;
        for (slice, part) in slices[1..].iter_mut().zip(&**more) {
            *slice = IoSlice::new(match part {
                Part::Copied(bytes) => bytes,
                Part::Shared(bytes) => bytes,
            });
            count += 1;
        }
        call(&slices[..count])
    }

    /// Drops the first `count` bytes, which are written.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.len -= count;
        if self.len > 0 {
            return self.advance_into(count);
        }
        self.first.clear();
        self.written = 0;
        if let Some(more) = &mut self.more {
            more.clear();
        }
    }

    /// The same when something is left.
    fn advance_into(&mut self, count: usize) {
        let of_first = count.min(self.first.len() - self.written);
        self.written += of_first;
        let mut left = count - of_first;
        while self.written == self.first.len() {
            let Some(more) = &mut self.more else { return };
            match more.front_mut() {
                Some(Part::Copied(next)) => {
                    self.first = mem::take(next);
                    self.written = left.min(self.first.len());
                    left -= self.written;
                    more.pop_front();
                }
                Some(Part::Shared(next)) => {
                    let of_next = left.min(next.len());
                    next.advance(of_next);
                    left -= of_next;
                    if !next.is_empty() {
                        return;
                    }
                    more.pop_front();
                }
                None => return,
            }
        }
    }
}

fn append(to: &mut Vec<u8>, len: &mut usize, write: impl FnOnce(&mut Vec<u8>)) {
    let before = to.len();
    write(to);
    *len += to.len() - before;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ws::message_header;

    fn push(out: &mut Outgoing, payload: &Bytes, expected: &mut Vec<u8>) {
        let header = message_header(Payload::Binary(payload), None);
        expected.extend_from_slice(header.to_bytes().as_slice());
        expected.extend_from_slice(payload);
        if payload.len() <= COPIED_BYTES_MAX {
            out.push_copied(Payload::Binary(payload), None);
        } else {
            out.push_shared(header, payload.clone());
        }
    }

    /// Takes everything in writes of at most `step` bytes.
    fn drain(mut out: Outgoing, step: usize) -> Vec<u8> {
        let mut written = Vec::new();
        while !out.is_empty() {
            let count = out.with_slices(|slices| {
                let mut count = 0;
                for slice in slices {
                    let part = &slice[..slice.len().min(step - count)];
                    written.extend_from_slice(part);
                    count += part.len();
                }
                count
            });
            assert!(count > 0);
            out.advance(count);
        }
        out.rest();
        assert_eq!(out.first.capacity(), 0);
        written
    }

    #[test]
    fn frames_leave_in_order_whatever_is_taken_at_once() {
        for step in [1, 2, 7, 4096, 4099, 5000, 100_000] {
            let (mut out, mut late) = (Outgoing::default(), Outgoing::default());
            let mut expected = Vec::new();
            for len in [0, 5, 4096, 4097, 3, 9000, 9000, 0, 1] {
                push(&mut out, &Bytes::from(vec![len as u8; len]), &mut expected);
            }
            for len in [3, 5000, 1] {
                push(&mut late, &Bytes::from(vec![len as u8; len]), &mut expected);
            }
            out.append(late);
            out.append(Outgoing::default());
            assert_eq!(out.len(), expected.len());
            assert_eq!(drain(out, step), expected, "{step}");
        }
    }

    #[test]
    fn few_bytes_in_one_piece_are_taken_as_they_are() {
        let take = |out: &mut Outgoing| {
            let mut taken = Vec::new();
            out.take_few(|bytes| {
                mem::swap(bytes, &mut taken);
                true
            });
            taken
        };
        let (mut out, mut expected) = (Outgoing::default(), Vec::new());
        assert!(!out.take_few(|_| true));
        push(&mut out, &Bytes::from_static(b"few"), &mut expected);
        assert!(!out.take_few(|_| false));
        assert_eq!((take(&mut out), out.len()), (expected, 0));
        // A part of these is gone, those are many, and these in several pieces.
        push(&mut out, &Bytes::from_static(b"few"), &mut Vec::new());
        out.advance(1);
        assert_eq!(take(&mut out), b"");
        for len in [POSTED_BYTES_MAX, COPIED_BYTES_MAX + 1] {
            let mut out = Outgoing::default();
            out.push(|bytes| bytes.resize(len, 0));
            push(&mut out, &Bytes::from(vec![0; len]), &mut Vec::new());
            assert_eq!(take(&mut out), b"");
        }
    }

    #[test]
    fn little_frames_are_added_where_there_is_room_and_are_those_of_any_message() {
        let (mut little, mut any) = (Outgoing::default(), Outgoing::default());
        assert!(!little.push_little(MessageKind::Text, b"no memory", 1000));
        little.first.reserve(400);
        let longest = "x".repeat(125);
        for text in ["", "a", &longest] {
            assert!(little.push_little(MessageKind::Text, text.as_bytes(), 1000));
            assert!(little.push_little(MessageKind::Binary, text.as_bytes(), 1000));
            any.push_copied(Payload::Text(text), None);
            any.push_copied(Payload::Binary(text.as_bytes()), None);
        }
        assert!(!little.push_little(MessageKind::Text, &[b'x'; 126], 1000));
        assert!(!little.push_little(MessageKind::Text, b"", little.len() - 1));
        assert_eq!(little.len(), any.len());
        // A part is gone, and another waits behind them.
        little.advance(1);
        assert!(!little.push_little(MessageKind::Text, b"", 1000));
        any.advance(1);
        assert_eq!(drain(little, 1000), drain(any, 1000));
        let mut out = Outgoing::default();
        out.first.reserve(100);
        out.push_encoded(vec![0; COPIED_BYTES_MAX + 1].into());
        assert!(!out.push_little(MessageKind::Text, b"", 1 << 20));
    }

    #[test]
    fn what_comes_before_a_write_of_parts_stays_before_it() {
        let (mut out, mut expected) = (Outgoing::default(), Vec::new());
        push(&mut out, &Bytes::from_static(b"one"), &mut expected);
        out.advance(2);
        let mut late = Outgoing::default();
        push(&mut late, &Bytes::from_static(b"two"), &mut expected);
        late.advance(1);
        expected.remove(5);
        out.append(late);
        assert_eq!(drain(out, 100), expected[2..]);
    }
}
