//! Joins the pieces of a stream.

use std::{
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use super::{ByteRead, Lines};
use crate::{budget, pool::ManagedBuf};

/// Memory for joined pieces that a reader keeps when it has given them out.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// Reads by length, by delimiter or by frame from a source that gives pieces as they come.
///
/// All progress is in the reader and none in its futures, so a `read_exact` or `read_until` that
/// was dropped half-way is simply called again.
///
/// # Whole messages
///
/// Each call is safe to drop, and two calls in a row are not: when `read_exact(4)` has returned a
/// length and the `read_exact` of the body is dropped by `select!` or a timeout, the length is gone
/// with the future that held it, and the next `read_exact(4)` takes bytes of the body for one. So
/// take a message by one call, [`read_frame`](Self::read_frame), or look at it with
/// [`fill`](Self::fill) and [`consume`](Self::consume) all of it at the end.
///
/// Bytes that were received and not consumed are in the reader and go with it. Keep one reader as
/// long as its stream; [`into_parts`](Self::into_parts) and [`from_parts`](Self::from_parts) hand
/// it on.
///
/// # Examples
///
/// A protocol of lines:
///
/// ```no_run
/// use annulus::{io::Reader, net::TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let stream = TcpStream::connect("127.0.0.1:7000").await?;
///     let mut reader = Reader::new(&stream);
///     let line = reader.read_until(b'\n', 1024).await?;
///     println!("{}", String::from_utf8_lossy(&line));
///     Ok(())
/// })
/// # }
/// ```
///
/// Frames behind a length of four bytes, and something else that is waited for meanwhile:
///
/// ```
/// use std::{io, time::Duration};
/// use annulus::{future::{Either, race}, io::Reader, net::UnixStream, time};
///
/// const FRAME_BYTES_MAX: usize = 64 * 1024;
///
/// /// The length of the frame at the start of `bytes`, with its four bytes of length.
/// fn frame_len(bytes: &[u8]) -> io::Result<Option<usize>> {
///     let Some(&length) = bytes.first_chunk::<4>() else {
///         return Ok(None);
///     };
///     Ok(Some(4 + u32::from_be_bytes(length) as usize))
/// }
///
/// annulus::run(async {
///     let (near, far) = UnixStream::pair()?;
///     annulus::spawn(async move {
///         far.write_all(&b"\0\0\0\x05he"[..]).await?;
///         time::sleep(Duration::from_millis(5)).await;
///         far.write_all(&b"llo"[..]).await?;
///         io::Result::Ok(())
///     });
///     let mut reader = Reader::new(&near);
///     let mut ticks = time::interval(Duration::from_millis(1));
///     loop {
///         // The race drops whichever comes second, and the reader goes on where it was.
///         match race(ticks.tick(), reader.read_frame(FRAME_BYTES_MAX, frame_len)).await {
///             Either::Left(_tick) => {}
///             Either::Right(frame) => match frame? {
///                 Some(frame) => assert_eq!(&frame[4..], b"hello"),
///                 None => return io::Result::Ok(()),
///             },
///         }
///     }
/// })
/// # .unwrap();
/// ```
pub struct Reader<R: ByteRead> {
    source: R,
    /// Bytes of earlier pieces, in front of the present one.
    joined: Vec<u8>,
    /// How many of `joined` were consumed.
    joined_start: usize,
    piece: Option<ManagedBuf>,
    /// How many of the piece were consumed.
    piece_start: usize,
    ended: bool,
}

impl<R: ByteRead> Reader<R> {
    /// Makes a reader that has read nothing yet.
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

    /// Makes a reader of `source` that begins with `buffered`, which was received from it before.
    pub fn from_parts(source: R, buffered: Vec<u8>) -> Self {
        Self {
            joined: buffered,
            ..Self::new(source)
        }
    }

    /// Waits until at least `count` bytes are here, and returns all that are here and not consumed.
    /// `None` is the end of the stream with nothing left to read.
    ///
    /// The bytes stay: [`consume`](Self::consume) takes them. To wait for more than is here, ask
    /// for `reader.buffer().len() + 1`.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends with fewer bytes; they stay to be read. The source's
    /// errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{io::Reader, net::UnixStream};
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixStream::pair()?;
    ///     far.write_all(&b"\x02hi\x03you"[..]).await?;
    ///     drop(far);
    ///     let mut reader = Reader::new(near);
    ///     let mut words = Vec::new();
    ///     while let Some(head) = reader.fill(1).await? {
    ///         let count = 1 + usize::from(head[0]);
    ///         let bytes = reader.fill(count).await?.unwrap_or_default();
    ///         words.push(String::from_utf8_lossy(&bytes[1..count]).into_owned());
    ///         reader.consume(count); // length and word together, after the last `await`
    ///     }
    ///     assert_eq!(words, ["hi", "you"]);
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub async fn fill(&mut self, count: usize) -> io::Result<Option<&[u8]>> {
        budget::turn().await;
        while self.buffer().len() < count {
            if !self.join_next().await? {
                if self.buffer().is_empty() {
                    return Ok(None);
                }
                return Err(self.ended_early(count));
            }
        }
        Ok(Some(self.buffer()))
    }

    /// Takes the first `count` bytes of those that [`fill`](Self::fill) returned.
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
                self.shrink();
            }
        } else {
            self.piece_start += count;
            let piece_len = self.piece.as_ref().map_or(0, |piece| piece.len());
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
    /// `UnexpectedEof` when the stream ends before; what there was stays to be read, and
    /// [`buffer`](Self::buffer) is empty if that was nothing. The source's errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again. For a message of several parts see
    /// [Whole messages](Self#whole-messages).
    pub async fn read_exact(&mut self, count: usize) -> io::Result<Vec<u8>> {
        if self.fill(count).await?.is_none() {
            return Err(self.ended_early(count));
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
    /// when the stream ends before one; either way the bytes stay to be read, and
    /// [`buffer`](Self::buffer) is empty if the stream has ended behind a delimiter. The source's
    /// errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again. For a message of several parts see
    /// [Whole messages](Self#whole-messages).
    pub async fn read_until(&mut self, delimiter: u8, len_max: usize) -> io::Result<Vec<u8>> {
        budget::turn().await;
        let mut searched = 0;
        let found = poll_fn(|context| self.poll_until(context, delimiter, len_max, &mut searched));
        match found.await? {
            Some(count) => {
                let bytes = self.buffer()[..count].to_vec();
                self.consume(count);
                Ok(bytes)
            }
            None => Err(self.without("a delimiter")),
        }
    }

    /// Reads one line, without its end `\n` or `\r\n`. `None` is the end of the stream behind a
    /// whole line, or without any bytes.
    ///
    /// A line has at most `len_max` bytes, its end included.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the stream ends within a line, so that a line that was cut is never
    /// taken for a whole one. `InvalidData` for a line that is longer, or is not UTF-8. In each
    /// case the bytes stay to be read: [`read_to_end`](Self::read_to_end) takes a last line without
    /// an end, and [`read_until`](Self::read_until) one that is not UTF-8. The source's errors.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{io::Reader, net::UnixStream};
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixStream::pair()?;
    ///     far.write_all("HELO you\r\nQUIT\n").await?;
    ///     drop(far);
    ///     let (half, _other) = near.into_split();
    ///     let mut reader = Reader::new(half);
    ///     assert_eq!(reader.read_line(1024).await?.as_deref(), Some("HELO you"));
    ///     assert_eq!(reader.read_line(1024).await?.as_deref(), Some("QUIT"));
    ///     assert_eq!(reader.read_line(1024).await?, None);
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub async fn read_line(&mut self, len_max: usize) -> io::Result<Option<String>> {
        budget::turn().await;
        let mut searched = 0;
        poll_fn(|context| self.poll_line(context, len_max, &mut searched)).await
    }

    /// Returns the lines that follow as a stream, each as [`read_line`](Self::read_line) reads it.
    /// The stream ends with the source or with the first error.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::{io::{Reader, duplex}, spawn};
    ///
    /// annulus::run(async {
    ///     let (near, far) = duplex(64);
    ///     spawn(async move { near.write_all(b"one\ntwo\n").await });
    ///     let mut reader = Reader::new(far);
    ///     let mut lines = reader.lines(1024);
    ///     let mut read = Vec::new();
    ///     while let Some(line) = lines.next().await {
    ///         read.push(line?);
    ///     }
    ///     assert_eq!(read, ["one", "two"]);
    ///     std::io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub fn lines(&mut self, len_max: usize) -> Lines<'_, R> {
        Lines::new(self, len_max)
    }

    /// As [`read_line`](Self::read_line). `searched` keeps how many bytes have no end of a line.
    pub(super) fn poll_line(
        &mut self,
        context: &mut Context<'_>,
        len_max: usize,
        searched: &mut usize,
    ) -> Poll<io::Result<Option<String>>> {
        let found = ready!(self.poll_until(context, b'\n', len_max, searched))?;
        *searched = 0;
        let Some(count) = found else {
            return Poll::Ready(if self.buffer().is_empty() {
                Ok(None)
            } else {
                Err(self.without("the end of a line"))
            });
        };
        let line = &self.buffer()[..count - 1];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            .to_owned();
        self.consume(count);
        Poll::Ready(Ok(Some(line)))
    }

    /// How many bytes there are up to and including the first `delimiter`; `None` when the stream
    /// has ended without one.
    fn poll_until(
        &mut self,
        context: &mut Context<'_>,
        delimiter: u8,
        len_max: usize,
        searched: &mut usize,
    ) -> Poll<io::Result<Option<usize>>> {
        loop {
            let buffer = self.buffer();
            let end = buffer.len().min(len_max);
            let found = buffer[*searched..end]
                .iter()
                .position(|byte| *byte == delimiter);
            if let Some(index) = found {
                return Poll::Ready(Ok(Some(*searched + index + 1)));
            }
            if end == len_max {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("expected a delimiter among the first {len_max} bytes, found none"),
                )));
            }
            *searched = end;
            if !ready!(self.poll_join_next(context))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Reads one whole frame, in whichever way its length is given; `None` when the stream has
    /// ended between two frames.
    ///
    /// `frame_len` gets all that is here of the frame, and perhaps of those behind it, and returns
    /// how many of these bytes are the frame, its header included: `None` as long as too few are
    /// here to tell. It is called again when more has come, with the same bytes and those behind
    /// them, until it tells a length, which may be more than is here. The frame is taken from the
    /// reader when all of it is here, and in one step with the return.
    ///
    /// A length is only a number until its bytes have come: no memory is taken for it.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a frame of more than `len_max` bytes, and for one of 0 bytes. The error
    /// comes as soon as `frame_len` returns such a length, or has returned none for `len_max`
    /// bytes. `UnexpectedEof` when the stream ends within a frame. The errors of `frame_len` and of
    /// the source. In each case the bytes stay to be read.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    ///
    /// # Examples
    ///
    /// A line that tells how many bytes follow:
    ///
    /// ```
    /// use std::io;
    /// use annulus::{io::Reader, net::UnixStream};
    ///
    /// fn bulk_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    ///     let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
    ///         return Ok(None);
    ///     };
    ///     let digits = std::str::from_utf8(&bytes[..end]).map_err(io::Error::other)?;
    ///     let count: u32 = digits.parse().map_err(io::Error::other)?;
    ///     Ok(Some(end + 1 + count as usize))
    /// }
    ///
    /// annulus::run(async {
    ///     let (near, far) = UnixStream::pair()?;
    ///     far.write_all("5\nhello3\nyou").await?;
    ///     drop(far);
    ///     let mut reader = Reader::new(near);
    ///     assert_eq!(reader.read_frame(1024, bulk_len).await?.unwrap(), b"5\nhello");
    ///     assert_eq!(reader.read_frame(1024, bulk_len).await?.unwrap(), b"3\nyou");
    ///     assert!(reader.read_frame(1024, bulk_len).await?.is_none());
    ///     io::Result::Ok(())
    /// })
    /// # .unwrap();
    /// ```
    pub async fn read_frame(
        &mut self,
        len_max: usize,
        mut frame_len: impl FnMut(&[u8]) -> io::Result<Option<usize>>,
    ) -> io::Result<Option<Vec<u8>>> {
        budget::turn().await;
        let mut told = None;
        loop {
            let here = self.buffer().len();
            if told.is_none() && here > 0 {
                told = frame_len(self.buffer())?;
                if told.is_some_and(|len| len == 0 || len > len_max)
                    || (told.is_none() && here >= len_max)
                {
                    return Err(not_a_frame(told, len_max));
                }
            }
            if let Some(len) = told.filter(|len| *len <= here) {
                let frame = self.buffer()[..len].to_vec();
                self.consume(len);
                return Ok(Some(frame));
            }
            if !self.join_next().await? {
                return match (here, told) {
                    (0, _) => Ok(None),
                    (_, Some(len)) => Err(self.ended_early(len)),
                    (_, None) => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("expected a frame, found the end of the stream after {here} bytes"),
                    )),
                };
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
        budget::turn().await;
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

    /// Returns the bytes that are here and not consumed.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        if self.joined_start < self.joined.len() {
            return &self.joined[self.joined_start..];
        }
        match &self.piece {
            Some(piece) => &piece[self.piece_start..],
            None => &[],
        }
    }

    /// Returns the source that it reads from. Bytes that are received from there meanwhile do not
    /// come to the reader.
    pub fn get_ref(&self) -> &R {
        &self.source
    }

    /// Returns the source that it reads from, for writing to it. Bytes that are received from there
    /// meanwhile do not come to the reader.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Returns the source, and the bytes that were received from it and not consumed: the parts for
    /// [`from_parts`](Self::from_parts).
    #[must_use]
    pub fn into_parts(self) -> (R, Vec<u8>) {
        let rest = self.buffer().to_vec();
        (self.source, rest)
    }

    /// Adds the next piece to what is here; false at the end of the stream.
    async fn join_next(&mut self) -> io::Result<bool> {
        poll_fn(|context| self.poll_join_next(context)).await
    }

    fn poll_join_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.ended {
            return Poll::Ready(Ok(false));
        }
        let next = ready!(self.source.poll_recv(context))?;
        if next.is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(false));
        }
        if self.buffer().is_empty() {
            self.piece = Some(next);
            self.piece_start = 0;
            return Poll::Ready(Ok(true));
        }
        // A reader that is never quite empty would keep all that it has consumed. The moved bytes
        // are fewer than the consumed ones, so the move costs no more than the reading did.
        if self.joined_start > self.joined.len() / 2 {
            self.joined.drain(..self.joined_start);
            self.joined_start = 0;
            self.shrink();
        }
        if let Some(piece) = self.piece.take() {
            self.joined.extend_from_slice(&piece[self.piece_start..]);
            self.piece_start = 0;
        }
        self.joined.extend_from_slice(&next);
        Poll::Ready(Ok(true))
    }

    /// Gives back what one large message needed.
    fn shrink(&mut self) {
        let enough = KEPT_BYTES_MAX.max(2 * self.joined.len());
        if self.joined.capacity() > 2 * enough {
            self.joined.shrink_to(enough);
        }
    }

    /// The error of a stream that has ended without what was expected.
    fn without(&self, expected: &str) -> io::Error {
        let found = self.buffer().len();
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {expected}, found the end of the stream after {found} bytes"),
        )
    }

    fn ended_early(&self, count: usize) -> io::Error {
        let found = self.buffer().len();
        io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("expected {count} bytes, found the end of the stream after {found}"),
        )
    }
}

fn not_a_frame(len: Option<usize>, len_max: usize) -> io::Error {
    let text = match len {
        Some(0) => "expected a frame of at least one byte, found one of 0".to_owned(),
        Some(len) => format!("expected a frame of at most {len_max} bytes, found one of {len}"),
        None => format!("expected the length of a frame in its first {len_max} bytes, found none"),
    };
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl<R: ByteRead> fmt::Debug for Reader<R> {
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

    impl ByteRead for Pieces {
        fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
            let next = self.0.borrow_mut().pop_front();
            match next {
                Some(Some(piece)) => Poll::Ready(Ok(piece.as_bytes().to_vec().into())),
                Some(None) => Poll::Pending,
                None => Poll::Ready(Ok(ManagedBuf::empty())),
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
        assert_eq!(ready(poll(reader.fill(1))).unwrap().unwrap(), b"hij");
        reader.consume(1);
        assert_eq!(ready(poll(reader.read_to_end(2))).unwrap(), b"ij");
        assert!(ready(poll(reader.fill(1))).unwrap().is_none());
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
    fn lines_tell_a_clean_end_from_a_cut_line() {
        let mut whole = reader([Some("a\r"), None, Some("\n\nb"), Some("\n")]);
        assert!(poll(whole.read_line(10)).is_pending());
        assert_eq!(ready(poll(whole.read_line(3))).unwrap().unwrap(), "a");
        assert_eq!(ready(poll(whole.read_line(10))).unwrap().unwrap(), "");
        assert_eq!(ready(poll(whole.read_line(2))).unwrap().unwrap(), "b");
        for _ in 0..2 {
            assert_eq!(ready(poll(whole.read_line(10))).unwrap(), None);
        }
        let mut cut = reader([Some("a\nb")]);
        assert_eq!(ready(poll(cut.read_line(10))).unwrap().unwrap(), "a");
        for _ in 0..2 {
            let error = ready(poll(cut.read_line(10))).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains("after 1 bytes"), "{error}");
        }
        assert_eq!(ready(poll(cut.read_to_end(10))).unwrap(), b"b");
        assert_eq!(ready(poll(cut.read_line(10))).unwrap(), None);
    }

    #[test]
    fn what_is_no_line_is_an_error_that_loses_nothing() {
        let mut long = reader([Some("abc\n")]);
        let error = ready(poll(long.read_line(3))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(ready(poll(long.read_line(4))).unwrap().unwrap(), "abc");
        let mut reader = Reader::from_parts(Pieces(RefCell::default()), b"\xff\nb\n".to_vec());
        let error = ready(poll(reader.read_line(10))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            ready(poll(reader.read_until(b'\n', 10))).unwrap(),
            b"\xff\n"
        );
        assert_eq!(ready(poll(reader.read_line(10))).unwrap().unwrap(), "b");
    }

    #[test]
    fn a_stream_of_lines_ends_with_the_source_or_with_an_error() {
        let mut whole = reader([Some("a\nb"), None, Some("\n")]);
        let mut lines = whole.lines(10);
        assert_eq!(ready(poll(lines.next()).map(Option::unwrap)).unwrap(), "a");
        assert!(poll(lines.next()).is_pending());
        assert_eq!(ready(poll(lines.next()).map(Option::unwrap)).unwrap(), "b");
        for _ in 0..2 {
            assert!(matches!(poll(lines.next()), Poll::Ready(None)));
        }
        let mut cut = reader([Some("a")]);
        let mut lines = cut.lines(10);
        let error = ready(poll(lines.next()).map(Option::unwrap)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(matches!(poll(lines.next()), Poll::Ready(None)));
    }

    #[test]
    fn fill_waits_for_as_many_bytes_as_it_was_asked_for() {
        let mut reader = reader([Some("ab"), None, Some("c"), Some("defg"), Some("h")]);
        assert_eq!(ready(poll(reader.fill(0))).unwrap().unwrap(), b"");
        assert!(poll(reader.fill(4)).is_pending());
        assert_eq!(ready(poll(reader.fill(2))).unwrap().unwrap(), b"ab");
        assert_eq!(ready(poll(reader.fill(4))).unwrap().unwrap(), b"abcdefg");
        let more = reader.buffer().len() + 1;
        assert_eq!(
            ready(poll(reader.fill(more))).unwrap().unwrap(),
            b"abcdefgh"
        );
        let error = ready(poll(reader.fill(9))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        reader.consume(7);
        assert_eq!(ready(poll(reader.fill(1))).unwrap().unwrap(), b"h");
        reader.consume(1);
        assert!(ready(poll(reader.fill(1))).unwrap().is_none());
        assert_eq!(ready(poll(reader.fill(0))).unwrap().unwrap(), b"");
    }

    /// Frames whose first byte tells, in decimal, how many follow it.
    fn digit_len(bytes: &[u8]) -> io::Result<Option<usize>> {
        match bytes {
            [] => panic!("it is not asked about nothing"),
            [digit @ b'0'..=b'9', ..] => Ok(Some(1 + usize::from(digit - b'0'))),
            _ => Err(io::Error::other("no digit")),
        }
    }

    #[test]
    fn frames_are_taken_whole() {
        let mut reader = reader([
            Some("3ab"),
            None,
            Some("c0"),
            None,
            Some("2xy4w"),
            Some("xyz"),
        ]);
        let mut frames = Vec::new();
        let mut pending = 0;
        loop {
            match poll(reader.read_frame(5, digit_len)) {
                Poll::Ready(Ok(Some(frame))) => frames.push(frame),
                Poll::Ready(end) => break assert!(end.unwrap().is_none()),
                Poll::Pending => pending += 1,
            }
        }
        assert_eq!(frames, [&b"3abc"[..], b"0", b"2xy", b"4wxyz"]);
        assert_eq!(pending, 2);
    }

    #[test]
    fn what_is_no_frame_is_an_error_that_loses_nothing() {
        type FrameLen = fn(&[u8]) -> io::Result<Option<usize>>;
        let cases: [(&'static str, FrameLen, io::ErrorKind, &str); 7] = [
            ("9abc", digit_len, io::ErrorKind::InvalidData, "one of 10"),
            ("abcd", digit_len, io::ErrorKind::Other, "no digit"),
            (
                "4abc",
                digit_len,
                io::ErrorKind::UnexpectedEof,
                "expected 5 bytes",
            ),
            (
                "abcd",
                |_| Ok(Some(0)),
                io::ErrorKind::InvalidData,
                "one of 0",
            ),
            (
                "abcd",
                |_| Ok(Some(usize::MAX)),
                io::ErrorKind::InvalidData,
                "one of 1844",
            ),
            (
                "abcde",
                |_| Ok(None),
                io::ErrorKind::InvalidData,
                "its first 5 bytes",
            ),
            (
                "abcd",
                |_| Ok(None),
                io::ErrorKind::UnexpectedEof,
                "after 4 bytes",
            ),
        ];
        for (bytes, frame_len, kind, text) in cases {
            let mut reader = reader([Some(bytes)]);
            for _ in 0..2 {
                let error = ready(poll(reader.read_frame(5, frame_len))).unwrap_err();
                assert_eq!(error.kind(), kind, "{bytes}: {error}");
                assert!(error.to_string().contains(text), "{bytes}: {error}");
                assert_eq!(reader.buffer(), bytes.as_bytes());
            }
        }
    }

    #[test]
    fn a_frame_may_have_the_most_bytes_that_are_allowed() {
        let mut reader = reader([Some("4ab"), Some("cd")]);
        let frame = ready(poll(reader.read_frame(5, digit_len))).unwrap();
        assert_eq!(frame.unwrap(), b"4abcd");
    }

    #[test]
    fn a_length_is_asked_for_until_it_is_told_and_takes_no_memory() {
        let mut asked = Vec::new();
        let mut reader = reader([Some("ab"), Some("c"), Some("d"), Some("e"), None]);
        let read = reader.read_frame(usize::MAX, |bytes| {
            asked.push(bytes.len());
            Ok((bytes.len() >= 3).then_some(usize::MAX))
        });
        assert!(poll(read).is_pending());
        assert_eq!(asked, [2, 3]);
        assert!(reader.joined.capacity() < 100);
    }

    #[test]
    fn memory_of_a_large_message_is_given_back() {
        let piece: &'static str = Box::leak("x".repeat(10_000).into_boxed_str());
        let pieces = std::iter::repeat_n(Some(piece), 200);
        let pieces = pieces.chain([Some("a"), Some("bc"), Some("d")]).collect();
        let mut reader = Reader::new(Pieces(RefCell::new(pieces)));
        assert_eq!(
            ready(poll(reader.read_exact(2_000_000))).unwrap().len(),
            2_000_000
        );
        assert!(reader.joined.capacity() <= 2 * KEPT_BYTES_MAX);
        assert_eq!(ready(poll(reader.read_to_end(4))).unwrap(), b"abcd");
    }

    #[test]
    fn a_reader_goes_on_from_its_parts() {
        let mut first = reader([Some("ab\ncd"), Some("e\n")]);
        assert_eq!(ready(poll(first.read_until(b'\n', 10))).unwrap(), b"ab\n");
        let (source, rest) = first.into_parts();
        let mut second = Reader::from_parts(source, rest);
        assert_eq!(second.buffer(), b"cd");
        assert_eq!(ready(poll(second.read_until(b'\n', 10))).unwrap(), b"cde\n");
        let (source, rest) = second.into_parts();
        let mut third = Reader::from_parts(source, rest);
        assert!(ready(poll(third.fill(1))).unwrap().is_none());
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
