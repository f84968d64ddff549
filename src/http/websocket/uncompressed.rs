//! Takes the place of compression in a build without it, where no end agrees to it.

use super::FrameError;
use crate::http::ws::{Deflate, Limits};

/// Neither compresses nor decompresses.
pub(super) struct Compression;

impl Compression {
    pub(super) fn deflate(_payload: &[u8], _agreed: Deflate) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn inflate(_payload: &[u8], _limits: &Limits) -> Result<Vec<u8>, FrameError> {
        Err(FrameError::ReservedBits)
    }
}
