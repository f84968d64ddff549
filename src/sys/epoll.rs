//! epoll(7), for the poll driver.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    time::Duration,
};

use super::{PollEvents, as_result};

/// An epoll instance and the room for its events.
pub(crate) struct Epoll {
    fd: OwnedFd,
    events: Vec<libc::epoll_event>,
}

/// One readiness event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EpollEvent {
    pub(crate) token: u64,
    pub(crate) bits: u32,
}

impl EpollEvent {
    /// Whether the event answers a wait for `events`. An error or a hang-up answers every wait.
    pub(crate) fn answers(self, events: PollEvents) -> bool {
        let broken = (libc::EPOLLERR | libc::EPOLLHUP) as u32;
        self.bits & (events.bits() | broken) != 0
    }

    /// Whether a TCP connection has urgent data in front of its reader: a read ends there, with
    /// however much behind it.
    pub(crate) fn is_urgent(self) -> bool {
        self.bits & libc::EPOLLPRI as u32 != 0
    }
}

impl Epoll {
    /// With room for `event_count` events at once.
    pub(crate) fn new(event_count: usize) -> io::Result<Self> {
        // SAFETY: the call takes no address.
        let fd = as_result(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor is new and has no other owner.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            fd,
            events: Vec::with_capacity(event_count),
        })
    }

    /// Watches `fd` for every kind of readiness, edge-triggered: each change is told once.
    ///
    /// # Errors
    ///
    /// `EEXIST` when this epoll watches it already, for another token.
    pub(crate) fn add(&self, fd: i32, token: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLPRI;
        self.add_for(fd, token, (events | libc::EPOLLET) as u32)
    }

    /// As [`add`](Self::add), by a descriptor of its own, which epoll takes for another one.
    pub(crate) fn add_duplicate(&self, fd: i32, token: u64) -> io::Result<OwnedFd> {
        // SAFETY: the call takes no address.
        let duplicate = as_result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0) })?;
        // SAFETY: the descriptor is new and has no other owner.
        let duplicate = unsafe { OwnedFd::from_raw_fd(duplicate) };
        self.add(duplicate.as_raw_fd(), token)?;
        Ok(duplicate)
    }

    /// Watches an eventfd: each write to it is told once, also while its count is not read.
    pub(crate) fn add_eventfd(&self, fd: i32, token: u64) -> io::Result<()> {
        self.add_for(fd, token, (libc::EPOLLIN | libc::EPOLLET) as u32)
    }

    /// Watches `fd` for something to read, level-triggered: each wait reports it until it was read.
    pub(crate) fn add_readable(&self, fd: i32, token: u64) -> io::Result<()> {
        self.add_for(fd, token, libc::EPOLLIN as u32)
    }

    fn add_for(&self, fd: i32, token: u64, events: u32) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        // SAFETY: the kernel copies the event during the call.
        let result = unsafe {
            libc::epoll_ctl(self.fd.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        };
        as_result(result).map(drop)
    }

    /// Another descriptor of the same epoll.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.fd.try_clone()
    }

    pub(crate) fn remove(&self, fd: i32) -> io::Result<()> {
        // SAFETY: the kernel reads no event for a removal.
        let result = unsafe {
            libc::epoll_ctl(
                self.fd.as_raw_fd(),
                libc::EPOLL_CTL_DEL,
                fd,
                std::ptr::null_mut(),
            )
        };
        as_result(result).map(drop)
    }

    /// Waits for events, `None` for ever, and gives what came.
    pub(crate) fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = EpollEvent> + '_> {
        let milliseconds = timeout.map_or(-1, |timeout| {
            // Rounded up, so that a timer is not found early again and again.
            let rounded = timeout.as_nanos().div_ceil(1_000_000);
            i32::try_from(rounded).unwrap_or(i32::MAX)
        });
        self.events.clear();
        // SAFETY: the kernel writes at most as many events as the vector has room for.
        let result = unsafe {
            libc::epoll_wait(
                self.fd.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.capacity() as i32,
                milliseconds,
            )
        };
        match as_result(result) {
            // SAFETY: the kernel has written that many events.
            Ok(count) => unsafe { self.events.set_len(count as usize) },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(self.events.iter().map(|event| EpollEvent {
            token: event.u64,
            bits: event.events,
        }))
    }
}

/// A descriptor that is readable once `fd` has an error or is hung up, or its peer has finished
/// sending if `fin_counts`, for as long as both are open.
pub(crate) fn watch_broken(fd: i32, fin_counts: bool) -> io::Result<OwnedFd> {
    // The others are told whatever is asked for.
    watch_only(
        fd,
        if fin_counts {
            PollEvents::CLOSED
        } else {
            PollEvents::ERROR
        },
    )
}

/// A descriptor that is readable while `fd` has one of `events`, an error or a hang-up, for as long
/// as both are open. An entry that polls `fd` itself also tells that the peer has finished sending,
/// whether or not that was asked for.
pub(crate) fn watch_only(fd: i32, events: PollEvents) -> io::Result<OwnedFd> {
    let epoll = Epoll::new(0)?;
    epoll.add_for(fd, 0, events.bits())?;
    Ok(epoll.fd)
}

impl std::fmt::Debug for Epoll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Epoll")
            .field("fd", &self.fd)
            .finish_non_exhaustive()
    }
}
