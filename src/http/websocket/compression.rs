//! Compressed messages (RFC 7692).
//!
//! Feature: `compress`.

use std::cell::RefCell;

use super::{FrameError, Options};
use crate::http::ws::{Deflate, Deflater, Inflater, Limits};

/// The level of compression, of 0 to 9: that of zlib where a program asks for none.
const LEVEL: u32 = 6;

thread_local! {
    // No message refers to an earlier one, so all connections of a thread share these. They hold
    // some 300 KiB, which is why they are made at the first compressed message.
    static DEFLATER: RefCell<Option<Deflater>> = const { RefCell::new(None) };
    static INFLATER: RefCell<Option<Inflater>> = const { RefCell::new(None) };
}

/// Compresses and decompresses messages.
pub(super) struct Compression;

impl Compression {
    /// The compressed payload, or `None` when it would not be smaller.
    pub(super) fn deflate(payload: &[u8], agreed: Deflate) -> Option<Vec<u8>> {
        DEFLATER.with_borrow_mut(|deflater| {
            let deflater = deflater.get_or_insert_with(|| Deflater::new(LEVEL));
            deflater.deflate(payload, agreed)
        })
    }

    /// The payload that was compressed.
    pub(super) fn inflate(payload: &[u8], limits: &Limits) -> Result<Vec<u8>, FrameError> {
        INFLATER.with_borrow_mut(|inflater| {
            let inflater = inflater.get_or_insert_with(Inflater::new);
            inflater.inflate(payload, limits)
        })
    }
}

impl Options {
    /// Sets whether messages are compressed when the client can (permessage-deflate, RFC 7692);
    /// they are not by default.
    ///
    /// No message refers to an earlier one, in either direction. So a connection at rest holds no
    /// window, and small messages gain little: those below 256 bytes are sent as they are.
    ///
    /// A message is inflated at once, when it is complete. A peer that wants to waste time can make
    /// that cost up to 3 us for each byte that it sends, so the [limit](Self::message_bytes_max) of
    /// messages also limits for how long one of them keeps its thread.
    ///
    /// Feature: `compress`.
    #[must_use]
    pub fn compression(self, compresses: bool) -> Self {
        self.with(|settings| settings.compresses = compresses)
    }
}
