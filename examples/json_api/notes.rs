//! The notes and where they are kept.

use std::{collections::BTreeMap, sync::Mutex};

#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Note {
    pub(crate) text: String,
}

/// The notes by their numbers, for all workers.
static NOTES: Mutex<BTreeMap<u64, Note>> = Mutex::new(BTreeMap::new());

/// All of them, for as long as the guard lives.
pub(crate) fn all() -> std::sync::MutexGuard<'static, BTreeMap<u64, Note>> {
    NOTES.lock().expect("nothing panics while it holds them")
}
