//! Inflates messages (RFC 7692, section 7.2.2).
//!
//! Feature: `compress`.

use flate2::{Decompress, FlushDecompress, Status};

use super::{FrameError, Limits};

/// The end of each message's data, which is not sent.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Bytes that the output grows by at least.
const GROWTH_BYTES: usize = 4096;

/// Blocks of one message that say they are the last. A sender may end each of its flushes so, and
/// hardly any does. Each makes a new state, of some 40 KiB, which a peer has for two bytes.
const LAST_BLOCKS_MAX: u32 = 16;

/// Inflates messages one after the other, of any number of connections: no peer refers to an
/// earlier message, since that was negotiated. A worker has one.
///
/// A reference that goes back all the same meets zeros, or is refused, and never bytes of another
/// connection: each message begins with an empty window.
#[derive(Debug)]
pub(crate) struct Inflater {
    state: Decompress,
    /// Those of the message.
    last_block_count: u32,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            state: Decompress::new(false),
            last_block_count: 0,
        }
    }

    /// The bytes that the whole payload `deflated` of a message stands for. The message's kind is
    /// not looked at: text has to be checked.
    ///
    /// # Errors
    ///
    /// The payload is not in the format of deflate, has more than [`LAST_BLOCKS_MAX`] last blocks,
    /// or is more than [`message_bytes_max`](Limits::message_bytes_max) when it is inflated. No more than these
    /// bytes and a buffer are ever held.
    pub(crate) fn inflate(
        &mut self,
        deflated: &[u8],
        limits: &Limits,
    ) -> Result<Vec<u8>, FrameError> {
        self.state.reset(false);
        self.last_block_count = 0;
        let mut out = Vec::new();
        for part in [deflated, &TAIL] {
            self.inflate_part(part, &mut out, limits)?;
        }
        Ok(out)
    }

    fn inflate_part(
        &mut self,
        mut part: &[u8],
        out: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(), FrameError> {
        loop {
            // Twice what it holds, but one byte above the limit shows that it is crossed.
            let growth = out.len().max(part.len()).max(GROWTH_BYTES);
            let bytes_max = usize::try_from(limits.message_bytes_max).unwrap_or(usize::MAX);
            let room = bytes_max.saturating_sub(out.len()).saturating_add(1);
            if out.len() == out.capacity() {
                out.reserve_exact(growth.min(room));
            }
            let (before, len_before) = (self.state.total_in(), out.len());
            let status = self
                .state
                .decompress_vec(part, out, FlushDecompress::Sync)
                .map_err(|_| FrameError::DeflateInvalid)?;
            // At most the length of `part`.
            part = &part[(self.state.total_in() - before) as usize..];
            if out.len() > bytes_max {
                return Err(FrameError::MessageTooLarge);
            }
            match status {
                // A sender may end a message by a block that says it is the last (section 7.2.3.4).
                Status::StreamEnd if self.last_block_count == LAST_BLOCKS_MAX => {
                    return Err(FrameError::DeflateInvalid);
                }
                Status::StreamEnd => {
                    self.last_block_count += 1;
                    self.state.reset(false);
                }
                // There may be more output than there was room.
                _ if out.len() == out.capacity() => continue,
                Status::BufError if !part.is_empty() => return Err(FrameError::DeflateInvalid),
                _ => {}
            }
            // A call that had output left may say that all is done, and have more.
            if part.is_empty() && out.len() == len_before {
                return Ok(());
            }
        }
    }
}
