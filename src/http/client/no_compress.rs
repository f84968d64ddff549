//! A client that is built without the feature `compress` takes bodies as they come.

use super::content::Decoder;

/// What is said in `Accept-Encoding`.
pub(super) const ACCEPTED: Option<&str> = None;

/// A decoder for the codings in `Content-Encoding`.
pub(super) fn decoder<'a>(_: impl Iterator<Item = &'a [u8]>) -> Option<Decoder> {
    None
}
