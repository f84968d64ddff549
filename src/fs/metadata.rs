//! The metadata of a file.

use std::{
    fmt,
    fs::Permissions,
    io,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime},
};

use super::FileType;
use crate::sys::{FileTime, Status};

/// The metadata of a file: size, kind, times and numbers, with the names of std's
/// [`Metadata`](std::fs::Metadata) and [`MetadataExt`](std::os::unix::fs::MetadataExt).
///
/// It is a type of this crate because std's cannot be made from what the ring tells.
///
/// # Examples
///
/// ```
/// use annulus::fs::File;
///
/// annulus::run(async {
///     let metadata = File::open("Cargo.toml").await?.metadata()?;
///     assert!(metadata.is_file() && metadata.len() > 0);
///     // A validator that changes with each change of the file.
///     let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
///     let tag = format!("{seconds:x}.{nanoseconds:x}-{:x}-{:x}", metadata.len(), metadata.ino());
///     assert!(tag.len() > 4);
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Metadata(Status);

impl Metadata {
    pub(super) fn new(status: Status) -> Self {
        Self(status)
    }

    /// Returns the kind of the file.
    #[must_use]
    pub fn file_type(&self) -> FileType {
        FileType::of_mode(self.0.mode)
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a symbolic link itself.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// Returns the size in bytes.
    #[expect(
        clippy::len_without_is_empty,
        reason = "std's metadata has no such method"
    )]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.size
    }

    /// Returns the permissions, with std's type.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.0.mode)
    }

    /// Returns the time of the last change of the content.
    ///
    /// # Errors
    ///
    /// `InvalidData` when the time does not fit; no file system of Linux has such times.
    pub fn modified(&self) -> io::Result<SystemTime> {
        system_time(self.0.modified)
    }

    /// Returns the time of the last read. Most file systems note it once a day.
    ///
    /// # Errors
    ///
    /// As [`modified`](Self::modified).
    pub fn accessed(&self) -> io::Result<SystemTime> {
        system_time(self.0.accessed)
    }

    /// Returns the time of creation.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the file system does not keep it.
    pub fn created(&self) -> io::Result<SystemTime> {
        let created = self.0.created.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::Unsupported,
                "expected a time of creation, found a file system that keeps none",
            )
        })?;
        system_time(created)
    }

    /// Returns the number of the device that has the file.
    #[must_use]
    pub fn dev(&self) -> u64 {
        self.0.device
    }

    /// Returns the number of the file on its device.
    #[must_use]
    pub fn ino(&self) -> u64 {
        self.0.inode
    }

    /// Returns the bits of the kind and of the permissions.
    #[must_use]
    pub fn mode(&self) -> u32 {
        self.0.mode
    }

    /// Returns the number of names that the file has.
    #[must_use]
    pub fn nlink(&self) -> u64 {
        self.0.links
    }

    /// Returns the user that owns the file.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.0.user
    }

    /// Returns the group of the file.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.0.group
    }

    /// Returns the size in bytes, as [`len`](Self::len).
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// Returns the time of the last read, in seconds since 1970.
    #[must_use]
    pub fn atime(&self) -> i64 {
        self.0.accessed.seconds
    }

    /// Returns the nanoseconds on top of [`atime`](Self::atime).
    #[must_use]
    pub fn atime_nsec(&self) -> i64 {
        self.0.accessed.nanoseconds.into()
    }

    /// Returns the time of the last change of the content, in seconds since 1970.
    #[must_use]
    pub fn mtime(&self) -> i64 {
        self.0.modified.seconds
    }

    /// Returns the nanoseconds on top of [`mtime`](Self::mtime).
    #[must_use]
    pub fn mtime_nsec(&self) -> i64 {
        self.0.modified.nanoseconds.into()
    }

    /// Returns the time of the last change of the content or of the metadata, in seconds since
    /// 1970.
    #[must_use]
    pub fn ctime(&self) -> i64 {
        self.0.changed.seconds
    }

    /// Returns the nanoseconds on top of [`ctime`](Self::ctime).
    #[must_use]
    pub fn ctime_nsec(&self) -> i64 {
        self.0.changed.nanoseconds.into()
    }

    /// Returns the size of a read or write that suits the file system.
    #[must_use]
    pub fn blksize(&self) -> u64 {
        self.0.block_bytes
    }

    /// Returns the room that the file takes on its device, in units of 512 bytes.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.0.blocks
    }
}

/// The time as std has it; those before 1970 have negative seconds and a positive rest.
fn system_time(time: FileTime) -> io::Result<SystemTime> {
    let seconds = Duration::from_secs(time.seconds.unsigned_abs());
    let whole = if time.seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(seconds)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(seconds)
    };
    let time = whole.and_then(|whole| whole.checked_add(time.subsecond()));
    time.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("file_type", &self.file_type())
            .field("mode", &format_args!("{:o}", self.mode()))
            .field("len", &self.len())
            .field("modified", &self.modified().ok())
            .field("ino", &self.ino())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_have_a_positive_rest() {
        let time = FileTime {
            seconds: -2,
            nanoseconds: 500_000_000,
        };
        let expected = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(system_time(time).unwrap(), expected);
        let far = FileTime {
            seconds: i64::MIN,
            nanoseconds: 0,
        };
        // Whether it fits or not, there is no panic.
        let _ = system_time(far);
    }
}
