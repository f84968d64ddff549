//! File calls, as the ring would answer them.

use std::ffi::CStr;

use super::{
    as_completion,
    socket::set_nonblocking,
    status::{FileKind, status},
};

/// open(2)'s flags.
pub(crate) struct OpenFlags;

impl OpenFlags {
    pub(crate) const READ: i32 = libc::O_RDONLY;
    pub(crate) const WRITE: i32 = libc::O_WRONLY;
    pub(crate) const READ_WRITE: i32 = libc::O_RDWR;
    pub(crate) const APPEND: i32 = libc::O_APPEND;
    pub(crate) const TRUNCATE: i32 = libc::O_TRUNC;
    pub(crate) const CREATE: i32 = libc::O_CREAT;
    pub(crate) const CREATE_NEW: i32 = libc::O_CREAT | libc::O_EXCL;
    pub(crate) const CLOSE_ON_EXEC: i32 = libc::O_CLOEXEC;
    /// A descriptor that names a file and cannot read it, for calls that take a folder.
    pub(crate) const PATH: i32 = libc::O_PATH;
    pub(crate) const FOLDER: i32 = libc::O_DIRECTORY;
    /// A symbolic link is not followed at the end of the path.
    pub(crate) const NO_FOLLOW: i32 = libc::O_NOFOLLOW;
    /// A new file without a name. The constant of the C library has a second bit, `O_DIRECTORY`.
    pub(crate) const TEMPORARY: i32 = libc::O_TMPFILE & !libc::O_DIRECTORY;
    /// The open does not wait for a peer, as that of a FIFO does.
    pub(crate) const NONBLOCKING: i32 = libc::O_NONBLOCK;
}

pub(crate) fn open(path: &CStr, flags: i32, mode: u32) -> i32 {
    // SAFETY: the path is a C string that lives through the call.
    as_completion(unsafe { libc::open(path.as_ptr(), flags, mode) } as isize)
}

/// As [`open`], leaving in non-blocking mode only what may wait for a peer.
pub(crate) fn open_and_settle(path: &CStr, flags: i32, mode: u32) -> i32 {
    settle(open(path, flags, mode), flags)
}

/// Takes non-blocking mode back from what was opened, unless it may wait for a peer.
pub(super) fn settle(fd: i32, flags: i32) -> i32 {
    if fd >= 0 && flags & OpenFlags::NONBLOCKING != 0 && waits_for_its_device_only(fd) {
        let _ = set_nonblocking(fd, false);
    }
    fd
}

/// Whether reads and writes of an open file wait for its device at most.
fn waits_for_its_device_only(fd: i32) -> bool {
    status(fd).is_ok_and(|status| {
        let kind = FileKind::of_mode(status.mode);
        [FileKind::FILE, FileKind::FOLDER, FileKind::BLOCK_DEVICE].contains(&kind)
    })
}

pub(crate) fn close(fd: i32) -> i32 {
    // SAFETY: the call takes no address; the caller owns the descriptor.
    as_completion(unsafe { libc::close(fd) } as isize)
}

/// # Safety
///
/// `buf` points to `len` bytes that no other code touches during the call.
pub(crate) unsafe fn pread(fd: i32, buf: *mut u8, len: usize, offset: u64) -> i32 {
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::pread64(fd, buf.cast(), len, offset as i64) })
}

/// pread(2) of what the page cache holds; `EAGAIN` when that is nothing.
///
/// # Safety
///
/// As [`pread`].
pub(crate) unsafe fn preadv2_nowait(fd: i32, buf: *mut u8, len: usize, offset: u64) -> i32 {
    let part = libc::iovec {
        iov_base: buf.cast(),
        iov_len: len,
    };
    // SAFETY: as the caller promises; the vector lives through the call.
    as_completion(unsafe { libc::preadv2(fd, &raw const part, 1, offset as i64, libc::RWF_NOWAIT) })
}

/// # Safety
///
/// `buf` points to `len` bytes that no code writes during the call.
pub(crate) unsafe fn pwrite(fd: i32, buf: *const u8, len: usize, offset: u64) -> i32 {
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::pwrite64(fd, buf.cast(), len, offset as i64) })
}

/// write(2) at the file's own position, which append mode needs.
///
/// # Safety
///
/// As [`pwrite`].
pub(crate) unsafe fn write_fd(fd: i32, buf: *const u8, len: usize) -> i32 {
    // SAFETY: as the caller promises.
    as_completion(unsafe { libc::write(fd, buf.cast(), len) })
}

/// Waits for the lock of a file or folder (flock(2)), which ends when its last descriptor is
/// closed.
pub(crate) fn lock_exclusively(fd: i32) -> std::io::Result<()> {
    loop {
        // SAFETY: the call takes no address.
        match super::as_result(unsafe { libc::flock(fd, libc::LOCK_EX) }) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// ftruncate(2).
pub(crate) fn set_len(fd: i32, len: u64) -> std::io::Result<()> {
    let len = i64::try_from(len).map_err(|_| std::io::Error::from_raw_os_error(libc::EFBIG))?;
    // SAFETY: the call takes no address.
    super::as_result(unsafe { libc::ftruncate64(fd, len) }).map(drop)
}

/// fchmod(2).
pub(crate) fn set_mode(fd: i32, mode: u32) -> std::io::Result<()> {
    // SAFETY: the call takes no address.
    super::as_result(unsafe { libc::fchmod(fd, mode & 0o7777) }).map(drop)
}

pub(crate) fn sync(fd: i32, data_only: bool) -> i32 {
    let result = if data_only {
        // SAFETY: the call takes no address.
        unsafe { libc::fdatasync(fd) }
    } else {
        // SAFETY: the call takes no address.
        unsafe { libc::fsync(fd) }
    };
    as_completion(result as isize)
}
