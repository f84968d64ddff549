//! Functions on the whole content of files, as std has them.

use std::{
    fs::File as StdFile,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    sync::Arc,
};

use super::{
    File, OpenOptions,
    call::call,
    opening::{self, c_path},
};
use crate::{buf::IoBuf, driver, op::Open, sys::OpenFlags};

/// The bytes that one call of a copy copies. Others who need a helper thread get it then.
const COPIED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Reads a whole file.
///
/// It takes as much memory as the file has bytes. To read a file of unknown size in pieces, open
/// it and take [`File::reader`].
///
/// # Errors
///
/// As [`OpenOptions::open`] and [`File::read_at`]: `IsADirectory` for a folder, `ESPIPE` for a
/// FIFO, which it never waits for. `OutOfMemory` for a file that is too large.
///
/// # Cancel safety
///
/// Nothing is changed.
///
/// # Examples
///
/// ```
/// use annulus::fs;
///
/// annulus::run(async {
///     let bytes = fs::read("Cargo.toml").await?;
///     assert!(bytes.starts_with(b"[package]"));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub async fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    File::open(path).await?.read_to_end().await
}

/// Reads a whole file that holds UTF-8. See [`read`].
///
/// # Errors
///
/// As [`read`], and `InvalidData` for bytes that are not UTF-8.
///
/// # Cancel safety
///
/// Nothing is changed.
pub async fn read_to_string(path: impl AsRef<Path>) -> io::Result<String> {
    text(read(path).await?)
}

pub(super) fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Writes a file that holds `contents` and nothing else. It is made if it does not exist, and
/// emptied if it does.
///
/// A reader may see it half written. [`TempFile`](super::TempFile) makes a file that is there whole
/// or not at all.
///
/// # Errors
///
/// As [`File::create`], [`File::write_all_at`] and [`File::close`].
///
/// # Cancel safety
///
/// The file may have been made or emptied, and have a beginning of `contents`.
pub async fn write(path: impl AsRef<Path>, contents: impl IoBuf) -> io::Result<()> {
    File::create(path).await?.write_whole(contents).await
}

/// Copies the content and the permissions of a file to another one, which is made or replaced, and
/// returns the number of bytes.
///
/// The kernel copies where it can, and shares the blocks on file systems that do so.
///
/// # Errors
///
/// As [`OpenOptions::open`]; those of copy_file_range(2). `InvalidInput` when one of the two is no
/// regular file, or both are the same one, which stays as it is.
///
/// # Cancel safety
///
/// The target may have been made or emptied, and have a beginning of the content.
///
/// # Kernel
///
/// copy_file_range(2) or sendfile(2), on a helper thread: the ring has no such operation.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let source = open(from, &OpenOptions::new().read(true)).await?;
    let mode = regular(&source)?.mode();
    let options = OpenOptions::new().write(true).create(true);
    let target = open(to, &options.mode(mode & 0o7777)).await?;
    let pair = Arc::new((source, target));
    let begun = Arc::clone(&pair);
    call(move || begin_copy(&begun)).await?;
    let mut copied = 0;
    loop {
        let pair = Arc::clone(&pair);
        let count = call(move || {
            let (source, mut target) = (&pair.0, &pair.1);
            io::copy(&mut source.take(COPIED_BYTES_MAX), &mut target)
        });
        match count.await? {
            0 => return Ok(copied),
            count => copied += count,
        }
    }
}

async fn open(path: &Path, options: &OpenOptions) -> io::Result<StdFile> {
    let driver = driver::current()?;
    let (path, flags) = (c_path(path)?, options.flags()? | OpenFlags::CLOSE_ON_EXEC);
    let op = || Open::new(path.clone(), flags, options.mode);
    opening::open(&driver, op).await.map(StdFile::from)
}

/// The metadata of a regular file.
fn regular(file: &StdFile) -> io::Result<std::fs::Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "expected a regular file, found something else",
    ))
}

/// Empties the target, unless it is the source, and gives it the source's permissions.
fn begin_copy((source, target): &(StdFile, StdFile)) -> io::Result<()> {
    let (from, to) = (regular(source)?, regular(target)?);
    if (from.dev(), from.ino()) == (to.dev(), to.ino()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "expected two files, found the same one twice",
        ));
    }
    target.set_len(0)?;
    target.set_permissions(from.permissions())?;
    Ok(())
}
