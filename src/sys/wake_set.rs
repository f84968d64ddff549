//! A descriptor that stands for several eventfds.

use std::{io, os::fd::OwnedFd, time::Duration};

use super::Epoll;

/// An epoll(7) that is readable once one of a few eventfds was written to since the last
/// [`clear`](Self::clear). Nothing reads their counts, so others may watch them too.
#[derive(Debug)]
pub(crate) struct WakeSet(Epoll);

impl WakeSet {
    pub(crate) fn new(eventfds: &[i32]) -> io::Result<Self> {
        let epoll = Epoll::new(eventfds.len())?;
        for &fd in eventfds {
            epoll.add_eventfd(fd, 0)?;
        }
        Ok(Self(epoll))
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
