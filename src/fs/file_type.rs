//! The kind of a file.

use std::fmt;

use crate::sys::FileKind;

/// The kind of a file, with std's names: regular file, folder, symbolic link and so on.
///
/// # Examples
///
/// ```
/// use annulus::fs::Dir;
///
/// annulus::run(async {
///     let here = Dir::open(".").await?;
///     let kind = here.metadata("src").await?.file_type();
///     assert!(kind.is_dir() && !kind.is_file());
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType(FileKind);

impl FileType {
    pub(super) fn of_mode(mode: u32) -> Self {
        Self(FileKind::of_mode(mode))
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.0 == FileKind::FILE
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.0 == FileKind::FOLDER
    }

    /// Whether it is a symbolic link itself, and not the file that it leads to.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.0 == FileKind::SYMLINK
    }

    /// Whether it is a FIFO, a named pipe.
    #[must_use]
    pub fn is_fifo(&self) -> bool {
        self.0 == FileKind::FIFO
    }

    /// Whether it is a Unix socket.
    #[must_use]
    pub fn is_socket(&self) -> bool {
        self.0 == FileKind::SOCKET
    }

    /// Whether it is a block device, such as a disk.
    #[must_use]
    pub fn is_block_device(&self) -> bool {
        self.0 == FileKind::BLOCK_DEVICE
    }

    /// Whether it is a character device, such as a terminal.
    #[must_use]
    pub fn is_char_device(&self) -> bool {
        self.0 == FileKind::CHARACTER_DEVICE
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            FileKind::FILE => "file",
            FileKind::FOLDER => "folder",
            FileKind::SYMLINK => "symbolic link",
            FileKind::FIFO => "FIFO",
            FileKind::SOCKET => "socket",
            FileKind::BLOCK_DEVICE => "block device",
            FileKind::CHARACTER_DEVICE => "character device",
            _ => "unknown",
        };
        write!(f, "FileType({name})")
    }
}
