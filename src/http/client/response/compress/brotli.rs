//! Brotli (RFC 7932).

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};

use super::{Decode, Result, Step, broken, cut};

pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    total: usize,
    has_begun: bool,
    is_over: bool,
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())),
            total: 0,
            has_begun: false,
            is_over: false,
        }
    }
}

impl Decode for Brotli {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<Step> {
        if self.is_over {
            return Ok(Step {
                used: piece.len(),
                has_more: false,
            });
        }
        self.has_begun = true;
        let start = out.len();
        out.resize(start + len_max, 0);
        let (mut left, mut used) = (piece.len(), 0);
        let (mut room, mut given) = (len_max, 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut used,
            piece,
            &mut room,
            &mut given,
            &mut out[start..],
            &mut self.total,
            &mut self.state,
        );
        out.truncate(start + given);
        let has_more = match result {
            BrotliResult::ResultSuccess => {
                self.is_over = true;
                false
            }
            BrotliResult::NeedsMoreInput => false,
            BrotliResult::NeedsMoreOutput => true,
            BrotliResult::ResultFailure => return Err(broken()),
        };
        Ok(Step { used, has_more })
    }

    fn finish(&mut self) -> Result<()> {
        match self.has_begun && !self.is_over {
            true => Err(cut()),
            false => Ok(()),
        }
    }
}
