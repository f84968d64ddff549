//! The entries of a folder.

use std::{
    ffi::OsStr,
    fmt,
    future::{Future as _, poll_fn},
    io,
    os::unix::ffi::OsStrExt as _,
    path::Path,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    DirEntry,
    opening::{self, c_path},
};
use crate::{
    budget::{self, PutOff},
    driver,
    op::{AnyFd, Call, Descriptor, InFlight, Open},
    sys::{Listing, OpenFlags},
};

/// Opens a folder to list what is in it, in no order.
///
/// # Errors
///
/// Those of open(2), such as `NotADirectory`.
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
///     let mut names = Vec::new();
///     let mut entries = fs::read_dir("src/fs").await?;
///     while let Some(entry) = entries.next().await {
///         let entry = entry?;
///         if entry.file_type()?.is_file() {
///             names.push(entry.file_name().to_owned());
///         }
///     }
///     assert!(names.iter().any(|name| name == "read_dir.rs"));
///     std::io::Result::Ok(())
/// })
/// # .unwrap();
/// ```
pub async fn read_dir(path: impl AsRef<Path>) -> io::Result<ReadDir> {
    let path = path.as_ref();
    let driver = driver::current()?;
    let name = c_path(path)?;
    let fd = opening::open(&driver, || Open::new(name.clone(), FLAGS, 0)).await?;
    Ok(ReadDir::new(Descriptor::new(fd, driver, ()), path))
}

/// The flags of opening a folder to list it.
pub(super) const FLAGS: i32 = OpenFlags::READ | OpenFlags::FOLDER | OpenFlags::CLOSE_ON_EXEC;

/// The entries of a folder, without `.` and `..`. Made by [`read_dir`] and
/// [`Dir::read_dir`](super::Dir::read_dir).
///
/// It reads a piece of 32 KiB at a time, so a folder of any size takes no more memory. Entries that
/// are made or removed meanwhile may be listed or not. It is a `Stream`, too.
///
/// # Kernel
///
/// getdents64(2) on a helper thread: the ring has no such operation.
pub struct ReadDir {
    folder: Rc<Descriptor<()>>,
    path: Rc<Path>,
    listing: Listing,
    /// The read of the next piece, which gives the listing back.
    read: Option<InFlight<Call<(Listing, bool)>>>,
    has_ended: bool,
    put_off: PutOff,
}

impl ReadDir {
    pub(super) fn new(folder: Rc<Descriptor<()>>, path: &Path) -> Self {
        Self {
            folder,
            path: path.into(),
            listing: Listing::default(),
            read: None,
            has_ended: false,
            put_off: PutOff::new(),
        }
    }

    /// Waits for the next entry. `None` comes after the last one, and after an error.
    ///
    /// # Errors
    ///
    /// Those of getdents(2).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: call it again.
    pub async fn next(&mut self) -> Option<io::Result<DirEntry>> {
        poll_fn(|context| self.poll_entry(context)).await
    }

    fn poll_entry(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<DirEntry>>> {
        if self.put_off.waits(context) {
            return Poll::Pending;
        }
        while !self.has_ended {
            if let Some(listed) = self.listing.next() {
                budget::spend();
                let name = OsStr::from_bytes(listed.name);
                let entry = DirEntry::new(&self.folder, &self.path, name, &listed);
                return Poll::Ready(Some(Ok(entry)));
            }
            let read = self.read.get_or_insert_with(|| {
                let mut listing = std::mem::take(&mut self.listing);
                let fd = self.folder.raw();
                let work = move || listing.read(fd).map(|has_more| (listing, has_more));
                let kept = vec![Rc::clone(&self.folder) as AnyFd];
                InFlight::new(Rc::clone(self.folder.driver()), Call::new(kept, work))
            });
            let result = ready!(Pin::new(read).poll(context));
            self.read = None;
            match result {
                Ok((listing, true)) => self.listing = listing,
                Ok((_, false)) => self.has_ended = true,
                Err(error) => {
                    self.has_ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_entry(context)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
