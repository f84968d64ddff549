//! A file as a destination of bytes.

use std::{
    fmt,
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::File;
use crate::{
    budget,
    buf::{IoBuf as _, Slice},
    io::ByteWrite,
    op::{AnyFd, InFlight, Write},
};

/// The bytes that are collected before they are written.
const WRITER_BYTES_MAX: usize = 64 * 1024;

/// Writes to a file from an offset on, through a buffer. Made by [`File::writer`].
///
/// Small writes are collected, and written 64 KiB at a time, while the next ones are taken. So the
/// end of the data has to be written by [`flush`](Self::flush). **A writer that is dropped before
/// loses what was taken and not flushed**, up to twice 64 KiB, and no error tells so: a drop cannot
/// wait for a file.
///
/// It is a [`ByteWrite`]. That trait's `write_all` flushes each time, and so does a generic
/// function that uses it; [`write_all`](Self::write_all) of this type does not. `shutdown` flushes,
/// and leaves the file open.
///
/// It writes at its own position and keeps the file open. A file that was opened to append is
/// written at its end.
///
/// # Errors
///
/// When bytes of earlier calls cannot be written, the next call fails. The bytes stay, and the next
/// [`flush`](Self::flush) tries to write them again, as after room was made on a full disk.
///
/// # Examples
///
/// ```
/// use annulus::fs::{self, File};
///
/// # let path = std::env::temp_dir().join(format!("annulus-writer-{}", std::process::id()));
/// annulus::run(async {
///     let file = File::create(&path).await?;
///     let mut writer = file.writer(0);
///     for number in 0..1000 {
///         writer.write_all(format!("{number}\n").as_bytes()).await?;
///     }
///     writer.flush().await?;
///     assert!(fs::read_to_string(&path).await?.ends_with("\n999\n"));
///     fs::remove_file(&path).await
/// })
/// # .unwrap();
/// ```
pub struct FileWriter {
    fd: AnyFd,
    /// The offset of the next byte that is written.
    position: u64,
    /// Bytes that were taken, after those that are being written.
    taken: Vec<u8>,
    writing: Option<Writing>,
}

/// The bytes that are being written.
enum Writing {
    /// So many of them.
    InFlight(InFlight<Write<Slice<Vec<u8>>>>, usize),
    /// Their write has failed, and is begun again from this index on.
    Failed(Vec<u8>, usize),
}

impl FileWriter {
    /// Takes all of `bytes`. They are written when there are many, or by [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// As [`File::write_at`], of bytes that were taken before.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has taken a beginning of `bytes` of unknown length.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            budget::turn().await;
            let count = poll_fn(|context| self.poll_write(context, rest)).await?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Writes all bytes that were taken. They may be in the page cache still: see
    /// [`File::sync_all`].
    ///
    /// # Errors
    ///
    /// As [`File::write_at`]. The bytes stay.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn flush(&mut self) -> io::Result<()> {
        budget::turn().await;
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Returns the offset after the last byte that was written.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns how many bytes were taken and are not written yet.
    #[must_use]
    pub fn unwritten(&self) -> usize {
        let writing = match &self.writing {
            Some(Writing::InFlight(_, len)) => *len,
            Some(Writing::Failed(bytes, start)) => bytes.len() - start,
            None => 0,
        };
        self.taken.len() + writing
    }

    /// Begins to write `bytes` from `start` on.
    fn begin(&mut self, bytes: Vec<u8>, start: usize) {
        let rest = bytes.slice(start..);
        let len = rest.len();
        let op = Write::at(Rc::clone(&self.fd), rest, self.position);
        let write = InFlight::new(Rc::clone(self.fd.driver()), op);
        self.writing = Some(Writing::InFlight(write, len));
    }

    /// Waits until nothing is being written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let write = match &mut self.writing {
                None => return Poll::Ready(Ok(())),
                Some(Writing::InFlight(write, _)) => write,
                Some(Writing::Failed(bytes, start)) => {
                    let (bytes, start) = (std::mem::take(bytes), *start);
                    self.begin(bytes, start);
                    continue;
                }
            };
            let (result, rest) = match ready!(Pin::new(write).poll(context)) {
                Ok((0, rest)) => (Err(io::ErrorKind::WriteZero.into()), rest),
                Ok((count, rest)) => (Ok(count), rest),
                Err(error) => (Err(error.error), error.buf),
            };
            let len = rest.len();
            let bytes = rest.into_inner();
            let start = bytes.len() - len;
            match result {
                Ok(count) => {
                    self.position += count as u64;
                    self.writing = None;
                    if count < len {
                        self.begin(bytes, start + count);
                    }
                }
                Err(error) => {
                    self.writing = Some(Writing::Failed(bytes, start));
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl File {
    /// Returns a writer to the file that begins at `offset`.
    #[must_use]
    pub fn writer(&self, offset: u64) -> FileWriter {
        FileWriter {
            fd: self.any_fd(),
            position: offset,
            taken: Vec::new(),
            writing: None,
        }
    }
}

impl ByteWrite for FileWriter {
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.taken.len() >= WRITER_BYTES_MAX {
            ready!(self.poll_written(context))?;
            let taken = std::mem::take(&mut self.taken);
            self.begin(taken, 0);
            // The first poll begins it. The next bytes are taken meanwhile.
            let _ = self.poll_written(context)?;
        }
        let count = bytes.len().min(WRITER_BYTES_MAX - self.taken.len());
        self.taken.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_written(context))?;
            if self.taken.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let taken = std::mem::take(&mut self.taken);
            self.begin(taken, 0);
        }
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

impl fmt::Debug for FileWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileWriter")
            .field("fd", &self.fd.raw())
            .field("position", &self.position)
            .field("unwritten", &self.unwritten())
            .finish_non_exhaustive()
    }
}
