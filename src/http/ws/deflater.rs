//! Deflates messages (RFC 7692, section 7.2.1).
//!
//! Feature: `compress`.

use flate2::{Compress, Compression, FlushCompress};

use super::{Deflate, inflater::TAIL, permessage_deflate::LARGEST_WINDOW_BITS};

/// Bytes beside a message's own that its deflated form has room for.
const ROOM_BYTES: usize = 64;

/// Deflates messages one after the other, of any number of connections: none refers to an earlier
/// one. A worker has one.
#[derive(Debug)]
pub(crate) struct Deflater {
    state: Compress,
}

impl Deflater {
    /// One that compresses at `level`, 0 to 9.
    pub(crate) fn new(level: u32) -> Self {
        Self {
            state: Compress::new(Compression::new(level.min(9)), false),
        }
    }

    /// The payload of a compressed message for `message`, or `None` when it would not be smaller.
    /// Such a message is sent as it is.
    pub(crate) fn deflate(&mut self, message: &[u8], agreed: Deflate) -> Option<Vec<u8>> {
        self.state.reset();
        // With this room no call ends because the room does. The next call would give out what was
        // pending then, and say that all is done with the last bytes of the input still to come.
        let mut out = Vec::with_capacity(message.len() + ROOM_BYTES);
        // The window has one size. Where a smaller one was agreed on, the references are cut at
        // each multiple of it.
        let mut parts = message.chunks(1 << agreed.window_bits).peekable();
        if agreed.window_bits == LARGEST_WINDOW_BITS {
            self.deflate_part(message, FlushCompress::Sync, &mut out)?;
        } else {
            while let Some(part) = parts.next() {
                let flush = match parts.peek() {
                    Some(_) => FlushCompress::Full,
                    None => FlushCompress::Sync,
                };
                self.deflate_part(part, flush, &mut out)?;
            }
        }
        let len = out.len().checked_sub(TAIL.len())?;
        out.truncate(len);
        out.shrink_to_fit();
        (len < message.len()).then_some(out)
    }

    /// Appends a part, or returns `None` when there is no room for it.
    fn deflate_part(&mut self, part: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Option<()> {
        let before = self.state.total_in();
        let result = self.state.compress_vec(part, out, flush);
        result.expect("there is no dictionary and no end, which alone can fail");
        let is_taken = self.state.total_in() - before == part.len() as u64;
        (is_taken && out.len() < out.capacity()).then_some(())
    }
}
