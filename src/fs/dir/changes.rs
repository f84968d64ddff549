//! Reads, changes and lists of a folder, beneath it.

use std::{
    ffi::{CString, OsString},
    io,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{Dir, c_path};
use crate::{
    buf::IoBuf,
    fs::{OpenOptions, ReadDir, call::call_on, contents::text, names::exists, read_dir},
    op::Descriptor,
    sys::{self, OpenHow, Root},
};

/// # Files and names beneath the folder
///
/// The functions of [`fs`](crate::fs), for paths that never leave the folder: those of both names,
/// where there are two. They follow no symbolic link at the end of a path, and those on the way to
/// it as [`open_file`](Self::open_file) does.
///
/// Each that changes a name is a call on a helper thread, which opens the parent beneath the folder
/// and changes the name in it. Dropped after its first poll, it happens all the same.
///
/// All have the errors of [`open_file_with`](Self::open_file_with) for a path that leaves the
/// folder.
impl Dir {
    /// Reads a whole file, as [`fs::read`](crate::fs::read). A symbolic link is followed.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file) and [`fs::read`](crate::fs::read).
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::fs::{self, Dir};
    ///
    /// # let path = std::env::temp_dir().join(format!("annulus-dir-{}", std::process::id()));
    /// annulus::run(async {
    ///     fs::create_dir_all(&path).await?;
    ///     let folder = Dir::open(&path).await?;
    ///     folder.create_dir_all("2024/05").await?;
    ///     folder.write("2024/05/new", "content").await?;
    ///     folder.rename("2024/05/new", "2024/report").await?;
    ///     assert_eq!(folder.read("2024/report").await?, b"content");
    ///     assert!(folder.rename("2024/report", "../report").await.is_err());
    ///     folder.remove_dir_all("2024").await?;
    ///     fs::remove_dir(&path).await
    /// })
    /// # .unwrap();
    /// ```
    pub async fn read(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        self.open_file(path).await?.read_to_end().await
    }

    /// Reads a whole file that holds UTF-8, as [`fs::read_to_string`](crate::fs::read_to_string).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and `InvalidData` for bytes that are not UTF-8.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn read_to_string(&self, path: impl AsRef<Path>) -> io::Result<String> {
        text(self.read(path).await?)
    }

    /// Writes a file that holds `contents` and nothing else, as [`fs::write`](crate::fs::write). A
    /// symbolic link is followed.
    ///
    /// # Errors
    ///
    /// As [`open_file_with`](Self::open_file_with) and [`fs::write`](crate::fs::write).
    ///
    /// # Cancel safety
    ///
    /// As [`fs::write`](crate::fs::write).
    pub async fn write(&self, path: impl AsRef<Path>, contents: impl IoBuf) -> io::Result<()> {
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        let file = self.open_file_with(path, &options).await?;
        file.write_whole(contents).await
    }

    /// Whether a path leads to anything beneath the folder.
    ///
    /// # Errors
    ///
    /// As [`metadata`](Self::metadata), but for `NotFound`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn try_exists(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        exists(self.metadata(path).await)
    }

    /// Opens a folder beneath this one to list what is in it; `.` is this one.
    ///
    /// The paths of the entries are relative to this folder.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file), and `NotADirectory`.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn read_dir(&self, path: impl AsRef<Path>) -> io::Result<ReadDir> {
        let path = path.as_ref();
        let how = OpenHow::beneath(read_dir::FLAGS, 0, true);
        let fd = self.open_beneath(path, how).await?;
        Ok(ReadDir::new(Descriptor::new(fd, self.driver(), ()), path))
    }

    /// Renames a file or folder, in place of a file that has the new name. See
    /// [`fs::rename`](crate::fs::rename).
    ///
    /// # Errors
    ///
    /// Those of rename(2).
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the rename happens all the same, sooner or later.
    pub async fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
        let (from, to) = (c_path(from.as_ref())?, c_path(to.as_ref())?);
        self.call(move |root| sys::rename(root, &from, &to)).await
    }

    /// Removes a file, or another name that is no folder.
    ///
    /// # Errors
    ///
    /// Those of unlink(2).
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn remove_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.call_with(path, sys::remove_file).await
    }

    /// Makes a folder.
    ///
    /// # Errors
    ///
    /// Those of mkdir(2), such as `AlreadyExists`.
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn create_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.call_with(path, sys::create_dir).await
    }

    /// Makes a folder, and those above it that are missing. A folder that is there is no error.
    ///
    /// # Errors
    ///
    /// Those of mkdir(2).
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn create_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.call_with(path, sys::create_dir_all).await
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    ///
    /// Those of rmdir(2), such as `DirectoryNotEmpty`.
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn remove_dir(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.call_with(path, sys::remove_dir).await
    }

    /// Removes a folder and all in it, up to 128 folders inside of each other. Symbolic links are
    /// removed themselves.
    ///
    /// # Errors
    ///
    /// Those of unlink(2) and openat(2), `NotADirectory` for a file, and an error of kind `Other`
    /// for more folders inside of each other. Part of the content is gone then.
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename): once it has begun, it goes on to its end.
    pub async fn remove_dir_all(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.call_with(path, sys::remove_dir_all).await
    }

    /// Gives a file a second name. A symbolic link gets one itself.
    ///
    /// # Errors
    ///
    /// Those of link(2), such as `AlreadyExists`.
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn hard_link(
        &self,
        original: impl AsRef<Path>,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (original, link) = (c_path(original.as_ref())?, c_path(link.as_ref())?);
        self.call(move |root| sys::hard_link(root, &original, &link))
            .await
    }

    /// Makes a symbolic link with the text `original`. The link is beneath the folder, while its
    /// text may be any: one that leads out of the folder is not followed by this type's methods.
    ///
    /// # Errors
    ///
    /// Those of symlink(2), such as `AlreadyExists`.
    ///
    /// # Cancel safety
    ///
    /// As [`rename`](Self::rename).
    pub async fn symlink(
        &self,
        original: impl AsRef<Path>,
        link: impl AsRef<Path>,
    ) -> io::Result<()> {
        let (original, link) = (c_path(original.as_ref())?, c_path(link.as_ref())?);
        self.call(move |root| sys::symlink(root, &original, &link))
            .await
    }

    /// Returns where a symbolic link leads, as it was written.
    ///
    /// # Errors
    ///
    /// Those of readlink(2), such as `InvalidInput` for what is no link.
    ///
    /// # Cancel safety
    ///
    /// Nothing is changed.
    pub async fn read_link(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let path = c_path(path.as_ref())?;
        let text = self.call(move |root| sys::read_link(root, &path)).await?;
        Ok(OsString::from_vec(text).into())
    }

    async fn call_with(
        &self,
        path: impl AsRef<Path>,
        work: fn(Root, &std::ffi::CStr) -> io::Result<()>,
    ) -> io::Result<()> {
        let path: CString = c_path(path.as_ref())?;
        self.call(move |root| work(root, &path)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(Root) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let root = Root::Folder(self.fd.raw());
        call_on(self.any_fd(), move || work(root)).await
    }

    pub(in crate::fs) fn from_descriptor(fd: Rc<Descriptor<()>>) -> Self {
        Self { fd }
    }
}
