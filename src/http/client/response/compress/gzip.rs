//! Deflate, bare and in the wrappings of zlib (RFC 1950) and gzip (RFC 1952).

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Decode, Result, Step, broken, cut};

/// Bytes of a gzip member's header. File names and comments are in it.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Runs one step of `inflate`, and tells whether the stream has ended, too.
fn inflate(
    inflate: &mut Decompress,
    piece: &[u8],
    out: &mut Vec<u8>,
    len_max: usize,
) -> Result<(Step, bool)> {
    out.reserve_exact(len_max);
    let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress_vec(piece, out, FlushDecompress::None)
        .map_err(|_| broken())?;
    // Both are at most what was given.
    let used = (inflate.total_in() - before_in) as usize;
    let given = (inflate.total_out() - before_out) as usize;
    let is_end = status == Status::StreamEnd;
    if used == 0 && given == 0 && !is_end && !piece.is_empty() {
        return Err(broken());
    }
    let has_more = !is_end && out.len() == out.capacity();
    Ok((Step { used, has_more }, is_end))
}

/// `deflate`, which is zlib by the book and bare deflate from some servers.
pub(super) struct Deflate {
    inflate: Option<Decompress>,
    has_begun: bool,
    is_over: bool,
}

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            inflate: None,
            has_begun: false,
            is_over: false,
        }
    }
}

impl Decode for Deflate {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<Step> {
        if self.is_over {
            return Ok(Step {
                used: piece.len(),
                has_more: false,
            });
        }
        self.has_begun = true;
        // The method in the low bits of the first byte is 8 for zlib; a bare stream that begins so
        // would begin with a stored block whose padding is not zero.
        let is_zlib = piece.first().is_some_and(|first| first & 15 == 8);
        let state = self.inflate.get_or_insert_with(|| Decompress::new(is_zlib));
        let (step, is_end) = inflate(state, piece, out, len_max)?;
        self.is_over = is_end;
        Ok(step)
    }

    fn finish(&mut self) -> Result<()> {
        match self.has_begun && !self.is_over {
            true => Err(cut()),
            false => Ok(()),
        }
    }
}

/// `gzip`: one member, or several in a row.
pub(super) struct Gzip {
    state: State,
    /// A header or trailer that has not come whole.
    parked: Vec<u8>,
    inflate: Decompress,
    crc: Crc,
    member_count: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Header,
    Body,
    Trailer,
    /// The bytes after the last member are no member.
    Junk,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            state: State::Header,
            parked: Vec::new(),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            member_count: 0,
        }
    }

    fn header(&mut self, piece: &[u8]) -> Result<usize> {
        let before = self.parked.len();
        self.parked.extend_from_slice(piece);
        match header_len(&self.parked) {
            Ok(Some(len)) => {
                self.parked.clear();
                self.state = State::Body;
                self.inflate.reset(false);
                self.crc.reset();
                // It ends within the piece, or an earlier call would have found it.
                Ok(len - before)
            }
            Ok(None) if self.parked.len() > HEADER_BYTES_MAX => Err(broken()),
            Ok(None) => Ok(piece.len()),
            // Padding behind the members is common.
            Err(()) if self.member_count > 0 => {
                self.parked.clear();
                self.state = State::Junk;
                Ok(piece.len())
            }
            Err(()) => Err(broken()),
        }
    }

    fn trailer(&mut self, piece: &[u8]) -> Result<usize> {
        let used = piece.len().min(8 - self.parked.len());
        self.parked.extend_from_slice(&piece[..used]);
        if let Ok(trailer) = <[u8; 8]>::try_from(&self.parked[..]) {
            let found = u64::from_le_bytes(trailer);
            let expected = u64::from(self.crc.sum()) | (u64::from(self.crc.amount()) << 32);
            if found != expected {
                return Err(broken());
            }
            self.parked.clear();
            self.member_count += 1;
            self.state = State::Header;
        }
        Ok(used)
    }
}

impl Decode for Gzip {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<Step> {
        let used = match self.state {
            State::Header => self.header(piece)?,
            State::Trailer => self.trailer(piece)?,
            State::Junk => piece.len(),
            State::Body => {
                let start = out.len();
                let (step, is_end) = inflate(&mut self.inflate, piece, out, len_max)?;
                self.crc.update(&out[start..]);
                if is_end {
                    self.state = State::Trailer;
                }
                return Ok(step);
            }
        };
        Ok(Step {
            used,
            has_more: false,
        })
    }

    fn finish(&mut self) -> Result<()> {
        let is_between = self.state == State::Header && self.parked.is_empty();
        match is_between || self.state == State::Junk {
            true => Ok(()),
            false => Err(cut()),
        }
    }
}

/// The length of the header at the start of `bytes`, or `None` while it is incomplete.
fn header_len(bytes: &[u8]) -> Result<Option<usize>, ()> {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    let there = bytes.len().min(3);
    if bytes[..there] != MAGIC[..there] {
        return Err(());
    }
    let Some(&flags) = bytes.get(3) else {
        return Ok(None);
    };
    if flags & 0xe0 != 0 {
        return Err(());
    }
    let mut len = 10;
    if flags & 4 != 0 {
        let Some(extra) = bytes.get(len..len + 2) else {
            return Ok(None);
        };
        len += 2 + usize::from(u16::from_le_bytes([extra[0], extra[1]]));
    }
    // A name and a comment, each with a zero behind it.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let rest = bytes.get(len..).unwrap_or_default();
            let Some(zero) = rest.iter().position(|&byte| byte == 0) else {
                return Ok(None);
            };
            len += zero + 1;
        }
    }
    if flags & 2 != 0 {
        len += 2;
    }
    Ok((bytes.len() >= len).then_some(len))
}
