//! A file that is there whole or not at all.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    rc::Rc,
    sync::atomic::{AtomicU64, Ordering},
};

use annulus::{
    blocking,
    fs::{File, OpenOptions},
};

/// A file on its way. It has a name of its own, beside the right one, until it is whole, and is
/// removed when that does not come.
pub(crate) struct Partial {
    pub(crate) file: Rc<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Partial {
    pub(crate) async fn create(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // Of a link its target is written, and what is no file is not replaced by one.
        let path = fs::canonicalize(path).unwrap_or(path.to_owned());
        let name = path
            .file_name()
            .filter(|_| !path.exists() || path.is_file());
        let name = name.ok_or_else(|| io::Error::other("expected the name of a file"))?;
        let (id, number) = (process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!(".{}.{id}-{number}.part", name.to_string_lossy());
        let temporary = path.with_file_name(name);
        let options = OpenOptions::new().write(true).create_new(true);
        let file = Rc::new(options.open(&temporary).await?);
        Ok(Self {
            file,
            temporary,
            path,
        })
    }

    /// Gives the file its name, once its content is on its device.
    pub(crate) async fn finish(self) -> io::Result<()> {
        self.file.sync_all().await?;
        let (from, to) = (self.temporary.clone(), self.path.clone());
        blocking::run(move || fs::rename(from, to)).await
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is gone from here when it got its name.
        let _ = fs::remove_file(&self.temporary);
    }
}
