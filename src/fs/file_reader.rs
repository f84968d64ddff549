//! A file as a source of bytes.

use std::{
    fmt,
    future::Future as _,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::File;
use crate::{
    io::ByteRead,
    op::{AnyFd, InFlight, Read},
    pool::ManagedBuf,
};

/// The bytes of a piece.
const READER_PIECE_BYTES: usize = 64 * 1024;

/// Reads a file from an offset on, piece by piece. Made by [`File::reader`].
///
/// It is a [`ByteRead`], so an [`io::Reader`](crate::io::Reader) over it reads lines, frames and
/// exact lengths. It reads at its own position and keeps the file open: any number of readers and
/// writers may use one file.
///
/// A piece has up to 64 KiB. An empty one is the end of the file; asked again, it reads what was
/// written meanwhile.
///
/// # Cancel safety
///
/// Nothing is lost: a piece that was read stays until the next call takes it.
///
/// # Examples
///
/// ```
/// use annulus::{fs::File, io::Reader};
///
/// annulus::run(async {
///     let file = File::open("Cargo.toml").await?;
///     let mut reader = Reader::new(file.reader(0));
///     let mut lines = reader.lines(1024);
///     assert_eq!(lines.next().await.transpose()?.as_deref(), Some("[package]"));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub struct FileReader {
    fd: AnyFd,
    position: u64,
    read: Option<InFlight<Read<Vec<u8>>>>,
}

impl FileReader {
    fn new(fd: AnyFd, position: u64) -> Self {
        Self {
            fd,
            position,
            read: None,
        }
    }

    /// Returns the offset of the next byte that it gives.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes to another offset. A piece that is being read is dropped.
    pub fn set_position(&mut self, position: u64) {
        self.read = None;
        self.position = position;
    }
}

impl File {
    /// Returns a reader of the file that begins at `offset`.
    #[must_use]
    pub fn reader(&self, offset: u64) -> FileReader {
        FileReader::new(self.any_fd(), offset)
    }
}

impl ByteRead for FileReader {
    /// # Errors
    ///
    /// As [`File::read_at`].
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<ManagedBuf>> {
        let read = self.read.get_or_insert_with(|| {
            let buf = Vec::with_capacity(READER_PIECE_BYTES);
            let op = Read::new(Rc::clone(&self.fd), buf, self.position);
            InFlight::new(Rc::clone(self.fd.driver()), op)
        });
        let result = ready!(Pin::new(read).poll(context));
        self.read = None;
        let (count, mut bytes) = result?;
        self.position += count as u64;
        if count < READER_PIECE_BYTES / 2 {
            bytes.shrink_to_fit();
        }
        Poll::Ready(Ok(bytes.into()))
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileReader")
            .field("fd", &self.fd.raw())
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
