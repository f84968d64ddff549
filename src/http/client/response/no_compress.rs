//! A client that is built without the feature `compress` takes bodies as they come.

use super::decode::Decoder;

/// The value of `Accept-Encoding`.
pub(crate) const ACCEPTED: Option<&str> = None;

/// A decoder for the codings in `Content-Encoding`.
pub(crate) fn decoder<'a>(_: impl Iterator<Item = &'a [u8]>) -> Option<Decoder> {
    None
}
