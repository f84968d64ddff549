//! An entry of a folder.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Dir, FileType, Metadata};
use crate::{op::Descriptor, sys::Listed};

/// A name in a folder. Made by [`ReadDir::next`](super::ReadDir::next).
///
/// It keeps the folder open: a program that collects entries holds one descriptor for each folder.
pub struct DirEntry {
    folder: Rc<Descriptor<()>>,
    path: Rc<Path>,
    name: OsString,
    mode: u32,
    inode: u64,
}

impl DirEntry {
    pub(super) fn new(
        folder: &Rc<Descriptor<()>>,
        path: &Rc<Path>,
        name: &OsStr,
        listed: &Listed<'_>,
    ) -> Self {
        Self {
            folder: Rc::clone(folder),
            path: Rc::clone(path),
            name: name.to_owned(),
            mode: listed.mode,
            inode: listed.inode,
        }
    }

    /// Returns the name in the folder.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        &self.name
    }

    /// Returns the path that the folder was opened by, with the name.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.join(&self.name)
    }

    /// Returns the kind of the file, of a symbolic link itself. It was read with the name.
    ///
    /// # Errors
    ///
    /// `NotFound` when the file system lists no kinds, and the file was gone before its own was
    /// asked for.
    pub fn file_type(&self) -> io::Result<FileType> {
        if self.mode == 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(FileType::of_mode(self.mode))
    }

    /// Returns the number of the file on its device.
    #[must_use]
    pub fn ino(&self) -> u64 {
        self.inode
    }

    /// Returns the metadata of what has this name in the folder now, of a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`Dir::symlink_metadata`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let folder = Dir::from_descriptor(Rc::clone(&self.folder));
        folder.symlink_metadata(&self.name).await
    }
}

impl fmt::Debug for DirEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DirEntry").field(&self.path()).finish()
    }
}
