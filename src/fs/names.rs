//! Functions on the names of files, as std has them.

use std::{
    fs::{self, Permissions},
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use super::{
    Metadata,
    call::call,
    opening::{self, c_path},
};
use crate::{
    driver,
    op::Open,
    sys::{self, OpenFlags},
};

/// Returns the metadata of a path, of the file that a symbolic link leads to.
///
/// # Errors
///
/// Those of stat(2), such as `NotFound`; `InvalidInput` for a path with a zero byte.
///
/// # Cancel safety
///
/// Nothing is changed.
///
/// # Kernel
///
/// The path is opened by `O_PATH` and the open file asked by statx(2). The ring looks up cached
/// paths at once then, while it hands its own `STATX` to a worker thread always.
///
/// # Examples
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     assert!(fs::metadata("Cargo.toml").await?.is_file());
///     assert!(!fs::try_exists("Cargo.yaml").await?);
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub async fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    metadata_with(path.as_ref(), 0).await
}

/// Returns the metadata of a path, of a symbolic link itself.
///
/// # Errors
///
/// As [`metadata`].
///
/// # Cancel safety
///
/// Nothing is changed.
pub async fn symlink_metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    metadata_with(path.as_ref(), OpenFlags::NO_FOLLOW).await
}

async fn metadata_with(path: &Path, flags: i32) -> io::Result<Metadata> {
    let driver = driver::current()?;
    let path = c_path(path)?;
    let flags = OpenFlags::PATH | OpenFlags::CLOSE_ON_EXEC | flags;
    let fd = opening::open(&driver, || Open::new(path.clone(), flags, 0)).await?;
    sys::status(fd.as_raw_fd()).map(Metadata::new)
}

/// Whether a path leads to a file, folder or anything else.
///
/// # Errors
///
/// As [`metadata`], but for `NotFound`: without the permission to search a folder it is not known
/// whether there is something.
///
/// # Cancel safety
///
/// Nothing is changed.
pub async fn try_exists(path: impl AsRef<Path>) -> io::Result<bool> {
    exists(metadata(path).await)
}

/// Whether there is what has the metadata.
pub(super) fn exists(metadata: io::Result<Metadata>) -> io::Result<bool> {
    match metadata {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Renames a file or folder, in place of a file that has the new name.
///
/// It is one step for other programs: the new name always leads to the old file or to the new one.
/// After a crash of the machine either may be there, unless the file was synced before
/// ([`File::sync_all`](super::File::sync_all)) and its folder afterwards.
///
/// # Errors
///
/// Those of rename(2), such as `CrossesDevices` between two file systems.
///
/// # Cancel safety
///
/// Dropped after its first poll, the rename happens all the same, sooner or later.
///
/// # Examples
///
/// ```
/// use annulus::fs;
///
/// # let folder = std::env::temp_dir().join(format!("annulus-rename-{}", std::process::id()));
/// annulus::run(async {
///     fs::create_dir_all(folder.join("old")).await?;
///     fs::rename(folder.join("old"), folder.join("new")).await?;
///     fs::write(folder.join("new/file"), "content").await?;
///     assert_eq!(fs::read_to_string(folder.join("new/file")).await?, "content");
///     fs::remove_dir_all(&folder).await
/// })
/// # .unwrap();
/// ```
pub async fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<()> {
    let (from, to) = (owned(from), owned(to));
    call(move || fs::rename(from, to)).await
}

/// Removes a file, or another name that is no folder. A program that has it open keeps it.
///
/// # Errors
///
/// Those of unlink(2).
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn remove_file(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::remove_file(path)).await
}

/// Makes a folder.
///
/// # Errors
///
/// Those of mkdir(2), such as `AlreadyExists`.
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn create_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::create_dir(path)).await
}

/// Makes a folder, and those above it that are missing. A folder that is there is no error.
///
/// # Errors
///
/// Those of mkdir(2).
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn create_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::create_dir_all(path)).await
}

/// Removes an empty folder.
///
/// # Errors
///
/// Those of rmdir(2), such as `DirectoryNotEmpty`.
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn remove_dir(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::remove_dir(path)).await
}

/// Removes a folder and all in it. No symbolic link is followed: links are removed themselves.
///
/// It is one call, which holds a helper thread for as long as it takes.
///
/// # Errors
///
/// Those of unlink(2) and opendir(3). Part of the content is gone then.
///
/// # Cancel safety
///
/// As [`rename`]: once it has begun, it goes on to its end.
pub async fn remove_dir_all(path: impl AsRef<Path>) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::remove_dir_all(path)).await
}

/// Gives a file a second name on its file system.
///
/// # Errors
///
/// Those of link(2), such as `AlreadyExists`, and `CrossesDevices` between two file systems.
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    call(move || fs::hard_link(original, link)).await
}

/// Makes a symbolic link that leads to `original`, which need not exist.
///
/// # Errors
///
/// Those of symlink(2), such as `AlreadyExists`.
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> io::Result<()> {
    let (original, link) = (owned(original), owned(link));
    call(move || std::os::unix::fs::symlink(original, link)).await
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
pub async fn read_link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    call(move || fs::read_link(path)).await
}

/// Returns the absolute path without symbolic links, `.` and `..`.
///
/// # Errors
///
/// Those of realpath(3), such as `NotFound`.
///
/// # Cancel safety
///
/// Nothing is changed.
pub async fn canonicalize(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    let path = owned(path);
    call(move || fs::canonicalize(path)).await
}

/// Sets the permissions of a path, of the file that a symbolic link leads to.
///
/// # Errors
///
/// Those of chmod(2).
///
/// # Cancel safety
///
/// As [`rename`].
pub async fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> io::Result<()> {
    let path = owned(path);
    call(move || fs::set_permissions(path, permissions)).await
}

fn owned(path: impl AsRef<Path>) -> PathBuf {
    path.as_ref().to_owned()
}
