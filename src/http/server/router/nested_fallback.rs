//! The answer below a prefix when no route matches.

use super::{boxed_handler::BoxedHandler, layer::Entry, routes::Routes};
use crate::http::server::message::params::Params;

/// The fallback of a nested router, or the layers of one that has none: they are around the answer
/// all the same.
pub(super) struct NestedFallback {
    prefix: String,
    /// One route. Each fallback has a table of its own, since `/a/{*below}` and `/a/{b}/{*below}`
    /// contradict each other in one.
    routes: Routes,
    pub(super) handler: Option<BoxedHandler>,
    /// The outermost stands first.
    pub(super) layers: Vec<Entry>,
}

impl NestedFallback {
    /// # Panics
    ///
    /// When the prefix is wrong.
    #[track_caller]
    pub(super) fn new(prefix: String, handler: Option<BoxedHandler>, layers: Vec<Entry>) -> Self {
        Self {
            routes: Routes::below(&prefix),
            prefix,
            handler,
            layers,
        }
    }

    /// The same behind another prefix, inside of `outer`.
    #[track_caller]
    pub(super) fn nest(self, prefix: &str, outer: &[Entry]) -> Self {
        let layers = [outer, &self.layers].concat();
        Self::new(format!("{prefix}{}", self.prefix), self.handler, layers)
    }

    /// Adds it to `all`, where deeper ones stand first.
    ///
    /// # Panics
    ///
    /// When one with the same prefix is there. Those without a handler are no obstacle.
    #[track_caller]
    pub(super) fn add_to(self, all: &mut Vec<Self>) {
        if let Some(known) = all.iter_mut().find(|known| known.prefix == self.prefix) {
            assert!(
                known.handler.is_none() || self.handler.is_none(),
                "the fallback below `{}` is there already",
                self.prefix
            );
            if self.handler.is_some() {
                *known = self;
            }
            return;
        }
        let index = all.partition_point(|other| other.depth() >= self.depth());
        all.insert(index, self);
    }

    fn depth(&self) -> usize {
        self.prefix.matches('/').count()
    }

    /// The parameters in `path`, when it is below its prefix.
    pub(super) fn at(&self, path: &str) -> Option<Params> {
        self.routes.at(path).map(|(_, params)| params)
    }
}
