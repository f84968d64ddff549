//! [`SignalKind`]: a kind of signal.

use crate::sys::signal;

/// A kind of signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SignalKind(i32);

impl SignalKind {
    /// `SIGINT`: ctrl-c on the terminal.
    #[must_use]
    pub const fn interrupt() -> Self {
        Self(signal::SIGINT)
    }

    /// `SIGTERM`: the process is asked to end.
    #[must_use]
    pub const fn terminate() -> Self {
        Self(signal::SIGTERM)
    }

    /// `SIGHUP`: the terminal is gone; by custom, a daemon reads its configuration again.
    #[must_use]
    pub const fn hangup() -> Self {
        Self(signal::SIGHUP)
    }

    /// `SIGQUIT`: ctrl-\ on the terminal.
    #[must_use]
    pub const fn quit() -> Self {
        Self(signal::SIGQUIT)
    }

    /// `SIGUSR1`: what the program makes of it.
    #[must_use]
    pub const fn user1() -> Self {
        Self(signal::SIGUSR1)
    }

    /// `SIGUSR2`: what the program makes of it.
    #[must_use]
    pub const fn user2() -> Self {
        Self(signal::SIGUSR2)
    }

    /// `SIGALRM`: a timer of alarm(2) or setitimer(2) has run out.
    #[must_use]
    pub const fn alarm() -> Self {
        Self(signal::SIGALRM)
    }

    /// `SIGCHLD`: a child process has stopped or ended.
    #[must_use]
    pub const fn child() -> Self {
        Self(signal::SIGCHLD)
    }

    /// `SIGWINCH`: the terminal has another size.
    #[must_use]
    pub const fn window_change() -> Self {
        Self(signal::SIGWINCH)
    }

    /// The signal of this number, which nothing checks before it is listened for.
    #[must_use]
    pub const fn from_raw(number: i32) -> Self {
        Self(number)
    }

    /// The signal's number.
    #[must_use]
    pub const fn as_raw(self) -> i32 {
        self.0
    }
}
