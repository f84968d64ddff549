//! A thread of the inspection's own, which answers when all others are stuck.

use std::{
    future::Future,
    io,
    sync::mpsc,
    thread::{self, JoinHandle},
};

use crate::runtime::Runtime;

/// Starts a thread of this name with a runtime that is not inspected. `begin` is called in it, and
/// returns the future that it runs.
///
/// # Errors
///
/// That of `begin`, and when the thread or its runtime cannot be made.
pub(super) fn start<F: Future<Output = ()>>(
    name: &str,
    begin: impl FnOnce() -> io::Result<F> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let (tell, told) = mpsc::channel();
    let run = move || {
        let runtime = match small_runtime() {
            Ok(runtime) => runtime,
            Err(error) => return drop(tell.send(Err(error))),
        };
        runtime.block_on(async {
            let future = match begin() {
                Ok(future) => future,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let _ = tell.send(Ok(()));
            future.await;
        });
    };
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run)?;
    let panicked = || io::Error::other(format!("the thread {name} has panicked"));
    told.recv().unwrap_or_else(|_| Err(panicked()))?;
    Ok(thread)
}

fn small_runtime() -> io::Result<Runtime> {
    Runtime::builder()
        .ring_entries(8)
        .receive_buffers(1)
        .unlisted()
        .build()
}
