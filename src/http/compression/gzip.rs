//! gzip (RFC 1952).

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::Encode;

/// No name, no time, and an unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Room that a step has at least.
const ROOM_BYTES: usize = 1024;

struct Gzip {
    deflate: Compress,
    crc: Crc,
    has_begun: bool,
}

/// An encoder of `level` 1 to 9.
pub(super) fn gzip(level: u32) -> Box<dyn Encode> {
    Box::new(Gzip {
        deflate: Compress::new(Compression::new(level.clamp(1, 9)), false),
        crc: Crc::new(),
        has_begun: false,
    })
}

impl Gzip {
    fn run(&mut self, mut data: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> io::Result<()> {
        if !self.has_begun {
            self.has_begun = true;
            out.extend_from_slice(&HEADER);
        }
        loop {
            // The output is a half of the input or less, most often.
            out.reserve(ROOM_BYTES.max(data.len() / 2));
            let before = self.deflate.total_in();
            let status = self.deflate.compress_vec(data, out, flush);
            let status = status.map_err(io::Error::other)?;
            data = &data[(self.deflate.total_in() - before) as usize..];
            let has_room = out.len() < out.capacity();
            if status == Status::StreamEnd || data.is_empty() && has_room {
                return Ok(());
            }
        }
    }
}

impl Encode for Gzip {
    fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.crc.update(data);
        self.run(data, FlushCompress::None, out)
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.run(&[], FlushCompress::Sync, out)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        self.run(&[], FlushCompress::Finish, out)?;
        out.extend_from_slice(&self.crc.sum().to_le_bytes());
        out.extend_from_slice(&self.crc.amount().to_le_bytes());
        Ok(())
    }

    fn reset(&mut self) -> bool {
        self.deflate.reset();
        self.crc.reset();
        self.has_begun = false;
        true
    }
}
