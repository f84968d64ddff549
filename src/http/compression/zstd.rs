//! Zstandard (RFC 8878).
//!
//! Feature: `compress-zstd`.

use std::io;

use ::zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation as _, OutBuffer};

use super::Encode;

/// The window: 256 KiB. A larger one costs memory for each stream, and helps pages little.
const WINDOW_BITS: u32 = 18;
/// Room that a step has at least.
const ROOM_BYTES: usize = 1024;

struct Zstd {
    encoder: Encoder<'static>,
}

/// An encoder of `level` 1 to 19, if there can be one.
pub(super) fn zstd(level: u32) -> Option<Box<dyn Encode>> {
    let mut encoder = Encoder::new(level.clamp(1, 19) as i32).ok()?;
    encoder
        .set_parameter(CParameter::WindowLog(WINDOW_BITS))
        .ok()?;
    Some(Box::new(Zstd { encoder }))
}

impl Encode for Zstd {
    fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let mut input = InBuffer::around(data);
        while input.pos() < data.len() {
            out.reserve(ROOM_BYTES.max((data.len() - input.pos()) / 2));
            let len = out.len();
            self.encoder
                .run(&mut input, &mut OutBuffer::around_pos(out, len))?;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(ROOM_BYTES);
            let len = out.len();
            if self.encoder.flush(&mut OutBuffer::around_pos(out, len))? == 0 {
                return Ok(());
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        loop {
            out.reserve(ROOM_BYTES);
            let len = out.len();
            if self
                .encoder
                .finish(&mut OutBuffer::around_pos(out, len), true)?
                == 0
            {
                return Ok(());
            }
        }
    }

    fn reset(&mut self) -> bool {
        self.encoder.reinit().is_ok()
    }
}
