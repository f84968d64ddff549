//! The kernel's knowledge about a file: its kind, size, times and numbers (statx(2)).

use std::{ffi::CStr, io, time::Duration};

use super::as_result;

/// The status of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Status {
    /// The kind and the permissions.
    pub(crate) mode: u32,
    pub(crate) links: u64,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    pub(crate) block_bytes: u64,
    /// In units of 512 bytes.
    pub(crate) blocks: u64,
    pub(crate) accessed: FileTime,
    pub(crate) modified: FileTime,
    pub(crate) changed: FileTime,
    /// `None` where the file system does not keep it.
    pub(crate) created: Option<FileTime>,
}

/// A point in time since 1970, which files may have from before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileTime {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl FileTime {
    /// The whole seconds, and what comes on top of them.
    pub(crate) fn subsecond(self) -> Duration {
        Duration::from_nanos(u64::from(self.nanoseconds))
    }
}

/// The bits of [`Status::mode`] that tell the kind of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileKind(u32);

impl FileKind {
    pub(crate) const FILE: Self = Self(libc::S_IFREG);
    pub(crate) const FOLDER: Self = Self(libc::S_IFDIR);
    pub(crate) const SYMLINK: Self = Self(libc::S_IFLNK);
    pub(crate) const FIFO: Self = Self(libc::S_IFIFO);
    pub(crate) const SOCKET: Self = Self(libc::S_IFSOCK);
    pub(crate) const BLOCK_DEVICE: Self = Self(libc::S_IFBLK);
    pub(crate) const CHARACTER_DEVICE: Self = Self(libc::S_IFCHR);

    pub(crate) fn of_mode(mode: u32) -> Self {
        Self(mode & libc::S_IFMT)
    }

    /// The kind as the bits of a mode.
    pub(crate) fn mode(self) -> u32 {
        self.0
    }
}

/// Memory for the answer to statx(2).
#[repr(transparent)]
pub(crate) struct StatusRoom(libc::statx);

impl StatusRoom {
    pub(crate) fn new() -> Self {
        // SAFETY: the struct has integers only, for which all zeros are valid.
        Self(unsafe { std::mem::zeroed() })
    }

    /// The status that the kernel has written.
    pub(crate) fn status(&self) -> Status {
        let told = &self.0;
        let time = |time: &libc::statx_timestamp| FileTime {
            seconds: time.tv_sec,
            nanoseconds: time.tv_nsec,
        };
        Status {
            mode: u32::from(told.stx_mode),
            links: u64::from(told.stx_nlink),
            user: told.stx_uid,
            group: told.stx_gid,
            device: libc::makedev(told.stx_dev_major, told.stx_dev_minor),
            inode: told.stx_ino,
            size: told.stx_size,
            block_bytes: u64::from(told.stx_blksize),
            blocks: told.stx_blocks,
            accessed: time(&told.stx_atime),
            modified: time(&told.stx_mtime),
            changed: time(&told.stx_ctime),
            created: (told.stx_mask & libc::STATX_BTIME != 0).then(|| time(&told.stx_btime)),
        }
    }
}

/// The status of an open file, or of a path that was opened by `O_PATH`.
///
/// Some filters of system calls know no statx(2); fstat(2) answers there, without the time of
/// creation.
pub(crate) fn status(fd: i32) -> io::Result<Status> {
    let mut room = StatusRoom::new();
    let wanted = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
    // SAFETY: the path is a C string, and the room lives through the call, which writes to it.
    let result = as_result(unsafe {
        libc::statx(
            fd,
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            wanted,
            &raw mut room.0,
        )
    });
    match result {
        Ok(_) => Ok(room.status()),
        Err(error) if is_unknown(&error) => old_status(fd, c""),
        Err(error) => Err(error),
    }
}

/// Whether statx(2) itself was refused.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// As [`status`], of `path` beneath a folder or of the folder itself, by the older call.
#[cold]
fn old_status(fd: i32, path: &CStr) -> io::Result<Status> {
    // SAFETY: the struct has integers only, for which all zeros are valid.
    let mut told = unsafe { std::mem::zeroed::<libc::stat64>() };
    let flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    // SAFETY: the path is a C string, and the struct lives through the call, which writes to it.
    as_result(unsafe { libc::fstatat64(fd, path.as_ptr(), &raw mut told, flags) })?;
    let time = |seconds: i64, nanoseconds: i64| FileTime {
        seconds,
        nanoseconds: nanoseconds as u32,
    };
    Ok(Status {
        mode: told.st_mode,
        links: told.st_nlink as u64,
        user: told.st_uid,
        group: told.st_gid,
        device: told.st_dev,
        inode: told.st_ino,
        size: told.st_size as u64,
        block_bytes: told.st_blksize as u64,
        blocks: told.st_blocks as u64,
        accessed: time(told.st_atime, told.st_atime_nsec),
        modified: time(told.st_mtime, told.st_mtime_nsec),
        changed: time(told.st_ctime, told.st_ctime_nsec),
        created: None,
    })
}

/// The kind of the file that `name` is in a folder; a symbolic link is not followed.
pub(super) fn kind_at(folder: i32, name: &CStr) -> io::Result<FileKind> {
    Ok(FileKind::of_mode(old_status(folder, name)?.mode))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_older_call_tells_the_same() {
        let program = std::env::current_exe().unwrap();
        let file = std::fs::File::open(program).unwrap();
        let new = status(file.as_raw_fd()).unwrap();
        let old = old_status(file.as_raw_fd(), c"").unwrap();
        let created = None;
        assert_eq!(
            format!("{old:?}"),
            format!("{:?}", Status { created, ..new })
        );
        assert_eq!(FileKind::of_mode(old.mode), FileKind::FILE);
    }
}
