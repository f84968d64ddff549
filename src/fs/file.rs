//! An open file.

use std::{
    cell::Cell,
    fmt,
    fs::Permissions,
    future::{Future as _, poll_fn},
    io,
    os::{
        fd::{AsRawFd, IntoRawFd as _, OwnedFd, RawFd},
        unix::fs::PermissionsExt as _,
    },
    path::Path,
    pin::pin,
    rc::Rc,
};

use super::{Metadata, OpenOptions, call::call_on};
use crate::{
    budget,
    buf::{BufError, BufResult, IoBuf, IoBufMut},
    driver::Driver,
    op::{AnyFd, Close, Descriptor, Fsync, InFlight, Owner, Read, Write},
    sync::oneshot,
    sys,
};

/// The bytes that one read of a whole file takes. The thread is held so long when they are cached.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// The memory that a whole file begins with when it has no size, as those of `/proc`.
const WHOLE_BYTES_MIN: usize = 4096;

/// An open file, read and written at offsets that the caller names.
///
/// Any number of operations may be in flight. Dropping the file closes it once they are done;
/// [`close`](Self::close) also tells what went wrong.
///
/// # Examples
///
/// ```
/// use annulus::fs::File;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let file = File::open("Cargo.toml").await?;
///     let (count, bytes) = file.read_at(vec![0; 9], 0).await?;
///     assert_eq!(&bytes[..count], b"[package]");
///     file.close().await
/// })
/// # }
/// ```
pub struct File {
    fd: Rc<Descriptor<FileEnd>>,
}

/// The end of a file's descriptor: it goes to a taker or is closed when its last user is gone.
#[derive(Default)]
struct FileEnd {
    /// The task that takes it then.
    taker: Cell<Option<oneshot::Sender<OwnedFd>>>,
}

impl Owner for FileEnd {
    fn close(&self, fd: OwnedFd, driver: &Driver) {
        if let Some(taker) = self.taker.take() {
            // When the caller's future was dropped, dropping the descriptor closes it.
            return drop(taker.send(fd));
        }
        // A file's close may write to a slow device, so the ring does it, and no task waits.
        if driver.close_detached(fd.as_raw_fd()) {
            // The number is the entry's now.
            let _ = fd.into_raw_fd();
        }
    }
}

impl File {
    /// Opens a file for reading. It never waits for a peer; see [`OpenOptions::open`] for what is
    /// no regular file.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new().read(true).open(path).await
    }

    /// Returns the options of opening a file, as [`OpenOptions::new`].
    #[must_use]
    pub fn options() -> OpenOptions {
        OpenOptions::new()
    }

    /// Opens a file for writing. The file is made if it does not exist, and emptied if it does.
    ///
    /// # Errors
    ///
    /// As [`OpenOptions::open`].
    pub async fn create(path: impl AsRef<Path>) -> io::Result<Self> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .await
    }

    pub(super) fn from_fd(fd: OwnedFd, driver: Rc<Driver>) -> Self {
        Self {
            fd: Descriptor::new(fd, driver, FileEnd::default()),
        }
    }

    /// Returns the file's metadata: its size, kind, times and numbers.
    ///
    /// It is no future. The open has read this data from the device already, and a plain statx(2)
    /// takes a seventh of the time that the ring's takes, which hands it to a worker thread of the
    /// kernel's. A network file system may ask its server.
    ///
    /// # Errors
    ///
    /// Those of statx(2).
    pub fn metadata(&self) -> io::Result<Metadata> {
        sys::status(self.fd.raw()).map(Metadata::new)
    }

    /// Reads from `offset` into `buf`, overwriting it from its start, and sets its length. Zero
    /// means the end of the file.
    ///
    /// On the ring, what the page cache holds is read at once, without waiting.
    ///
    /// # Errors
    ///
    /// Those of pread(2), and `InvalidInput` when `buf` has no room; the buffer comes back with the
    /// error.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost but the buffer, which is dropped as soon as the kernel no longer uses it.
    pub async fn read_at<B: IoBufMut>(&self, buf: B, offset: u64) -> BufResult<usize, B> {
        if buf.capacity() == 0 {
            return Err(BufError::no_room(buf));
        }
        budget::turn().await;
        InFlight::new(self.driver(), Read::new(self.any_fd(), buf, offset)).await
    }

    /// Writes the start of `buf` at `offset`, and returns how many bytes that was. In append mode
    /// the offset is ignored.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2); the buffer comes back with the error.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it resolves, the write may happen, in part or not at all.
    pub async fn write_at<B: IoBuf>(&self, buf: B, offset: u64) -> BufResult<usize, B> {
        budget::turn().await;
        InFlight::new(self.driver(), Write::at(self.any_fd(), buf, offset)).await
    }

    /// Writes all of `buf` at `offset`.
    ///
    /// # Errors
    ///
    /// Those of pwrite(2), and `WriteZero` when the file takes no more; the buffer comes back.
    ///
    /// # Cancel safety
    ///
    /// As [`write_at`](Self::write_at).
    pub async fn write_all_at<B: IoBuf>(&self, buf: B, offset: u64) -> Result<B, BufError<B>> {
        let mut buf = buf;
        let mut written = 0;
        while written < buf.len() {
            let rest = buf.slice(written..);
            match self.write_at(rest, offset + written as u64).await {
                Ok((0, rest)) => {
                    let error = io::Error::from(io::ErrorKind::WriteZero);
                    return Err(BufError::new(error, rest.into_inner()));
                }
                Ok((count, rest)) => {
                    written += count;
                    buf = rest.into_inner();
                }
                Err(error) => return Err(error.map(crate::buf::Slice::into_inner)),
            }
        }
        Ok(buf)
    }

    /// Writes the start of `buf` at the end of a file that was opened to append.
    ///
    /// # Errors
    ///
    /// Those of write(2); the buffer comes back with the error. On the poll driver a FIFO or
    /// terminal that takes nothing now is the error `WouldBlock`; the ring waits for it.
    ///
    /// # Cancel safety
    ///
    /// As [`write_at`](Self::write_at).
    pub async fn append<B: IoBuf>(&self, buf: B) -> BufResult<usize, B> {
        budget::turn().await;
        InFlight::new(self.driver(), Write::append(self.any_fd(), buf)).await
    }

    /// Reads the whole file, in pieces, so that other tasks run in between.
    pub(super) async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let len = usize::try_from(self.metadata()?.len()).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        // One more, so that the end is seen without more memory.
        bytes.try_reserve_exact(len.saturating_add(1))?;
        loop {
            if bytes.len() == bytes.capacity() {
                bytes.try_reserve(WHOLE_BYTES_MIN)?;
            }
            let (before, offset) = (bytes.len(), bytes.len() as u64);
            budget::turn().await;
            let rest = bytes.slice_mut(before);
            let read = Read::up_to(PIECE_BYTES_MAX, self.any_fd(), rest, offset);
            let (count, rest) = InFlight::new(self.driver(), read).await?;
            bytes = rest.into_inner();
            if count == 0 {
                return Ok(bytes);
            }
        }
    }

    /// Writes the whole file, which is empty, and closes it.
    pub(super) async fn write_whole(self, contents: impl IoBuf) -> io::Result<()> {
        self.write_all_at(contents, 0).await?;
        self.close().await
    }

    /// Cuts the file to `len` bytes, or makes it longer by zeros.
    ///
    /// # Errors
    ///
    /// Those of ftruncate(2).
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, it happens all the same, sooner or later.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        let fd = self.fd.raw();
        call_on(self.any_fd(), move || sys::set_len(fd, len)).await
    }

    /// Sets the file's permissions.
    ///
    /// # Errors
    ///
    /// Those of fchmod(2).
    ///
    /// # Cancel safety
    ///
    /// As [`set_len`](Self::set_len).
    pub async fn set_permissions(&self, permissions: Permissions) -> io::Result<()> {
        let (fd, mode) = (self.fd.raw(), permissions.mode());
        call_on(self.any_fd(), move || sys::set_mode(fd, mode)).await
    }

    /// Waits until the file's data and metadata are on its device (fsync(2)).
    ///
    /// # Errors
    ///
    /// `EIO`, `ENOSPC`: data that was written before may be lost.
    ///
    /// # Cancel safety
    ///
    /// It may happen or not.
    pub async fn sync_all(&self) -> io::Result<()> {
        InFlight::new(self.driver(), Fsync::new(self.any_fd(), false)).await
    }

    /// Waits until the file's data is on its device, with only the metadata that a reader of it
    /// needs (fdatasync(2)). See [`sync_all`](Self::sync_all).
    ///
    /// # Errors
    ///
    /// As [`sync_all`](Self::sync_all).
    pub async fn sync_data(&self) -> io::Result<()> {
        InFlight::new(self.driver(), Fsync::new(self.any_fd(), true)).await
    }

    /// Closes the file, after operations whose futures were dropped in flight.
    ///
    /// # Errors
    ///
    /// The errors of close(2) about writes that failed late, as network file systems do. The file
    /// is closed nevertheless.
    ///
    /// # Cancel safety
    ///
    /// The file is closed in any case.
    pub async fn close(self) -> io::Result<()> {
        let driver = self.driver();
        let (sender, receiver) = oneshot::channel();
        self.fd.extra.taker.set(Some(sender));
        drop(self);
        let mut receiver = pin!(receiver);
        // Its last user may be a call that only ends in the runtime of this file. The descriptor is
        // closed then, and no task waits for it.
        let fd = poll_fn(|context| {
            driver.check_current()?;
            receiver.as_mut().poll(context).map(Ok::<_, io::Error>)
        })
        .await?
        .expect("a descriptor is handed over when its last user is gone");
        InFlight::new(driver, Close::new(fd.into_raw_fd())).await
    }

    fn driver(&self) -> Rc<Driver> {
        Rc::clone(self.fd.driver())
    }

    pub(super) fn any_fd(&self) -> AnyFd {
        Rc::clone(&self.fd) as AnyFd
    }
}

impl AsRawFd for File {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.raw()
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("fd", &self.fd.raw())
            .finish_non_exhaustive()
    }
}
