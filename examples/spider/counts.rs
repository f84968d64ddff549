//! The counts of a crawl.

use std::{cell::Cell, fmt};

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) pages: Cell<usize>,
    pub(crate) failed: Cell<usize>,
    pub(crate) left_out: Cell<usize>,
}

/// Adds one to a count.
pub(crate) fn count(number: &Cell<usize>) {
    number.set(number.get() + 1);
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [&self.pages, &self.failed, &self.left_out];
        let [pages, failed, left_out] = counts.map(Cell::get);
        write!(f, "{pages} pages, {failed} failed, {left_out} left out")
    }
}
