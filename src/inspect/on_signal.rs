//! The dump of a process that gets a signal.

use std::{io, sync::mpsc, thread, time::Duration};

use super::dumps;
use crate::{
    runtime::Runtime,
    signal::{self, SignalKind},
};

/// How long the threads may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes the dumps of all runtimes of the process to standard error at each signal of this kind,
/// from now on until the process ends.
///
/// A thread of its own waits for the signal, `annulus-dump`. So the dump also comes when each of
/// the program's own threads is stuck; those are named with the system call that they are in. As
/// with any listener, the signal's default action is gone.
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
    let (tell, told) = mpsc::channel();
    let run = move || {
        let runtime = match small_runtime() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            let mut signals = match signal::stream(kind) {
                Ok(signals) => signals,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(()));
            while signals.recv().await.is_ok() {
                for dump in dumps(PATIENCE).await {
                    eprintln!("annulus: {dump}");
                }
            }
        });
    };
    thread::Builder::new()
        .name("annulus-dump".to_owned())
        .spawn(run)?;
    told.recv()
        .unwrap_or_else(|_| Err(io::Error::other("the thread for dumps has panicked")))
}

/// A runtime for this thread that inspects the others and is not inspected.
pub(super) fn small_runtime() -> io::Result<Runtime> {
    Runtime::builder()
        .ring_entries(8)
        .receive_buffers(1)
        .unlisted()
        .build()
}
