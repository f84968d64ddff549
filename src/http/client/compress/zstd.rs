//! Zstandard (RFC 8878).

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{Decode, Result, Step, broken, cut};

/// How much of what was decoded a frame may refer to (RFC 9659).
const WINDOW_BYTES_MAX: u64 = 8 << 20;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub(super) struct Zstd {
    decoder: FrameDecoder,
    /// What came and belongs to a block that has not come whole.
    parked: Vec<u8>,
    in_frame: bool,
    has_checksum: bool,
}

impl Zstd {
    pub(super) fn new() -> Self {
        Self {
            decoder: FrameDecoder::new(),
            parked: Vec::new(),
            in_frame: false,
            has_checksum: false,
        }
    }

    /// Reads a header or a block from what is parked. Returns whether there was a whole one.
    fn advance(&mut self) -> Result<bool> {
        if !self.in_frame {
            let Some(header) = Header::parse(&self.parked)? else {
                return Ok(false);
            };
            let mut bytes = &self.parked[..header.len];
            self.decoder.reset(&mut bytes).map_err(|_| broken())?;
            self.parked.drain(..header.len);
            self.in_frame = true;
            self.has_checksum = header.has_checksum;
            return Ok(true);
        }
        let Some(len) = block_len(&self.parked, self.has_checksum) else {
            return Ok(false);
        };
        let mut bytes = &self.parked[..len];
        self.decoder
            .decode_blocks(&mut bytes, BlockDecodingStrategy::UptoBlocks(1))
            .map_err(|_| broken())?;
        self.parked.drain(..len);
        Ok(true)
    }
}

impl Decode for Zstd {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, _len_max: usize) -> Result<Step> {
        self.parked.extend_from_slice(piece);
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
        match self.in_frame || !self.parked.is_empty() {
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

/// The length of the block at the start of `bytes`, the frame's checksum behind the last one
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
