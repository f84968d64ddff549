//! The options of opening a file.

use std::{io, path::Path};

use super::{
    File,
    opening::{self, c_path},
};
use crate::{driver, op::Open, sys::OpenFlags};

/// The options of opening a file, with std's names and meanings.
///
/// # Examples
///
/// ```
/// use annulus::fs::OpenOptions;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("annulus-open-options-{}", std::process::id()));
/// annulus::run(async {
///     let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).await?;
///     log.append("a line\n").await?;
///     log.close().await?;
///
///     let log = OpenOptions::new().read(true).open(&path).await?;
///     let (_count, bytes) = log.read_at(vec![0; 64], 0).await?;
///     assert_eq!(bytes, b"a line\n");
/// #   std::fs::remove_file(&path)?;
///     Ok(())
/// })
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OpenOptions {
    read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    pub(super) follow_symlinks: bool,
    pub(super) mode: u32,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            follow_symlinks: true,
            mode: 0o666,
        }
    }
}

impl OpenOptions {
    /// Returns options that allow nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether the file can be read.
    #[must_use]
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// Sets whether the file can be written.
    #[must_use]
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Sets whether writes go to the file's end only.
    #[must_use]
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// Sets whether the file is emptied.
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// Sets whether the file is made if it does not exist.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets whether the file is made, and the open fails if it exists.
    #[must_use]
    pub fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// Sets the permissions of a new file, less the process's umask. `0o666` by default.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets whether symbolic links are followed, as they are by default. Otherwise an open that
    /// meets one fails with `ELOOP`.
    ///
    /// [`Dir::open_file_with`](super::Dir::open_file_with) meets all links of the path, and
    /// [`open`](Self::open) one at its end.
    #[must_use]
    pub fn follow_symlinks(mut self, follow_symlinks: bool) -> Self {
        self.follow_symlinks = follow_symlinks;
        self
    }

    /// Opens the file.
    ///
    /// It never waits for a peer: a FIFO is opened for reading although nothing writes to it. A
    /// [`File`] is for what has offsets, which FIFOs, terminals and sockets have not: they can be
    /// opened, and [`File::metadata`] tells them from files. While another process has a lease on
    /// the file (fcntl(2)), it waits for that to end, for up to a minute.
    ///
    /// # Errors
    ///
    /// Those of open(2), such as `ENXIO` for a socket, and for a FIFO to write to which nothing
    /// reads; `InvalidInput` for a path with a zero byte, or options that make no sense together.
    ///
    /// # Cancel safety
    ///
    /// A file that the kernel opens after the future is dropped is closed. It may have been made
    /// or emptied.
    pub async fn open(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let driver = driver::current()?;
        let path = c_path(path.as_ref())?;
        let flags = self.flags()?;
        let op = || Open::new(path.clone(), flags, self.mode);
        let fd = opening::open(&driver, op).await?;
        Ok(File::from_fd(fd, driver))
    }

    pub(super) fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.write || self.append) {
            (true, false) => OpenFlags::READ,
            (false, true) => OpenFlags::WRITE,
            (true, true) => OpenFlags::READ_WRITE,
            (false, false) => {
                return Err(invalid(
                    "expected read, write or append, found none of them",
                ));
            }
        };
        let changes = self.truncate || self.create || self.create_new;
        if changes && access == OpenFlags::READ {
            return Err(invalid(
                "expected write or append beside truncate or create, found neither",
            ));
        }
        if self.truncate && self.append && !self.create_new {
            return Err(invalid("expected either append or truncate, found both"));
        }
        let mut flags = access | OpenFlags::CLOSE_ON_EXEC;
        for (on, flag) in [
            (self.append, OpenFlags::APPEND),
            (self.truncate, OpenFlags::TRUNCATE),
            (self.create, OpenFlags::CREATE),
            (self.create_new, OpenFlags::CREATE_NEW),
            (!self.follow_symlinks, OpenFlags::NO_FOLLOW),
        ] {
            flags |= if on { flag } else { 0 };
        }
        Ok(flags)
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}
