//! A client that is built without the feature `compress` takes bodies as they come.

use super::content::Decode;

/// What is said in `Accept-Encoding`.
pub(super) const ACCEPTED: Option<&str> = None;

/// A decoder for the codings in `Content-Encoding`.
pub(super) fn decoder(_codings: &[u8]) -> Option<Box<dyn Decode>> {
    None
}
