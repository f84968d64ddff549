//! Binds an address that another process is just giving up.

use std::{io, time::Duration};

use crate::sys::errno;

/// How long a bind waits for an address that is in use.
///
/// The listener of a killed process that used a ring lives until the kernel has taken the ring
/// down, which it does after the process is gone.
const BIND_TIMEOUT: Duration = Duration::from_millis(250);

/// The first of the waits, each of which is twice as long as the one before.
const BIND_WAIT_MIN: Duration = Duration::from_millis(1);

/// The waits of one bind.
pub(super) struct Rebind {
    next: Duration,
    left: Duration,
}

impl Rebind {
    pub(super) fn new() -> Self {
        Self {
            next: BIND_WAIT_MIN,
            left: BIND_TIMEOUT,
        }
    }

    /// How long to wait before the bind that failed with `error` is tried again; `None` when it has
    /// failed for good.
    pub(super) fn wait_after(&mut self, error: &io::Error) -> Option<Duration> {
        if error.raw_os_error() != Some(errno::EADDRINUSE) || self.left.is_zero() {
            return None;
        }
        let wait = self.next.min(self.left);
        self.left -= wait;
        self.next *= 2;
        Some(wait)
    }
}

/// Calls `bind` until it succeeds, or has failed for good. This thread sleeps meanwhile.
pub(super) fn bind_again<T>(mut bind: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut rebind = Rebind::new();
    loop {
        let error = match bind() {
            Ok(bound) => return Ok(bound),
            Err(error) => error,
        };
        match rebind.wait_after(&error) {
            Some(wait) => std::thread::sleep(wait),
            None => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waits_add_up_to_the_timeout() {
        let error = io::Error::from_raw_os_error(errno::EADDRINUSE);
        let mut rebind = Rebind::new();
        let waits: Vec<Duration> = std::iter::from_fn(|| rebind.wait_after(&error)).collect();
        assert_eq!(waits.iter().sum::<Duration>(), BIND_TIMEOUT);
        assert!(waits.len() < 20, "{waits:?}");
    }

    #[test]
    fn other_errors_are_told_at_once() {
        let error = io::Error::from_raw_os_error(errno::EACCES);
        assert_eq!(Rebind::new().wait_after(&error), None);
    }
}
