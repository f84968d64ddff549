//! The open folder of files, with the files that are kept: one for each runtime.

use std::rc::{Rc, Weak};

use super::cache::Cache;
use crate::{
    driver::{self, Driver},
    fs::Dir,
    sync::OnceCell,
};

/// The handles of one runtime. Another one cannot use them.
pub(super) struct Place {
    home: Weak<Driver>,
    pub(super) dir: OnceCell<Dir>,
    pub(super) cache: Rc<Cache>,
}

impl Place {
    /// An empty one of the runtime that runs now.
    pub(super) fn new() -> Self {
        let home = driver::current();
        Self {
            home: home.map_or_else(|_| Weak::new(), |driver| Rc::downgrade(&driver)),
            dir: OnceCell::new(),
            cache: Rc::default(),
        }
    }

    /// Whether it is of the runtime that runs now, and of this process.
    pub(super) fn is_here(&self) -> bool {
        let home = self.home.upgrade();
        home.is_some_and(|home| home.is_current())
    }
}
