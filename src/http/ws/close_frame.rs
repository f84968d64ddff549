//! The payload of a close frame (RFC 6455, section 5.5.1).

use std::str;

use super::{CloseCode, FrameError};

/// Bytes of the longest reason: the code before it has two.
pub(crate) const REASON_BYTES_MAX: usize = 123;

/// The code and the reason in a close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseFrame<'a> {
    pub(crate) code: CloseCode,
    /// A text for logs, which may be empty.
    pub(crate) reason: &'a str,
}

impl<'a> CloseFrame<'a> {
    /// Reads the payload of a close frame. An empty one has neither code nor reason.
    pub(super) fn parse(payload: &'a [u8]) -> Result<Option<Self>, FrameError> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(None),
                _ => Err(FrameError::CloseTooShort),
            };
        };
        let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(FrameError::CloseCodeInvalid)?;
        let reason = str::from_utf8(reason).map_err(|_| FrameError::CloseReasonNotUtf8)?;
        Ok(Some(Self { code, reason }))
    }

    /// The part of the reason that fits a frame: whole characters, at most [`REASON_BYTES_MAX`]
    /// bytes.
    pub(super) fn fitting_reason(&self) -> &'a str {
        let mut len = self.reason.len().min(REASON_BYTES_MAX);
        while !self.reason.is_char_boundary(len) {
            len -= 1;
        }
        &self.reason[..len]
    }
}
