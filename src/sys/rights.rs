//! Descriptors that one process hands to another by a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::{
    io, mem,
    os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
    ptr,
};

use super::datagram::{CONTROL_HEADER_BYTES, first_message};

/// The most descriptors that one message carries (`SCM_MAX_FD`).
pub(crate) const DESCRIPTORS_MAX: usize = 253;

/// The words of the control message with so many. The kernel wants it aligned as a word.
const CONTROL_WORDS: usize =
    (CONTROL_HEADER_BYTES + DESCRIPTORS_MAX * size_of::<i32>()).div_ceil(size_of::<usize>());

/// Sends `bytes` with copies of `descriptors`, and returns how many bytes have left. It does not
/// wait, also on a socket that blocks.
pub(crate) fn send_with_rights(
    fd: i32,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let len = CONTROL_HEADER_BYTES + size_of_val(descriptors);
    let mut control = Vec::new();
    control.extend(len.to_ne_bytes());
    control.extend(libc::SOL_SOCKET.to_ne_bytes());
    control.extend(libc::SCM_RIGHTS.to_ne_bytes());
    for descriptor in descriptors {
        control.extend(descriptor.as_raw_fd().to_ne_bytes());
    }
    control.resize(len.next_multiple_of(size_of::<usize>()), 0);
    let words = control.chunks_exact(size_of::<usize>());
    let mut control: Vec<usize> = words
        .map(|word| usize::from_ne_bytes(word.try_into().expect("a chunk is a word")))
        .collect();
    let mut part = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let header = header(&mut part, &mut control, len);
    loop {
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the header names the bytes and the control message, which live through the call
        // and are only read by it.
        let sent = unsafe { libc::sendmsg(fd, &raw const header, flags) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => retry_or_fail()?,
        }
    }
}

/// Receives bytes, and adds the descriptors that came with them. Returns how many bytes there are,
/// none at the end, and whether descriptors were lost. It waits as the socket's mode and time say.
pub(crate) fn receive_with_rights(
    fd: i32,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> io::Result<(usize, bool)> {
    let mut control = vec![0; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let mut header = header(&mut part, &mut control, CONTROL_WORDS * size_of::<usize>());
    let received = loop {
        // SAFETY: the header names memory that lives through the call and is only used by it.
        let received = unsafe { libc::recvmsg(fd, &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(received) {
            Ok(received) => break received,
            Err(_) => retry_or_fail()?,
        }
    };
    let control: Vec<u8> = control.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut rest = &control[..header.msg_controllen as usize];
    while let Some((level, kind, data, next)) = first_message(rest) {
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            for number in data.chunks_exact(size_of::<i32>()) {
                let number = i32::from_ne_bytes(number.try_into().expect("a chunk is an int"));
                // SAFETY: the kernel has made the descriptor in this call, and it has no other
                // owner.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
        rest = rest.get(next..).unwrap_or_default();
    }
    Ok((received, header.msg_flags & libc::MSG_CTRUNC != 0))
}

/// A header that names one part, and the first `control_bytes` bytes of `control`.
fn header(part: &mut libc::iovec, control: &mut [usize], control_bytes: usize) -> libc::msghdr {
    // SAFETY: all zeros are a valid `msghdr`: no address, no parts, no control messages.
    let mut header = unsafe { mem::zeroed::<libc::msghdr>() };
    header.msg_iov = ptr::from_mut(part);
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control_bytes as _;
    header
}

/// The error of the last call, unless a signal has ended it.
fn retry_or_fail() -> io::Result<()> {
    let error = io::Error::last_os_error();
    if error.kind() == io::ErrorKind::Interrupted {
        return Ok(());
    }
    Err(error)
}
