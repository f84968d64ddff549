//! The handler that answers below a prefix when no route matches.

use super::{
    boxed_handler::BoxedHandler,
    routes::{Route, Routes},
};
use crate::http::server::message::params::Params;

/// The fallback of a nested router.
pub(super) struct NestedFallback {
    prefix: String,
    /// One route. Each fallback has a table of its own, since `/a/{*below}` and `/a/{b}/{*below}`
    /// contradict each other in one.
    routes: Routes,
}

impl NestedFallback {
    /// # Panics
    ///
    /// When the prefix is wrong.
    #[track_caller]
    pub(super) fn new(prefix: String, handler: BoxedHandler) -> Self {
        Self {
            routes: Routes::below(&prefix, handler),
            prefix,
        }
    }

    /// The same behind another prefix.
    #[track_caller]
    pub(super) fn nest(self, prefix: &str) -> Option<Self> {
        let handler = self.routes.into_any()?;
        Some(Self::new(format!("{prefix}{}", self.prefix), handler))
    }

    /// Adds it to `all`, where deeper ones stand first.
    ///
    /// # Panics
    ///
    /// When one with the same prefix is there.
    #[track_caller]
    pub(super) fn add_to(self, all: &mut Vec<Self>) {
        assert!(
            all.iter().all(|other| other.prefix != self.prefix),
            "the fallback below `{}` is there already",
            self.prefix
        );
        let index = all.partition_point(|other| other.depth() >= self.depth());
        all.insert(index, self);
    }

    fn depth(&self) -> usize {
        self.prefix.matches('/').count()
    }

    /// Its route, when `path` is below its prefix.
    pub(super) fn at(&self, path: &str) -> Option<(&Route, Params)> {
        self.routes.at(path)
    }
}
