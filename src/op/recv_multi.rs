//! `IORING_OP_RECV` into buffers that the kernel picks, repeated for as long as there are some.

use std::{io, rc::Rc, task::Waker};

use super::AnyFd;
use crate::{
    driver::{Abandoned, Driver, Key},
    pool::{GROUP, Pool},
    sys::{Completion, Entry},
};

/// A socket that holds this many buffers which no task has taken stops receiving, so that TCP holds
/// the peer back. The kernel may add what it had under way.
const PARKED_MAX: u8 = 4;

/// Receives until told otherwise (6.0). The caller keeps the descriptor open until the key's last
/// completion.
pub(crate) fn recv_multi(driver: &Driver, fd: i32, waker: Option<Waker>) -> io::Result<Key> {
    let entry = Entry::recv_multishot(fd, GROUP);
    // SAFETY: the entry points to nothing; the buffers are the pool's, which outlives the ring.
    unsafe { driver.submit_multi(entry, PARKED_MAX, waker, Some(fd)) }
}

/// Receives once (5.19); the key behaves as one whose first completion is its last.
pub(crate) fn recv_one(
    driver: &Driver,
    fd: i32,
    pool: &Pool,
    waker: Option<Waker>,
) -> io::Result<Key> {
    let entry = Entry::recv_select(fd, GROUP, pool.buffer_bytes() as u32);
    // SAFETY: as above.
    unsafe { driver.submit_multi(entry, PARKED_MAX, waker, None) }
}

/// A receive whose socket is gone: its buffers go back, and the descriptor is held to the end.
pub(crate) struct AbandonedRecv {
    pub(crate) fd: AnyFd,
    pub(crate) pool: Rc<Pool>,
}

impl Abandoned for AbandonedRecv {
    fn part(&mut self, completion: Completion) {
        self.pool.discard(completion);
    }

    fn finish(self: Box<Self>, completion: Completion) {
        self.pool.discard(completion);
        drop(self.fd);
    }
}
