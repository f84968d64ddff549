//! A file that is there whole or not at all.

use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use annulus::fs::{self, TempFile};

/// A file on its way. It gets its path when it is whole, and is gone when that does not come.
pub(crate) struct Partial {
    pub(crate) file: Rc<TempFile>,
    path: PathBuf,
}

impl Partial {
    pub(crate) async fn create(path: &Path) -> io::Result<Self> {
        // Of a link its target is written, and what is no file is not replaced by one.
        let path = fs::canonicalize(path).await.unwrap_or(path.to_owned());
        let is_free = match fs::metadata(&path).await {
            Ok(metadata) => metadata.is_file(),
            Err(_) => path.file_name().is_some(),
        };
        if !is_free {
            return Err(io::Error::other("expected the name of a file"));
        }
        // The same file system, so that it can get the path.
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = Rc::new(TempFile::new_in(folder).await?);
        Ok(Self { file, path })
    }

    /// Gives the file its path, once its content is on its device.
    pub(crate) async fn finish(self) -> io::Result<()> {
        self.file.sync_all().await?;
        self.file.persist(&self.path).await
    }
}
