//! The rules for uploads, and the answers to those that break them.

use std::io;

use annulus::http::{Error, StatusCode};

/// The largest file that is taken.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 30;

/// The answer when a file could not be written.
pub(crate) fn refusal(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull => StatusCode::INSUFFICIENT_STORAGE.into(),
        _ => error.into(),
    }
}

/// A name that stays in its folder.
pub(crate) fn safe_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix('/')?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain)).then_some(name)
}
