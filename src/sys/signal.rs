//! Signals of the process.

use std::{io, sync::Arc};

use super::WakeFd;

pub(crate) use libc::{
    SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};

/// Writes to an eventfd at each signal of one kind, until it is dropped.
#[derive(Debug)]
pub(crate) struct SignalWatch(signal_hook_registry::SigId);

impl SignalWatch {
    /// # Errors
    ///
    /// `EINVAL` for a number that is no signal, or one that cannot be handled.
    pub(crate) fn new(signal: i32, wake: Arc<WakeFd>) -> io::Result<Self> {
        if signal_hook_registry::FORBIDDEN.contains(&signal) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let action = move || wake.wake();
        // SAFETY: the action does nothing but a write(2) of eight bytes, which may be done in a
        // handler, and not in a process that fork(2) made. The registry keeps errno, and keeps the
        // action while any handler runs it.
        let id = unsafe { signal_hook_registry::register(signal, action) }?;
        Ok(Self(id))
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        signal_hook_registry::unregister(self.0);
    }
}
