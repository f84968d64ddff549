//! Without the feature `tls` no error is TLS's.

use std::io;

use super::ErrorKind;

/// The kind of a connection's error.
pub(super) fn error_kind(_error: &io::Error) -> ErrorKind {
    ErrorKind::Io
}
