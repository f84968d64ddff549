//! Tells the errors of TLS from the other errors of a connection.

use std::io;

use super::ErrorKind;
use crate::tls;

/// The kind of a connection's error.
pub(super) fn error_kind(error: &io::Error) -> ErrorKind {
    if tls::is_tls_error(error) {
        ErrorKind::Tls
    } else {
        ErrorKind::Io
    }
}
