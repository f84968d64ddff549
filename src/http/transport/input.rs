//! Received bytes that were not consumed yet.

use std::ops::Range;

use crate::pool::ManagedBuf;

/// Bytes that a connection has received and not consumed: nearly always one piece as it came, and
/// bytes in memory of our own only while a message's parts have to be joined.
#[derive(Debug, Default)]
pub(crate) struct Input {
    piece: Option<ManagedBuf>,
    joined: Vec<u8>,
    /// How many of `joined` were consumed.
    start: usize,
}

impl Input {
    /// Everything that is here.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.piece {
            Some(piece) => piece,
            None => &self.joined[self.start..],
        }
    }

    /// The same, to be put in order in place.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.piece {
            Some(piece) => piece,
            None => &mut self.joined[self.start..],
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match &self.piece {
            Some(piece) => piece.byte_count() == 0,
            None => self.start == self.joined.len(),
        }
    }

    /// Adds what was received.
    pub(crate) fn push(&mut self, piece: ManagedBuf) {
        if self.is_empty() {
            self.clear();
            self.piece = Some(piece);
            return;
        }
        if let Some(first) = self.piece.take() {
            self.joined.clear();
            self.start = 0;
            self.joined.extend_from_slice(&first);
        } else {
            // Consumed bytes would stay for ever if each piece ended inside a message.
            self.joined.drain(..self.start);
            self.start = 0;
        }
        self.joined.extend_from_slice(&piece);
    }

    /// Drops the first `count` bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        match &mut self.piece {
            Some(piece) if count == piece.byte_count() => self.piece = None,
            Some(piece) => piece.advance(count),
            None => {
                self.start += count;
                if self.start == self.joined.len() {
                    self.clear();
                }
            }
        }
    }

    /// Takes the bytes `data`, if there are any, and drops the rest of the first `consumed`. They
    /// are not copied when the piece that they came in has little else.
    pub(crate) fn take(&mut self, data: Range<usize>, consumed: usize) -> Option<ManagedBuf> {
        let len = data.len();
        if len == 0 {
            self.consume(consumed);
            return None;
        }
        match self.piece.take() {
            Some(mut piece) if len * 2 >= piece.len() => {
                // The rest is framing, or the beginning of the next message.
                self.joined.clear();
                self.start = 0;
                self.joined.extend_from_slice(&piece[consumed..]);
                piece.advance(data.start);
                piece.truncate(len);
                Some(piece)
            }
            piece => {
                self.piece = piece;
                let bytes = self.bytes()[data].to_vec();
                self.consume(consumed);
                Some(ManagedBuf::own(bytes))
            }
        }
    }

    /// Takes everything that is here.
    pub(crate) fn take_all(&mut self) -> ManagedBuf {
        self.piece.take().unwrap_or_else(|| {
            let mut joined = std::mem::take(&mut self.joined);
            joined.drain(..std::mem::take(&mut self.start));
            ManagedBuf::own(joined)
        })
    }

    /// Copies what is here out of the kernel's memory, which is wanted back.
    pub(crate) fn copy_out(&mut self) {
        if let Some(piece) = self.piece.take() {
            self.joined.clear();
            self.start = 0;
            self.joined.extend_from_slice(&piece);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.piece = None;
        self.joined.clear();
        self.start = 0;
    }

    /// Gives back memory beyond `bytes_max` that a large message left behind.
    pub(crate) fn shrink(&mut self, bytes_max: usize) {
        if self.is_empty() && self.joined.capacity() > bytes_max {
            self.joined = Vec::new();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: &[u8]) -> ManagedBuf {
        ManagedBuf::own(bytes.to_vec())
    }

    #[test]
    fn pieces_are_joined_only_when_something_is_left() {
        let mut input = Input::default();
        assert!(input.is_empty());
        input.push(piece(b"one"));
        input.consume(3);
        assert!(input.is_empty() && input.joined.capacity() == 0);
        input.push(piece(b"two"));
        input.consume(1);
        input.push(piece(b"three"));
        assert_eq!(input.bytes(), b"wothree");
        input.consume(2);
        input.copy_out();
        input.push(piece(b"!"));
        assert_eq!(input.bytes(), b"three!");
        input.consume(6);
        input.push(piece(b"four"));
        input.copy_out();
        assert_eq!(input.bytes(), b"four");
    }

    #[test]
    fn data_is_taken_with_its_piece_or_copied_out_of_it() {
        let mut input = Input::default();
        input.push(piece(b"5\r\nhello\r\n"));
        let address = input.bytes().as_ptr();
        let data = input.take(3..8, 8).unwrap();
        assert_eq!(
            (&*data, data.as_ptr()),
            (&b"hello"[..], address.wrapping_add(3))
        );
        assert_eq!(input.bytes(), b"\r\n");
        input.consume(2);
        input.push(piece(b"1\r\nx\r\n0\r\n\r\n"));
        assert_eq!(&*input.take(3..4, 6).unwrap(), b"x");
        assert_eq!(input.bytes(), b"0\r\n\r\n");
        assert!(input.take(0..0, 5).is_none() && input.is_empty());
    }

    #[test]
    fn pieces_that_end_inside_a_message_do_not_pile_up() {
        let mut input = Input::default();
        for _ in 0..1000 {
            input.push(piece(b"end of one, begin of an"));
            input.copy_out();
            input.consume(input.bytes().len() - 5);
        }
        assert_eq!(input.bytes(), b"of an");
        assert!(input.joined.capacity() < 200, "{}", input.joined.capacity());
    }
}
