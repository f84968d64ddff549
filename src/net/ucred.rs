//! The process, user and group at the other end of a Unix socket.

/// The process, user and group at the other end of a Unix socket. Made by
/// [`UnixStream::peer_cred`](super::UnixStream::peer_cred).
///
/// The kernel took them when the connection was made: the process may have ended since, and its
/// number be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UCred {
    pid: i32,
    uid: u32,
    gid: u32,
}

impl UCred {
    pub(super) fn new(pid: i32, uid: u32, gid: u32) -> Self {
        Self { pid, uid, gid }
    }

    /// Returns the process, or `None` when it is in a namespace that this process does not see.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        (self.pid != 0).then_some(self.pid)
    }

    /// Returns the effective user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Returns the effective group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid
    }
}
