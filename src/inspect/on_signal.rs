//! The dump of a process that gets a signal.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use super::{dumps, own_thread};
use crate::signal::{self, SignalKind};

/// How long the threads may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes the dumps of all runtimes of the process to standard error at each signal of this kind,
/// from now on until the process ends.
///
/// A thread of its own waits for the signal, `annulus-dump`. So the dump also comes when each of
/// the program's own threads is stuck; those are named with the system call that they are in. As
/// with any listener, the signal's default action is gone. A dump that cannot be written is lost.
///
/// # Errors
///
/// When the thread or its runtime cannot be made, or the kind cannot be listened for.
///
/// # Examples
///
/// `kill -USR1` asks this program why it stands still:
///
/// ```no_run
/// use annulus::{inspect, signal::SignalKind};
///
/// # fn main() -> std::io::Result<()> {
/// inspect::dump_on(SignalKind::user1())?;
/// // The program.
/// # Ok(())
/// # }
/// ```
pub fn dump_on(kind: SignalKind) -> io::Result<()> {
    let thread = own_thread::start("annulus-dump", move || {
        let mut signals = signal::stream(kind)?;
        Ok(async move {
            while signals.recv().await.is_ok() {
                for dump in dumps(PATIENCE).await {
                    // It cannot be told that standard error is full or gone, and the next dump may
                    // find it well.
                    let _ = writeln!(io::stderr(), "annulus: {dump}");
                }
            }
        })
    });
    thread.map(drop)
}
