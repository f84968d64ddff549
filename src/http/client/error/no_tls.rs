//! The errors of TLS in a build without the feature `tls`: there are none.

use std::io;

use super::ErrorKind;

/// The kind of a connection's error.
pub(super) fn error_kind(_error: &io::Error) -> ErrorKind {
    ErrorKind::Io
}
