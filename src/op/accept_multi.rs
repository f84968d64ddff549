//! `IORING_OP_ACCEPT`: connections of a listener, one entry for many where the kernel can.

use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
    task::Waker,
};

use super::AnyFd;
use crate::{
    driver::{Abandoned, Driver, Key},
    sys::{Completion, Entry, option},
};

/// A listener that holds this many connections which no task has taken stops accepting; the others
/// wait in the kernel's backlog.
const PARKED_MAX: u8 = 16;

/// Accepts until told otherwise (5.19), or once. The caller keeps the descriptor open until the
/// key's last completion.
pub(crate) fn accept_multi(driver: &Driver, fd: i32, waker: Option<Waker>) -> io::Result<Key> {
    let entry = if driver.features().multishot_accept {
        Entry::accept_multishot(fd, option::SOCK_CLOEXEC)
    } else {
        Entry::accept(fd, option::SOCK_CLOEXEC)
    };
    // SAFETY: the entry points to nothing: the peer's address is not asked for.
    unsafe { driver.submit_multi(entry, PARKED_MAX, waker, None) }
}

/// The connection that a completion brings, or the errno. The caller passes each completion here
/// once: it hands the descriptor over.
pub(crate) fn accepted(completion: Completion) -> Result<OwnedFd, i32> {
    if completion.res < 0 {
        return Err(-completion.res);
    }
    // SAFETY: the kernel made this descriptor for us and told it in this completion only.
    Ok(unsafe { OwnedFd::from_raw_fd(completion.res) })
}

/// An accept whose listener is gone: what it still brings is closed.
pub(crate) struct AbandonedAccept(pub(crate) AnyFd);

impl Abandoned for AbandonedAccept {
    fn part(&mut self, completion: Completion) {
        drop(accepted(completion));
    }

    fn finish(self: Box<Self>, completion: Completion) {
        drop(accepted(completion));
        drop(self.0);
    }
}
