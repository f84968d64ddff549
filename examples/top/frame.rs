//! A frame: a table of the threads, one of the servers, and the helper threads.

use std::fmt::{Display, Write as _};

/// Draws a frame.
pub(crate) fn frame(
    path: &str,
    before: &crate::metrics::Metrics,
    now: &crate::metrics::Metrics,
) -> String {
    let seconds = now.taken.duration_since(before.taken).as_secs_f64();
    let change = crate::change::Change {
        before,
        now,
        seconds: seconds.max(1e-6),
    };
    let mut out = String::new();
    let _ = writeln!(out, "{path}, the last {seconds:.1} s\n");
    crate::threads::write(&mut out, &change);
    crate::servers::write(&mut out, &change);
    crate::helpers::write(&mut out, &change);
    out
}

/// Writes a line of a table.
pub(crate) fn row(out: &mut String, first: &str, cells: &[String]) {
    let _ = write!(out, "{first:<30.30}");
    for cell in cells {
        let _ = write!(out, " {cell:>9}");
    }
    out.push('\n');
}

pub(crate) fn texts<const N: usize>(cells: [impl Display; N]) -> [String; N] {
    cells.map(|cell| cell.to_string())
}
