//! The errors of starting a driver, each with its remedy.

use std::{
    fmt,
    io::{self, Write as _},
    sync::Once,
};

use crate::{
    sys::{self, errno},
    trace,
};

/// Why a driver could not be made.
pub(crate) enum DriverError {
    /// io_uring_setup(2) failed with this errno.
    Ring { errno: i32, evidence: Evidence },
    /// An environment variable says something that is not understood.
    Environment(String),
    /// Something that every driver needs failed.
    Other(io::Error),
}

/// Where the system was asked who refuses a ring. An errno alone does not tell.
#[derive(Clone, Copy, Default)]
pub(crate) struct Evidence {
    /// The sysctl `kernel.io_uring_disabled`.
    sysctl: Option<u32>,
    has_filter: Option<bool>,
}

impl DriverError {
    pub(super) fn ring(errno: i32) -> Self {
        let evidence = Evidence {
            sysctl: sys::io_uring_disabled(),
            has_filter: sys::has_seccomp_filter(),
        };
        Self::Ring { errno, evidence }
    }

    /// The error of a later step of a ring's set-up, told as those of the first.
    pub(crate) fn from_ring_error(error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(errno) => Self::ring(errno).into(),
            None => error,
        }
    }

    /// Says that epoll takes the ring's place, and why, on standard error and to a subscriber: once
    /// a process.
    pub(crate) fn warn_once(&self) {
        static WARNING: Once = Once::new();
        WARNING.call_once(|| {
            // A program whose standard error is closed goes on without the warning.
            let _ = writeln!(io::stderr(), "annulus: {self}; using epoll instead");
            trace::note_fallback(self);
        });
    }

    /// Whether this machine refuses rings, so that the poll driver is the answer. Limits are not
    /// refusals: they are for the user to raise.
    pub(super) fn is_forbidden(&self) -> bool {
        matches!(
            self,
            Self::Ring {
                errno: errno::EPERM | errno::ENOSYS | errno::EACCES,
                ..
            }
        )
    }
}

impl fmt::Display for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, evidence) = match self {
            Self::Ring { errno, evidence } => (*errno, *evidence),
            Self::Environment(text) => return f.write_str(text),
            Self::Other(error) => match error.raw_os_error() {
                // The same limit, and the same remedy, as for a ring.
                Some(code @ (errno::EMFILE | errno::ENFILE)) => (code, Evidence::default()),
                _ => return write!(f, "no driver could be set up: {error}"),
            },
        };
        match (code, evidence.sysctl) {
            (errno::EPERM, Some(2)) => f.write_str(
                "io_uring is switched off for all users of this machine: the sysctl \
                 kernel.io_uring_disabled is 2 (0 allows it)",
            ),
            (errno::EPERM, Some(1)) => f.write_str(
                "io_uring is switched off for this user: the sysctl kernel.io_uring_disabled is 1 \
                 (0 allows it, and so does membership of the group in kernel.io_uring_group)",
            ),
            (errno::EPERM | errno::EACCES, _) if evidence.has_filter == Some(false) => f.write_str(
                "io_uring is forbidden here, most likely by a security module such as SELinux, \
                 since this process has no seccomp filter (a policy that allows io_uring lifts that)",
            ),
            (errno::EPERM | errno::EACCES, _) => f.write_str(
                "io_uring is forbidden here, most likely by a seccomp filter, as in the default \
                 profiles of Docker and Kubernetes (a profile that allows io_uring_setup, \
                 io_uring_enter and io_uring_register lifts that)",
            ),
            (errno::ENOSYS, _) if evidence.has_filter == Some(true) => f.write_str(
                "this kernel has no io_uring: it is older than Linux 5.1, built without it, or a \
                 seccomp filter or a sandbox such as gVisor answers in its place",
            ),
            (errno::ENOSYS, _) => f.write_str(
                "this kernel has no io_uring: it is older than Linux 5.1, built without it, or a \
                 sandbox such as gVisor answers in its place",
            ),
            (errno::ENOMEM, _) => f.write_str(
                "no memory for an io_uring: the limit on locked memory is too small (raise it by \
                 `ulimit -l`, `LimitMEMLOCK=` or `--ulimit memlock`), or too many rings are open",
            ),
            (errno::EMFILE | errno::ENFILE, _) => f.write_str(
                "no descriptor is left for a runtime, which takes two or three: raise the limit on \
                 open files (`ulimit -n`, `LimitNOFILE=`)",
            ),
            (errno::EINVAL, _) => {
                f.write_str("this kernel's io_uring is older than Linux 5.6, which is needed")
            }
            (code, _) => write!(
                f,
                "io_uring cannot be set up: {}",
                io::Error::from_raw_os_error(code)
            ),
        }
    }
}

/// Writes the text: an [`io::Error`] prints this form of what it holds.
impl fmt::Debug for DriverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for DriverError {}

impl From<DriverError> for io::Error {
    fn from(error: DriverError) -> Self {
        let kind = match &error {
            DriverError::Ring { errno, .. } => io::Error::from_raw_os_error(*errno).kind(),
            DriverError::Environment(_) => io::ErrorKind::InvalidInput,
            DriverError::Other(error) => error.kind(),
        };
        Self::new(kind, error)
    }
}

/// The error of a handle that is used under another runtime than its own, or under none.
pub(crate) fn foreign_runtime() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "this handle belongs to another annulus runtime; use it inside the `run` or `block_on` \
         that made it, or hand it over by `detach`",
    )
}

/// The error of a runtime and its handles in a child that fork(2) has made.
pub(crate) fn inherited_runtime() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "this annulus runtime was made before fork(2) and works in the process that made it; make \
         another one in this process, after the fork",
    )
}

pub(super) fn no_runtime() -> io::Error {
    io::Error::new(
        io::ErrorKind::NotConnected,
        "there is no annulus runtime on this thread; call this inside `annulus::run` or `block_on`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_around_it_prints_its_sentence() {
        let error = DriverError::Environment("expected `ring` or `poll`".to_owned());
        let printed = format!("{:?}", io::Error::from(error));
        let expected = "Custom { kind: InvalidInput, error: expected `ring` or `poll` }";
        assert_eq!(printed, expected);
    }

    /// The error of a ring on a system where no evidence can be read.
    fn refused(errno: i32) -> DriverError {
        DriverError::Ring {
            errno,
            evidence: Evidence::default(),
        }
    }

    #[test]
    fn every_refusal_names_its_remedy() {
        let say = |errno, sysctl, has_filter| {
            let evidence = Evidence { sysctl, has_filter };
            DriverError::Ring { errno, evidence }.to_string()
        };
        for has_filter in [None, Some(false), Some(true)] {
            let by_sysctl = say(errno::EPERM, Some(2), has_filter);
            assert!(by_sysctl.contains("kernel.io_uring_disabled is 2"));
            let by_sysctl = say(errno::EPERM, Some(1), has_filter);
            assert!(by_sysctl.contains("kernel.io_uring_group"));
            assert!(say(errno::ENOSYS, None, has_filter).contains("no io_uring"));
            assert!(say(errno::ENOMEM, None, has_filter).contains("ulimit -l"));
            assert!(say(errno::EMFILE, None, has_filter).contains("ulimit -n"));
        }
        for errno in [errno::EPERM, errno::EACCES] {
            for sysctl in [None, Some(0)] {
                assert!(say(errno, sysctl, Some(true)).contains("by a seccomp filter"));
                assert!(say(errno, sysctl, None).contains("by a seccomp filter"));
                assert!(say(errno, sysctl, Some(false)).contains("a security module"));
            }
        }
        assert!(say(errno::ENOSYS, None, Some(true)).contains("a seccomp filter or a sandbox"));
        assert!(!say(errno::ENOSYS, None, Some(false)).contains("filter"));
        assert!(say(5, None, None).contains("Input/output error"));
    }

    #[test]
    fn limits_are_not_taken_for_a_refusal() {
        for errno in [errno::EPERM, errno::EACCES, errno::ENOSYS] {
            assert!(refused(errno).is_forbidden());
        }
        for errno in [errno::ENOMEM, errno::EMFILE, errno::EINVAL] {
            assert!(!refused(errno).is_forbidden());
        }
    }
}
