//! [`Interest`] and [`Ready`]: the events of poll(2), to wait for and as they were told.

use std::{fmt, ops::BitOr};

use crate::sys::PollEvents;

/// Events to wait for, by [`AsyncFd`](super::AsyncFd).
///
/// An error and a hang-up end every wait, also when it did not ask for them.
///
/// # Examples
///
/// ```
/// use annulus::io::Interest;
///
/// let interest = Interest::READABLE | Interest::PRIORITY;
/// assert!(interest.is_readable() && !interest.is_writable());
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Interest(PollEvents);

impl Interest {
    /// A read does not block, or the peer has finished sending: `POLLIN` and `POLLRDHUP`.
    pub const READABLE: Self = Self(PollEvents::READ);
    /// A write does not block: `POLLOUT`.
    pub const WRITABLE: Self = Self(PollEvents::WRITE);
    /// There is something exceptional, such as urgent data of a TCP connection: `POLLPRI`.
    pub const PRIORITY: Self = Self(PollEvents::PRIORITY);
    /// Errors and hang-ups alone, of which every wait tells: `POLLERR` and `POLLHUP`.
    pub const ERROR: Self = Self(PollEvents::ERROR);

    /// Whether it has [`READABLE`](Self::READABLE).
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0.meets(PollEvents::INPUT)
    }

    /// Whether it has [`WRITABLE`](Self::WRITABLE).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0.meets(PollEvents::WRITE)
    }

    /// Whether it has [`PRIORITY`](Self::PRIORITY).
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0.meets(PollEvents::PRIORITY)
    }

    pub(super) const fn events(self) -> PollEvents {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0.or(other.0))
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interest(")?;
        write_names(f, self.0)?;
        f.write_str(")")
    }
}

/// The events that a descriptor had when a wait for it ended.
///
/// Other code that reads the descriptor may have changed them since. The kernel may leave out some
/// of several that came at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ready(PollEvents);

impl Ready {
    pub(super) const fn new(events: PollEvents) -> Self {
        Self(events)
    }

    /// There is something to read, or the end of the stream: `POLLIN`.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        self.0.meets(PollEvents::INPUT)
    }

    /// A write does not block: `POLLOUT`.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.0.meets(PollEvents::WRITE)
    }

    /// There is something exceptional: `POLLPRI`.
    #[must_use]
    pub const fn is_priority(self) -> bool {
        self.0.meets(PollEvents::PRIORITY)
    }

    /// There is an error, which the next call on the descriptor returns: `POLLERR`. A pipe without
    /// a reader has one for its writer.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0.meets(PollEvents::ERROR)
    }

    /// The peer has finished sending, or the connection is over: `POLLRDHUP` or `POLLHUP`. Its
    /// last bytes may still be there to be read.
    #[must_use]
    pub const fn is_read_closed(self) -> bool {
        self.0.meets(PollEvents::CLOSED.or(PollEvents::HUNG_UP))
    }

    /// The other side is gone: `POLLHUP`.
    #[must_use]
    pub const fn is_hung_up(self) -> bool {
        self.0.meets(PollEvents::HUNG_UP)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready(")?;
        write_names(f, self.0)?;
        f.write_str(")")
    }
}

/// Writes the names of `events`, as poll(2) has them.
fn write_names(f: &mut fmt::Formatter<'_>, events: PollEvents) -> fmt::Result {
    let names = [
        (PollEvents::INPUT, "POLLIN"),
        (PollEvents::WRITE, "POLLOUT"),
        (PollEvents::PRIORITY, "POLLPRI"),
        (PollEvents::CLOSED, "POLLRDHUP"),
        (PollEvents::ERROR, "POLLERR"),
        (PollEvents::HUNG_UP, "POLLHUP"),
    ];
    let mut separator = "";
    for (event, name) in names {
        if events.meets(event) {
            write!(f, "{separator}{name}")?;
            separator = " | ";
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_print_the_names_of_their_events() {
        let interest = Interest::READABLE | Interest::PRIORITY;
        let text = format!("{interest:?}");
        assert_eq!(text, "Interest(POLLIN | POLLPRI | POLLRDHUP)");
        let ready = Ready::new(PollEvents::HUNG_UP.or(PollEvents::ERROR));
        assert_eq!(format!("{ready:?}"), "Ready(POLLERR | POLLHUP)");
        assert!(ready.is_error() && ready.is_hung_up() && ready.is_read_closed());
        assert!(!ready.is_readable() && !ready.is_writable() && !ready.is_priority());
    }

    #[test]
    fn the_end_of_the_peers_sending_is_no_hang_up() {
        let ready = Ready::new(PollEvents::CLOSED.or(PollEvents::INPUT));
        assert!(ready.is_readable() && ready.is_read_closed());
        assert!(!ready.is_hung_up() && !ready.is_error());
    }
}
