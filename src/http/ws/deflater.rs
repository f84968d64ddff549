//! Deflates messages (RFC 7692, section 7.2.1).
//!
//! Feature: `compress`.

use flate2::{Compress, Compression, FlushCompress};

use super::{Deflate, inflater::TAIL, permessage_deflate::LARGEST_WINDOW_BITS};

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
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        // The window has one size. Where a smaller one was agreed on, the references are cut at
        // each multiple of it.
        let mut parts = message.chunks(1 << agreed.window_bits).peekable();
        if agreed.window_bits == LARGEST_WINDOW_BITS {
            self.deflate_part(message, FlushCompress::Sync, &mut out);
        } else {
            while let Some(part) = parts.next() {
                let flush = match parts.peek() {
                    Some(_) => FlushCompress::Full,
                    None => FlushCompress::Sync,
                };
                self.deflate_part(part, flush, &mut out);
            }
        }
        let len = out.len().checked_sub(TAIL.len())?;
        out.truncate(len);
        (len < message.len()).then_some(out)
    }

    fn deflate_part(&mut self, part: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
        let before = self.state.total_in();
        loop {
            if out.len() == out.capacity() {
                out.reserve(part.len() / 2 + 64);
            }
            let taken = (self.state.total_in() - before) as usize;
            let result = self.state.compress_vec(&part[taken..], out, flush);
            result.expect("there is no dictionary and no end, which alone can fail");
            // With room left over, all was flushed.
            if out.len() < out.capacity() {
                return;
            }
        }
    }
}
