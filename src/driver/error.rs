//! The errors of starting a driver, each with its remedy.

use std::{fmt, io};

use crate::sys::errno;

/// Why a driver could not be made.
pub(crate) enum DriverError {
    /// io_uring_setup(2) failed with this errno.
    Ring { errno: i32, sysctl: Option<String> },
    /// An environment variable says something that is not understood.
    Environment(String),
    /// Something that every driver needs failed.
    Other(io::Error),
}

impl DriverError {
    pub(super) fn ring(errno: i32) -> Self {
        let sysctl = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok();
        Self::Ring {
            errno,
            sysctl: sysctl.map(|value| value.trim().to_owned()),
        }
    }

    /// The error of a later step of a ring's set-up, told as those of the first.
    pub(crate) fn from_ring_error(error: io::Error) -> io::Error {
        match error.raw_os_error() {
            Some(errno) => Self::ring(errno).into(),
            None => error,
        }
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
        let (code, sysctl) = match self {
            Self::Ring { errno, sysctl } => (*errno, sysctl.as_deref()),
            Self::Environment(text) => return f.write_str(text),
            Self::Other(error) => match error.raw_os_error() {
                // The same limit, and the same remedy, as for a ring.
                Some(code @ (errno::EMFILE | errno::ENFILE)) => (code, None),
                _ => return write!(f, "no driver could be set up: {error}"),
            },
        };
        match (code, sysctl) {
            (errno::EPERM, Some("2")) => f.write_str(
                "io_uring is switched off for all users of this machine: the sysctl \
                 kernel.io_uring_disabled is 2 (0 allows it)",
            ),
            (errno::EPERM, Some("1")) => f.write_str(
                "io_uring is switched off for this user: the sysctl kernel.io_uring_disabled is 1 \
                 (0 allows it, and so does membership of the group in kernel.io_uring_group)",
            ),
            (errno::EPERM | errno::EACCES, _) => f.write_str(
                "io_uring is forbidden here, most likely by a seccomp filter, as in the default \
                 profiles of Docker and Kubernetes (a profile that allows io_uring_setup, \
                 io_uring_enter and io_uring_register lifts that)",
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

    #[test]
    fn every_refusal_names_its_remedy() {
        let say = |errno, sysctl: Option<&str>| {
            DriverError::Ring {
                errno,
                sysctl: sysctl.map(str::to_owned),
            }
            .to_string()
        };
        assert!(say(errno::EPERM, Some("2")).contains("kernel.io_uring_disabled is 2"));
        assert!(say(errno::EPERM, Some("1")).contains("kernel.io_uring_group"));
        assert!(say(errno::EPERM, Some("0")).contains("seccomp"));
        assert!(say(errno::EPERM, None).contains("seccomp"));
        assert!(say(errno::ENOSYS, None).contains("no io_uring"));
        assert!(say(errno::ENOMEM, None).contains("ulimit -l"));
        assert!(say(errno::EMFILE, None).contains("ulimit -n"));
        assert!(say(5, None).contains("Input/output error"));
    }

    #[test]
    fn limits_are_not_taken_for_a_refusal() {
        assert!(
            DriverError::Ring {
                errno: errno::EPERM,
                sysctl: None
            }
            .is_forbidden()
        );
        assert!(
            DriverError::Ring {
                errno: errno::ENOSYS,
                sysctl: None
            }
            .is_forbidden()
        );
        assert!(
            !DriverError::Ring {
                errno: errno::ENOMEM,
                sysctl: None
            }
            .is_forbidden()
        );
        assert!(
            !DriverError::Ring {
                errno: errno::EMFILE,
                sysctl: None
            }
            .is_forbidden()
        );
    }
}
