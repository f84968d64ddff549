//! `IORING_OP_RECVMSG` into buffers that the kernel picks, repeated for as long as there are some,
//! and recvmmsg(2) for where there is no such entry.

use std::{io, task::Waker};

use crate::{
    buf::IoBufMut as _,
    driver::{Driver, Key},
    pool::{GROUP, ManagedBuf},
    sys::{self, BATCH_MAX, DatagramLayout, Entry, errno},
};

/// A socket that holds this many datagrams which no task has taken stops receiving: what follows
/// waits in the kernel's buffer, and when that is full, datagrams are thrown away. The kernel may
/// add what it had under way.
///
/// It is what a task can take in one of its polls, each with an answer.
const PARKED_MAX: u8 = 32;

/// Receives datagrams until told otherwise (6.0). The caller keeps the descriptor open until the
/// key's last completion.
pub(crate) fn recvmsg_multi(
    driver: &Driver,
    fd: i32,
    layout: DatagramLayout,
    waker: Waker,
) -> io::Result<Key> {
    let entry = Entry::recvmsg_multishot(fd, layout, GROUP);
    // SAFETY: the entry points to a header that is always there and names no memory; the buffers
    // are the pool's, which outlives the ring.
    unsafe { driver.submit_multi(entry, PARKED_MAX, Some(waker), None) }
}

/// Receives what is there into the first of `bufs`, at most [`BATCH_MAX`], without waiting: the
/// number of datagrams, or minus the errno. A buffer without room for more than the layout's header
/// is an `EINVAL`.
pub(crate) fn recv_datagrams_now(fd: i32, bufs: &mut [ManagedBuf], layout: DatagramLayout) -> i32 {
    let mut raw = [(std::ptr::null_mut(), 0); BATCH_MAX];
    let asked = bufs.len().min(BATCH_MAX);
    for (raw, buf) in raw.iter_mut().zip(bufs.iter_mut()) {
        *raw = (buf.as_mut_ptr(), buf.capacity());
        if raw.1 <= layout.payload_start() {
            return -errno::EINVAL;
        }
    }
    let mut lens = [0; BATCH_MAX];
    // SAFETY: the buffers are borrowed mutably, and their room was looked at above.
    let result = unsafe { sys::recvmmsg_now(fd, &raw[..asked], layout, &mut lens) };
    let count = usize::try_from(result).unwrap_or(0);
    for (buf, len) in bufs.iter_mut().zip(lens).take(count) {
        // SAFETY: so many bytes were written from the start, those of the header in any case.
        unsafe { buf.set_len(len) };
    }
    result
}
