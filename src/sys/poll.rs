//! poll(2): the present state of descriptors, without waiting and without taking bytes from them.

use std::io;

use super::{PollEvents, as_result};

/// How a connected socket's peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    There,
    /// It has finished sending.
    Finished,
    /// The connection has an error, or is over in both directions.
    Gone,
}

/// The sockets of one call. More than `RLIMIT_NOFILE` of them would be refused.
pub(crate) const FDS_PER_CALL: usize = 64;

const GONE: i16 = libc::POLLERR | libc::POLLHUP | libc::POLLNVAL;

fn question(fd: i32, events: i16) -> libc::pollfd {
    libc::pollfd {
        fd,
        events,
        revents: 0,
    }
}

/// Those of `events` that `fd` has now, with errors and hang-ups.
///
/// # Errors
///
/// `EBADF` when there is no such descriptor.
pub(crate) fn poll_now(fd: i32, events: PollEvents) -> io::Result<PollEvents> {
    let mut poll = question(fd, events.bits() as i16);
    loop {
        // SAFETY: the kernel reads and writes the one struct during the call.
        match as_result(unsafe { libc::poll(&raw mut poll, 1, 0) }) {
            Ok(_) if poll.revents & libc::POLLNVAL != 0 => {
                return Err(io::Error::from_raw_os_error(libc::EBADF));
            }
            Ok(_) => return Ok(PollEvents::told(poll.revents as u32)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Looks at a socket, and takes nothing from it.
pub(crate) fn peer_state(fd: i32) -> PeerState {
    let mut poll = question(fd, libc::POLLRDHUP);
    // SAFETY: the kernel reads and writes the one struct during the call.
    let result = unsafe { libc::poll(&raw mut poll, 1, 0) };
    match poll.revents {
        _ if result <= 0 => PeerState::There,
        events if events & GONE != 0 => PeerState::Gone,
        _ => PeerState::Finished,
    }
}

/// Whether a connection that goes on has bytes, or the end of its stream, to be received.
pub(crate) fn has_unreceived(fd: i32) -> bool {
    let mut poll = question(fd, libc::POLLIN);
    // SAFETY: the kernel reads and writes the one struct during the call.
    let result = unsafe { libc::poll(&raw mut poll, 1, 0) };
    result > 0 && poll.revents & GONE == 0
}

/// Calls `found` for each socket whose peer has finished or is gone. One that the kernel cannot be
/// asked about counts as ended.
pub(crate) fn find_ended<T>(sockets: &[T], fd: impl Fn(&T) -> i32, mut found: impl FnMut(&T)) {
    for chunk in sockets.chunks(FDS_PER_CALL) {
        let mut polls = [question(-1, 0); FDS_PER_CALL];
        for (poll, socket) in polls.iter_mut().zip(chunk) {
            *poll = question(fd(socket), libc::POLLRDHUP);
        }
        // SAFETY: the kernel reads and writes the first structs of the array during the call.
        let result = unsafe { libc::poll(polls.as_mut_ptr(), chunk.len() as libc::nfds_t, 0) };
        for (poll, socket) in polls.iter().zip(chunk) {
            if result < 0 || poll.revents != 0 {
                found(socket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd, unix::net::UnixStream};

    use super::*;

    #[test]
    fn the_ended_sockets_among_many_are_found() {
        let pairs: Vec<_> = (0..150).map(|_| UnixStream::pair().unwrap()).collect();
        let fds: Vec<i32> = pairs.iter().map(|(near, _)| near.as_raw_fd()).collect();
        let (mut near, mut far): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let ended = [149, 64, 63, 0];
        for index in ended {
            drop(far.remove(index));
        }
        let mut found = Vec::new();
        find_ended(&fds, |fd| *fd, |fd| found.push(*fd));
        assert_eq!(found, [0, 63, 64, 149].map(|index: usize| fds[index]));
        assert_eq!(peer_state(fds[63]), PeerState::Gone);
        assert_eq!(peer_state(fds[62]), PeerState::There);
        near.clear();
    }

    #[test]
    fn no_socket_is_no_call() {
        find_ended(&[], |fd: &i32| *fd, |fd| unreachable!("found {fd}"));
    }
}
