//! A file that gets its name when it is whole.

use std::{fmt, io, ops::Deref, path::Path, rc::Rc, sync::Arc};

use super::{Dir, File, opening::c_path};
use crate::{
    blocking::{self, Work},
    budget, driver,
    op::{AnyFd, Call, InFlight},
    primitives::{Mutex, lock},
    sys::{self, Root, TemporaryName},
};

/// A file on its way, which is gone when it is dropped, and is there whole once it is
/// [persisted](Self::persist).
///
/// So a reader of the path never sees half of it, and an upload that breaks off, an error and a
/// panic leave nothing. It is a [`File`] otherwise, which is open to read and write.
///
/// Where the file system allows it the file has no name before (`O_TMPFILE`): then it also vanishes
/// when the process is killed. Network file systems and older overlays have no such files. There it
/// has a name of its own, `.annulus-` and 16 random digits, which a helper thread removes when the
/// value is dropped. A process that is killed, or ends right after the drop, leaves it there.
///
/// # Examples
///
/// ```
/// use annulus::fs::{self, TempFile};
///
/// # let folder = std::env::temp_dir().join(format!("annulus-temp-{}", std::process::id()));
/// annulus::run(async {
///     # fs::create_dir_all(&folder).await?;
///     let path = folder.join("report.txt");
///     let file = TempFile::new_in(&folder).await?;
///     file.write_all_at("all of it", 0).await?;
///     assert!(!fs::try_exists(&path).await?);
///     // Survives a crash of the machine, too.
///     file.sync_all().await?;
///     file.persist(&path).await?;
///     assert_eq!(fs::read_to_string(&path).await?, "all of it");
///     fs::remove_dir_all(&folder).await
/// })
/// # .unwrap();
/// ```
pub struct TempFile {
    file: File,
    /// The folder that its paths are beneath.
    root: Option<AnyFd>,
    /// The name that is removed at the end, while it has one. Held by the thread that persists it.
    name: Arc<Mutex<Option<TemporaryName>>>,
}

impl TempFile {
    /// Makes a file in a folder, that of the path which it will get or another one on the same file
    /// system. Its permissions are those of a new file: `0o666` less the process's umask.
    ///
    /// # Errors
    ///
    /// Those of open(2).
    ///
    /// # Cancel safety
    ///
    /// A file that is made after the future is dropped is removed.
    pub async fn new_in(folder: impl AsRef<Path>) -> io::Result<Self> {
        Self::with_mode_in(folder, 0o666).await
    }

    /// As [`new_in`](Self::new_in), with other permissions, less the process's umask. `0o600` keeps
    /// other users out.
    ///
    /// # Errors
    ///
    /// As [`new_in`](Self::new_in).
    ///
    /// # Cancel safety
    ///
    /// As [`new_in`](Self::new_in).
    pub async fn with_mode_in(folder: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
        Self::make(None, folder.as_ref(), mode).await
    }

    pub(super) async fn make(root: Option<AnyFd>, folder: &Path, mode: u32) -> io::Result<Self> {
        let driver = driver::current()?;
        let folder = c_path(folder)?;
        let place = place_of(root.as_ref());
        let work = move || sys::open_temporary(place, &folder, mode);
        budget::turn().await;
        let kept = root.clone().into_iter().collect();
        let (fd, name) = InFlight::new(Rc::clone(&driver), Call::new(kept, work)).await?;
        driver.check_current()?;
        Ok(Self {
            file: File::from_fd(fd, driver),
            root,
            name: Arc::new(Mutex::new(name)),
        })
    }

    /// Gives the file its path, in place of a file that has it: in one step, so that the path
    /// always leads to the old file or to this one, whole. A symbolic link is replaced itself.
    ///
    /// The file stays open, and the value is a [`File`] from now on. Called again, it gives the
    /// file another path. The data may still be in memory: call [`File::sync_all`] before for a
    /// file that has to survive a crash of the machine.
    ///
    /// # Errors
    ///
    /// Those of linkat(2) and rename(2): `CrossesDevices` on another file system, `IsADirectory`.
    /// The file stays temporary, and may be persisted elsewhere on its file system. Beside a path
    /// that it could not replace, it has a temporary name until then.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first poll, the file gets its path all the same, sooner or later. When the
    /// value is dropped at once, too, it gets its path or is removed.
    pub async fn persist(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.persist_with(path.as_ref(), true).await
    }

    /// As [`persist`](Self::persist), and fails when the path is taken.
    ///
    /// # Errors
    ///
    /// As [`persist`](Self::persist), and `AlreadyExists`.
    ///
    /// # Cancel safety
    ///
    /// As [`persist`](Self::persist).
    pub async fn persist_new(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.persist_with(path.as_ref(), false).await
    }

    async fn persist_with(&self, path: &Path, replaces: bool) -> io::Result<()> {
        let path = c_path(path)?;
        let file = self.file.any_fd();
        let (fd, driver) = (file.raw(), Rc::clone(file.driver()));
        let root = place_of(self.root.as_ref());
        let name = Arc::clone(&self.name);
        let work = move || sys::persist(fd, &mut lock(&name), (root, &path), replaces);
        budget::turn().await;
        let kept = self.root.iter().cloned().chain([file]).collect();
        InFlight::new(driver, Call::new(kept, work)).await
    }
}

fn place_of(root: Option<&AnyFd>) -> Root {
    root.map_or(Root::Anywhere, |root| Root::Folder(root.raw()))
}

impl Dir {
    /// Makes a temporary file in a folder beneath this one. [`TempFile::persist`] takes paths
    /// beneath this folder then.
    ///
    /// # Errors
    ///
    /// As [`open_file_with`](Self::open_file_with).
    ///
    /// # Cancel safety
    ///
    /// As [`TempFile::new_in`].
    pub async fn temp_file(&self, folder: impl AsRef<Path>) -> io::Result<TempFile> {
        TempFile::make(Some(self.any_fd()), folder.as_ref(), 0o666).await
    }
}

impl Deref for TempFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Without a name to remove, and no thread that may give it one, no thread is needed.
        let is_done = self.name.try_lock().is_ok_and(|name| name.is_none());
        if !(is_done && Arc::strong_count(&self.name) == 1) {
            let name = Arc::clone(&self.name);
            blocking::submit(Work::Files, Box::new(move || drop(lock(&name).take())));
        }
    }
}

impl fmt::Debug for TempFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TempFile")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
