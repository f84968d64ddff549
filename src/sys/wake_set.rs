//! A descriptor that stands for several others.

use std::{io, os::fd::OwnedFd, time::Duration};

use super::Epoll;

/// The most descriptors in a set.
const FDS_MAX: usize = 2;

/// An epoll(7) that is readable once one of its descriptors is. Nothing reads the eventfds' counts,
/// so others may watch them too.
#[derive(Debug)]
pub(crate) struct WakeSet(Epoll);

impl WakeSet {
    pub(crate) fn new() -> io::Result<Self> {
        Epoll::new(FDS_MAX).map(Self)
    }

    /// Is readable once an eventfd was written to since the last [`clear`](Self::clear).
    pub(crate) fn add_eventfd(&self, fd: i32) -> io::Result<()> {
        self.0.add_eventfd(fd, 0)
    }

    /// Is readable while `fd` is, until one of both is closed.
    pub(crate) fn add_readable(&self, fd: i32) -> io::Result<()> {
        self.0.add_readable(fd, 0)
    }

    /// Forgets the writes until now.
    pub(crate) fn clear(&mut self) {
        // There is room for all of them, and nothing else can fail.
        let _ = self.0.wait(Some(Duration::ZERO));
    }

    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.duplicate()
    }
}
