//! Zstandard (RFC 8878).

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Decode, Result, Step, broken, cut};

/// The largest window: the decoded bytes that a frame may refer to (RFC 9659).
const WINDOW_BYTES_MAX: u64 = 8 << 20;
/// The bytes of a body that skippable frames may have, such as those with tables for seeking.
const SKIPPED_BYTES_MAX: u64 = 16 << 20;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The beginning of a frame that is to be skipped, after a byte from 0x50 to 0x5f.
const SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// Bytes that were used, and after them those of a block that has not come whole.
    parked: Vec<u8>,
    used: usize,
    in_frame: bool,
    has_checksum: bool,
    /// The bytes that are left of a skippable frame.
    skip: u64,
    skipped: u64,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            parked: Vec::new(),
            used: 0,
            in_frame: false,
            has_checksum: false,
            skip: 0,
            skipped: 0,
        }
    }

    /// Reads a header or a block from what is parked, or skips a part of it. Returns whether there
    /// was a whole one.
    fn advance(&mut self) -> Result<bool> {
        if self.skip > 0 {
            let len = self.skip.min(self.rest().len() as u64);
            self.used += len as usize;
            self.skip -= len;
            return Ok(len > 0);
        }
        if !self.in_frame
            && self
                .rest()
                .first()
                .is_some_and(|first| first & 0xf0 == 0x50)
        {
            return self.begin_skipping();
        }
        if !self.in_frame {
            let Some(header) = Header::parse(self.rest())? else {
                return Ok(false);
            };
            let mut bytes = &self.parked[self.used..self.used + header.len];
            self.decoder.reset(&mut bytes).map_err(|_| broken())?;
            self.used += header.len;
            self.in_frame = true;
            self.has_checksum = header.has_checksum;
            return Ok(true);
        }
        let Some(len) = block_len(self.rest(), self.has_checksum) else {
            return Ok(false);
        };
        let mut bytes = &self.parked[self.used..self.used + len];
        self.decoder
            .decode_blocks(&mut bytes, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| broken())?;
        self.used += len;
        Ok(true)
    }

    fn rest(&self) -> &[u8] {
        &self.parked[self.used..]
    }

    /// Adds what came. Used bytes are dropped when they are most of the buffer, so that the rest is
    /// not moved for each small block.
    fn park(&mut self, piece: &[u8]) {
        if self.used * 2 >= self.parked.len() {
            self.parked.drain(..self.used);
            self.used = 0;
        }
        self.parked.extend_from_slice(piece);
    }

    /// Reads the header of a frame that is to be skipped (RFC 8878, section 3.1.2).
    fn begin_skipping(&mut self) -> Result<bool> {
        let rest = self.rest();
        let magic = &rest[1..rest.len().min(4)];
        if !SKIPPABLE_MAGIC.starts_with(magic) {
            return Err(broken());
        }
        let Some(size) = rest.get(4..8) else {
            return Ok(false);
        };
        let size = size.try_into().expect("these are four bytes");
        self.skip = u64::from(u32::from_le_bytes(size));
        self.skipped += 8 + self.skip;
        if self.skipped > SKIPPED_BYTES_MAX {
            return Err(broken());
        }
        self.used += 8;
        Ok(true)
    }
}

impl Decode for Zstd {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, _len_max: usize) -> Result<Step> {
        self.park(piece);
        let mut has_more = true;
        while out.is_empty() && has_more {
            has_more = self.advance()?;
            if self.in_frame {
                self.decoder
                    .collect_to_writer(&mut *out)
                    .map_err(|_| broken())?;
                if self.decoder.is_finished() {
                    let expected = self.decoder.get_checksum_from_data();
                    if expected.is_some() && expected != self.decoder.get_calculated_checksum() {
                        return Err(broken());
                    }
                    self.in_frame = false;
                }
            }
        }
        Ok(Step {
            used: piece.len(),
            has_more,
        })
    }

    fn finish(&mut self) -> Result<()> {
        match self.in_frame || self.skip > 0 || !self.rest().is_empty() {
            true => Err(cut()),
            false => Ok(()),
        }
    }
}

/// The header of a frame, as far as it matters for limits.
struct Header {
    len: usize,
    has_checksum: bool,
}

impl Header {
    /// Reads the header at the start of `bytes`; `None` while it is incomplete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let there = bytes.len().min(4);
        if bytes[..there] != MAGIC[..there] {
            return Err(broken());
        }
        let Some(&descriptor) = bytes.get(4) else {
            return Ok(None);
        };
        let is_single = descriptor & 0x20 != 0;
        let dictionary_len = [0, 1, 2, 4][usize::from(descriptor & 3)];
        let size_len = match descriptor >> 6 {
            0 => usize::from(is_single),
            1 => 2,
            2 => 4,
            _ => 8,
        };
        let size_start = 5 + usize::from(!is_single) + dictionary_len;
        let len = size_start + size_len;
        if bytes.len() < len {
            return Ok(None);
        }
        let window = if is_single {
            let mut size = [0; 8];
            size[..size_len].copy_from_slice(&bytes[size_start..len]);
            u64::from_le_bytes(size)
        } else {
            let base = 1_u64 << (10 + (bytes[5] >> 3));
            base + base / 8 * u64::from(bytes[5] & 7)
        };
        if window > WINDOW_BYTES_MAX {
            return Err(broken());
        }
        let has_checksum = descriptor & 4 != 0;
        Ok(Some(Self { len, has_checksum }))
    }
}

/// The length of the block at the start of `bytes`, the frame's checksum after the last one
/// included; `None` while it is incomplete.
fn block_len(bytes: &[u8], has_checksum: bool) -> Option<usize> {
    let header = bytes.get(..3)?;
    let header = u32::from_le_bytes([header[0], header[1], header[2], 0]);
    let is_last = header & 1 != 0;
    // A run is one byte, however long it gets.
    let is_run = (header >> 1) & 3 == 1;
    let content = if is_run { 1 } else { (header >> 3) as usize };
    let checksum = if is_last && has_checksum { 4 } else { 0 };
    let len = 3 + content + checksum;
    (bytes.len() >= len).then_some(len)
}
