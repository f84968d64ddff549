//! Sends from a file to a socket, without a copy through the program.

use super::{as_completion, errno, file::preadv2_nowait, socket::set_nonblocking};

/// sendfile(2) of as much as the socket takes at once; `EAGAIN` when that is nothing, and `ENOSYS`
/// where it cannot be called.
///
/// The call has no flag against waiting, so a socket in blocking mode is in the other one
/// meanwhile. It has no flag against SIGPIPE either, so it is not made where the process does not
/// ignore that signal. std has it ignored before `main`.
pub(crate) fn send_file_now(
    socket: i32,
    is_blocking: bool,
    file: i32,
    offset: u64,
    len: usize,
) -> i32 {
    if !ignores_broken_pipes() {
        return -errno::ENOSYS;
    }
    if is_blocking && set_nonblocking(socket, true).is_err() {
        return -errno::ENOSYS;
    }
    let mut offset = offset as i64;
    // SAFETY: the kernel reads and writes an offset that lives through the call.
    let sent = unsafe { libc::sendfile(socket, file, &raw mut offset, len) };
    let result = as_completion(sent);
    if is_blocking {
        let _ = set_nonblocking(socket, false);
    }
    result
}

fn ignores_broken_pipes() -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the kernel writes an action to memory that has room for one.
    let asked = unsafe { libc::sigaction(libc::SIGPIPE, std::ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeros are an action too.
    let action = unsafe { action.assume_init() };
    asked == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Whether the page cache holds the byte at `offset`.
pub(crate) fn is_in_memory(file: i32, offset: u64) -> bool {
    let mut byte = 0_u8;
    // SAFETY: the kernel writes one byte, which lives through the call.
    unsafe { preadv2_nowait(file, &raw mut byte, 1, offset) == 1 }
}
