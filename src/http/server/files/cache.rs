//! The files that were asked for lately, open or in memory.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::{Rc, Weak},
    time::{Duration, Instant},
};

use super::found::Found;
use crate::{http::representation::Coding, task, time};

/// Files that are kept, of one `Files` on one worker.
const FILES_MAX: usize = 256;
/// The bytes of small files that are kept together.
const FILES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A file with its siblings in other codings.
#[derive(Debug)]
pub(super) struct Variants {
    pub(super) plain: Rc<Found>,
    /// In the order in which they are offered.
    pub(super) coded: Vec<(Coding, Rc<Found>)>,
}

impl Variants {
    fn held_bytes(&self) -> usize {
        let coded = self.coded.iter().map(|(_, found)| found.held_bytes());
        self.plain.held_bytes() + coded.sum::<usize>()
    }

    fn is_unchanged(&self) -> bool {
        let mut coded = self.coded.iter();
        self.plain.is_unchanged() && coded.all(|(_, found)| found.is_unchanged())
    }
}

struct Kept {
    variants: Rc<Variants>,
    until: Instant,
}

/// Files by the paths of requests.
#[derive(Default)]
pub(super) struct Cache {
    kept: RefCell<HashMap<Box<str>, Kept>>,
    held_bytes: Cell<usize>,
    /// A task forgets what is out of date.
    is_swept: Cell<bool>,
}

impl Cache {
    /// The file that was kept for `path`, unless its time is over or it was written to.
    pub(super) fn find(&self, path: &str) -> Option<Rc<Variants>> {
        let variants = {
            let kept = self.kept.borrow();
            let kept = kept.get(path)?;
            (kept.until > time::now()).then(|| Rc::clone(&kept.variants))
        };
        let variants = variants.filter(|variants| variants.is_unchanged());
        if variants.is_none() {
            self.forget(path);
        }
        variants
    }

    /// Keeps a file for `validity`, unless there is no room.
    pub(super) fn keep(self: &Rc<Self>, path: &str, variants: &Rc<Variants>, validity: Duration) {
        let Some(until) = time::now().checked_add(validity) else {
            return;
        };
        self.forget(path);
        let held_bytes = self.held_bytes.get() + variants.held_bytes();
        if self.kept.borrow().len() >= FILES_MAX || held_bytes > FILES_BYTES_MAX {
            // Room comes with the next sweep.
            return;
        }
        self.held_bytes.set(held_bytes);
        let variants = Rc::clone(variants);
        let kept = Kept { variants, until };
        self.kept.borrow_mut().insert(path.into(), kept);
        if !self.is_swept.replace(true) {
            drop(task::spawn(sweep(Rc::downgrade(self), validity)));
        }
    }

    fn forget(&self, path: &str) {
        let kept = self.kept.borrow_mut().remove(path);
        self.uncount(kept);
    }

    fn uncount(&self, kept: Option<Kept>) {
        if let Some(kept) = kept {
            let held_bytes = self.held_bytes.get() - kept.variants.held_bytes();
            self.held_bytes.set(held_bytes);
        }
    }

    /// Forgets what is out of date; false when nothing is left.
    fn forget_old(&self) -> bool {
        let now = time::now();
        let old = |kept: &Kept| kept.until <= now;
        let mut all = self.kept.borrow_mut();
        let paths: Vec<_> = all
            .iter()
            .filter(|(_, kept)| old(kept))
            .map(|(path, _)| path.clone())
            .collect();
        for path in paths {
            let kept = all.remove(&path);
            self.uncount(kept);
        }
        !all.is_empty()
    }
}

/// Forgets files when their time is over, so that an idle server holds none open.
async fn sweep(cache: Weak<Cache>, validity: Duration) {
    loop {
        time::sleep(validity).await;
        let Some(cache) = cache.upgrade() else {
            return;
        };
        if !cache.forget_old() {
            cache.is_swept.set(false);
            return;
        }
    }
}
