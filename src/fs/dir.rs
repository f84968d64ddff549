//! An open folder, and what is beneath it.

mod changes;

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
    path::Path,
    rc::Rc,
};

use super::{
    File, Metadata, OpenOptions,
    opening::{self, c_path},
};
use crate::{
    driver::{self, Driver},
    op::{AnyFd, Descriptor, Open, OpenBeneath},
    sys::{self, OpenFlags, OpenHow},
};

/// An open folder. Its methods take paths relative to it, and nothing leaves it.
///
/// No path with `..`, no absolute path, no symbolic link and no magic link of `/proc` leads out of
/// the folder, also when files are renamed or exchanged meanwhile: such an open fails with `EXDEV`.
/// So a path that a client sent can be opened as it is. `..` and symbolic links that stay beneath
/// the folder are followed; [`OpenOptions::follow_symlinks`] refuses all links. Mounts beneath the
/// folder are part of it.
///
/// The folder itself is fixed by [`open`](Self::open): it stays the same when it is renamed.
///
/// # Kernel
///
/// `IORING_OP_OPENAT2` with `RESOLVE_BENEATH` and `RESOLVE_NO_MAGICLINKS` (5.6), and openat2(2) on
/// a helper thread of the poll driver. A filter of system calls may forbid openat2(2): it answers
/// `ENOSYS` or `EPERM`, as older profiles of containers do. The path is walked by its components
/// there. That keeps the same promise, and refuses every symbolic link with `ELOOP`.
///
/// # Examples
///
/// ```
/// use annulus::fs::Dir;
///
/// annulus::run(async {
///     let sources = Dir::open("src").await?;
///     let file = sources.open_file("fs/dir.rs").await?;
///     assert!(file.metadata()?.is_file());
///     assert!(sources.open_file("../Cargo.toml").await.is_err());
///     assert!(sources.open_file("/etc/passwd").await.is_err());
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub struct Dir {
    fd: Rc<Descriptor<()>>,
}

impl Dir {
    /// Opens a folder. Here, symbolic links are followed wherever they lead.
    ///
    /// It takes the permission to search the folder, and not that to read it.
    ///
    /// # Errors
    ///
    /// Those of open(2), such as `NotADirectory`; `InvalidInput` for a path with a zero byte.
    ///
    /// # Cancel safety
    ///
    /// A folder that the kernel opens after the future is dropped is closed.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let driver = driver::current()?;
        let path = c_path(path.as_ref())?;
        let flags = OpenFlags::PATH | OpenFlags::FOLDER | OpenFlags::CLOSE_ON_EXEC;
        let fd = opening::open(&driver, || Open::new(path.clone(), flags, 0)).await?;
        Ok(Self::from_fd(fd, driver))
    }

    fn from_fd(fd: OwnedFd, driver: Rc<Driver>) -> Self {
        Self {
            fd: Descriptor::new(fd, driver, ()),
        }
    }

    /// Opens a file beneath the folder for reading.
    ///
    /// It never waits for a peer: a FIFO or a device can be opened, and [`File::metadata`] tells
    /// it from a file.
    ///
    /// # Errors
    ///
    /// As [`open_file_with`](Self::open_file_with).
    ///
    /// # Cancel safety
    ///
    /// As [`OpenOptions::open`].
    pub async fn open_file(&self, path: impl AsRef<Path>) -> io::Result<File> {
        let options = OpenOptions::new().read(true);
        self.open_file_with(path, &options).await
    }

    /// Opens a file beneath the folder as `options` say.
    ///
    /// # Errors
    ///
    /// `EXDEV` ([`CrossesDevices`](io::ErrorKind::CrossesDevices)) for a path or link that leads
    /// out of the folder, `ELOOP` for a magic link, and for a link that is not followed. `EAGAIN`
    /// when folders on the path were renamed at each of many tries. Else as [`OpenOptions::open`].
    ///
    /// # Cancel safety
    ///
    /// As [`OpenOptions::open`].
    pub async fn open_file_with(
        &self,
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> io::Result<File> {
        let flags = options.flags()? | OpenFlags::NONBLOCKING;
        let how = OpenHow::beneath(flags, options.mode, options.follow_symlinks);
        let fd = self.open_beneath(path.as_ref(), how).await?;
        Ok(File::from_fd(fd, self.driver()))
    }

    /// Opens a folder beneath this one, which is the root of its own paths then.
    ///
    /// # Errors
    ///
    /// As [`open_file_with`](Self::open_file_with), and `NotADirectory`.
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_dir(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OpenFlags::PATH | OpenFlags::FOLDER | OpenFlags::CLOSE_ON_EXEC;
        let how = OpenHow::beneath(flags, 0, true);
        let fd = self.open_beneath(path.as_ref(), how).await?;
        Ok(Self::from_fd(fd, self.driver()))
    }

    /// Returns the metadata of a path beneath the folder, of the file that a symbolic link leads
    /// to.
    ///
    /// To look at a file before it is read, open it and ask [`File::metadata`]: between two looks
    /// at a path it may be another file's.
    ///
    /// # Errors
    ///
    /// As [`open_file_with`](Self::open_file_with); no permission to read the file is needed.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.metadata_with(path.as_ref(), 0).await
    }

    /// Returns the metadata of a path beneath the folder, of a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`metadata`](Self::metadata).
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn symlink_metadata(&self, path: impl AsRef<Path>) -> io::Result<Metadata> {
        self.metadata_with(path.as_ref(), OpenFlags::NO_FOLLOW)
            .await
    }

    async fn metadata_with(&self, path: &Path, flags: i32) -> io::Result<Metadata> {
        let flags = OpenFlags::PATH | OpenFlags::CLOSE_ON_EXEC | flags;
        let how = OpenHow::beneath(flags, 0, true);
        let fd = self.open_beneath(path, how).await?;
        sys::status(fd.as_raw_fd()).map(Metadata::new)
    }

    async fn open_beneath(&self, path: &Path, how: OpenHow) -> io::Result<OwnedFd> {
        let path = c_path(path)?;
        let op = || OpenBeneath::new(self.any_fd(), path.clone(), how);
        opening::open(self.fd.driver(), op).await
    }

    fn driver(&self) -> Rc<Driver> {
        Rc::clone(self.fd.driver())
    }

    pub(super) fn any_fd(&self) -> AnyFd {
        Rc::clone(&self.fd) as AnyFd
    }
}

/// The descriptor was opened by `O_PATH`: it names the folder in system calls, and cannot be read.
impl AsRawFd for Dir {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.raw()
    }
}

/// As [`AsRawFd`].
impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.borrow()
    }
}

impl fmt::Debug for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dir")
            .field("fd", &self.fd.raw())
            .finish_non_exhaustive()
    }
}
