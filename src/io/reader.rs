//! Joins the pieces of a stream.

use std::{fmt, io};

use super::Receive;

/// Reads by length or by delimiter from a source that gives pieces as they come.
///
/// All progress is in the reader and none in its futures, so a `read_exact` or `read_until` that
/// was dropped half-way is simply called again.
///
/// # Examples
///
/// ```no_run
/// use annulus::{io::Reader, net::TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let stream = TcpStream::connect("127.0.0.1:7000").await?;
///     let mut reader = Reader::new(&stream);
///     let line = reader.read_until(b'\n', 1024).await?;
///     let body = reader.read_exact(16).await?;
///     # let _ = (line, body);
///     Ok(())
/// })
/// # }
/// ```
pub struct Reader<R: Receive> {
    source: R,
    /// Bytes of earlier pieces, in front of the present one.
    joined: Vec<u8>,
    /// How many of `joined` were consumed.
    joined_start: usize,
    piece: Option<R::Bytes>,
    /// How many of the piece were consumed.
    piece_start: usize,
    ended: bool,
}

impl<R: Receive> Reader<R> {
    /// A reader that has read nothing yet.
    pub fn new(source: R) -> Self {
        Self {
            source,
            joined: Vec::new(),
            joined_start: 0,
            piece: None,
            piece_start: 0,
            ended: false,
        }
    }

    /// What is here and not consumed, after waiting for something if there is nothing. Empty means
    /// the end of the stream.
    ///
    /// # Errors
    ///
    /// The source's.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffer().is_empty() {
            self.receive().await?;
        }
        Ok(self.buffer())
    }

    /// Takes the first `count` bytes of what [`fill_buf`](Self::fill_buf) gave.
    ///
    /// # Panics
    ///
    /// When that many bytes are not here.
    pub fn consume(&mut self, count: usize) {
        let len = self.buffer().len();
        assert!(
            count <= len,
            "expected at most {len} bytes to consume, found {count}"
        );
        if self.joined_start < self.joined.len() {
            self.joined_start += count;
            if self.joined_start == self.joined.len() {
                self.joined.clear();
                self.joined_start = 0;
            }
        } else {
            self.piece_start += count;
            let piece_len = self.piece.as_ref().map_or(0, |piece| piece.as_ref().len());
            if self.piece_start == piece_len {
                self.piece = None;
                self.piece_start = 0;
            }
        }
    }

    /// Reads exactly `count` bytes.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends before; what there was stays to be read. The source's
    /// errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer().len() < count {
            if !self.join_next().await? {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!(
                        "expected {count} bytes, found the end of the stream after {}",
                        self.buffer().len()
                    ),
                ));
            }
        }
        let bytes = self.buffer()[..count].to_vec();
        self.consume(count);
        Ok(bytes)
    }

    /// Reads up to and including the first `delimiter`, which is at most the `len_max`-th byte.
    ///
    /// # Errors
    ///
    /// `InvalidData` when no delimiter stands among the first `len_max` bytes, and `UnexpectedEof`
    /// when the stream ends before one; either way the bytes stay to be read. The source's errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn read_until(&mut self, delimiter: u8, len_max: usize) -> io::Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let buffer = self.buffer();
            let end = buffer.len().min(len_max);
            let found = buffer[searched..end]
                .iter()
                .position(|byte| *byte == delimiter);
            if let Some(index) = found {
                let count = searched + index + 1;
                let bytes = buffer[..count].to_vec();
                self.consume(count);
                return Ok(bytes);
            }
            if end == len_max {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("expected a delimiter among the first {len_max} bytes, found none"),
                ));
            }
            searched = end;
            if !self.join_next().await? {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("expected a delimiter, found the end of the stream after {end} bytes"),
                ));
            }
        }
    }

    /// Reads everything to the end of the stream.
    ///
    /// # Errors
    ///
    /// `InvalidData` when that is more than `len_max` bytes; they stay to be read. The source's
    /// errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn read_to_end(&mut self, len_max: usize) -> io::Result<Vec<u8>> {
        loop {
            if self.buffer().len() > len_max {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "expected at most {len_max} bytes to the end of the stream, found more"
                    ),
                ));
            }
            if !self.join_next().await? {
                let bytes = self.buffer().to_vec();
                self.consume(bytes.len());
                return Ok(bytes);
            }
        }
    }

    /// What is here and not consumed.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        if self.joined_start < self.joined.len() {
            return &self.joined[self.joined_start..];
        }
        match &self.piece {
            Some(piece) => &piece.as_ref()[self.piece_start..],
            None => &[],
        }
    }

    /// What it reads from.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// The source, and what was received from it and not consumed.
    #[must_use]
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let rest = self.buffer().to_vec();
        (self.source, rest)
    }

    /// Waits for a piece behind an empty buffer.
    async fn receive(&mut self) -> io::Result<()> {
        if !self.ended {
            let piece = self.source.receive().await?;
            self.ended = piece.as_ref().is_empty();
            self.piece = (!self.ended).then_some(piece);
            self.piece_start = 0;
        }
        Ok(())
    }

    /// Adds the next piece to what is here; false at the end of the stream.
    async fn join_next(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        if self.buffer().is_empty() {
            self.receive().await?;
            return Ok(!self.ended);
        }
        let next = self.source.receive().await?;
        if next.as_ref().is_empty() {
            self.ended = true;
            return Ok(false);
        }
        // A reader that is never quite empty would keep all that it has consumed. What is moved is
        // shorter than what was consumed, so it costs no more than the reading did.
        if self.joined_start > self.joined.len() / 2 {
            self.joined.drain(..self.joined_start);
            self.joined_start = 0;
        }
        if let Some(piece) = self.piece.take() {
            self.joined
                .extend_from_slice(&piece.as_ref()[self.piece_start..]);
            self.piece_start = 0;
        }
        self.joined.extend_from_slice(next.as_ref());
        Ok(true)
    }
}

impl<R: Receive> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("buffered", &self.buffer().len())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        collections::VecDeque,
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    /// Gives its pieces one by one; `None` is a piece that has not come yet.
    struct Pieces(RefCell<VecDeque<Option<&'static str>>>);

    impl Receive for Pieces {
        type Bytes = &'static str;

        async fn receive(&self) -> io::Result<&'static str> {
            let next = self.0.borrow_mut().pop_front();
            match next {
                Some(Some(piece)) => Ok(piece),
                Some(None) => std::future::pending().await,
                None => Ok(""),
            }
        }
    }

    fn reader<const N: usize>(pieces: [Option<&'static str>; N]) -> Reader<Pieces> {
        Reader::new(Pieces(RefCell::new(pieces.into())))
    }

    fn poll<F: Future>(future: F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn ready<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
        match poll {
            Poll::Ready(result) => result,
            Poll::Pending => panic!("expected a result"),
        }
    }

    #[test]
    fn pieces_are_joined_by_length_and_by_delimiter() {
        let mut reader = reader([Some("ab"), Some("c\nde"), Some("f"), Some("ghij")]);
        assert_eq!(ready(poll(reader.read_until(b'\n', 10))).unwrap(), b"abc\n");
        assert_eq!(ready(poll(reader.read_exact(4))).unwrap(), b"defg");
        assert_eq!(ready(poll(reader.fill_buf())).unwrap(), b"hij");
        reader.consume(1);
        assert_eq!(ready(poll(reader.read_to_end(2))).unwrap(), b"ij");
        assert_eq!(ready(poll(reader.fill_buf())).unwrap(), b"");
    }

    #[test]
    fn a_read_that_was_dropped_half_way_goes_on_where_it_was() {
        let mut reader = reader([Some("ab"), None, Some("cd"), None, Some("e\n")]);
        assert!(poll(reader.read_exact(4)).is_pending());
        assert_eq!(ready(poll(reader.read_exact(3))).unwrap(), b"abc");
        assert!(poll(reader.read_until(b'\n', 10)).is_pending());
        assert_eq!(ready(poll(reader.read_until(b'\n', 10))).unwrap(), b"de\n");
    }

    #[test]
    fn limits_and_ends_are_errors_that_lose_nothing() {
        let mut reader = reader([Some("abcd"), Some("ef")]);
        let error = ready(poll(reader.read_until(b'\n', 3))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let error = ready(poll(reader.read_until(b'\n', 100))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = ready(poll(reader.read_exact(7))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let error = ready(poll(reader.read_to_end(5))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(ready(poll(reader.read_exact(6))).unwrap(), b"abcdef");
    }

    #[test]
    fn what_was_consumed_is_not_kept_by_a_reader_that_is_never_empty() {
        let pieces = std::iter::repeat_n(Some("b\na"), 10_000).collect();
        let mut reader = Reader::new(Pieces(RefCell::new(pieces)));
        assert_eq!(ready(poll(reader.read_until(b'\n', 10))).unwrap(), b"b\n");
        for _ in 1..10_000 {
            assert_eq!(ready(poll(reader.read_until(b'\n', 10))).unwrap(), b"ab\n");
        }
        assert!(
            reader.joined.capacity() < 100,
            "{}",
            reader.joined.capacity()
        );
    }

    #[test]
    fn a_delimiter_may_be_the_last_byte_allowed() {
        let mut reader = reader([Some("ab"), Some("\n")]);
        assert_eq!(ready(poll(reader.read_until(b'\n', 3))).unwrap(), b"ab\n");
    }
}
