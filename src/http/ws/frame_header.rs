//! The header of a frame (RFC 6455, section 5.2).

use super::{FrameError, Role};

/// Bytes of the longest header: two, a length of eight, and a key of four.
pub(crate) const LONGEST_HEADER_BYTES: usize = 14;

/// Bytes of the longest payload of a control frame.
pub(crate) const CONTROL_BYTES_MAX: usize = 125;

const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
pub(super) const MASKED: u8 = 0x80;
/// The first byte of a text message that is in one frame and not compressed.
pub(super) const WHOLE_TEXT: u8 = FINAL | 0x1;
/// The same of a message of bytes.
pub(super) const WHOLE_BINARY: u8 = FINAL | 0x2;
/// A second byte with this length is followed by one of two bytes.
const LEN_16: u8 = 126;
/// A second byte with this length is followed by one of eight bytes.
const LEN_64: u8 = 127;

/// The meaning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Opcode {
    /// Further bytes of the message that has begun.
    Continuation,
    /// A text message, or its first bytes.
    Text,
    /// A binary message, or its first bytes.
    Binary,
    /// The last frame of a direction.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    /// Whether it belongs to no message, and may stand between the frames of one.
    pub(crate) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    #[inline]
    fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// The facts that decide which headers are valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// The end that receives the frame.
    pub(super) role: Role,
    /// Whether messages may be compressed.
    pub(super) deflate: bool,
    /// Whether a message has begun and is not complete.
    pub(super) in_message: bool,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) opcode: Opcode,
    /// Whether it is the last frame of its message.
    pub(crate) is_final: bool,
    /// Whether the message that it begins is compressed (RFC 7692, section 6).
    pub(crate) is_compressed: bool,
    /// Bytes of the payload.
    pub(crate) len: u64,
    /// The key that the payload is masked with.
    pub(crate) key: Option<[u8; 4]>,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`. Returns it with its length, or `None` while it is
    /// incomplete.
    ///
    /// # Errors
    ///
    /// The first byte that breaks a rule decides, also when the header is incomplete.
    #[inline]
    pub(super) fn parse(
        bytes: &[u8],
        context: Context,
    ) -> Result<Option<(Self, usize)>, FrameError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let opcode = check_first(first, context)?;
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        check_second(second, opcode, context.role)?;
        let Some((len, len_end)) = parse_len(bytes, second)? else {
            return Ok(None);
        };
        let (key, end) = if context.role == Role::Server {
            let Some(key) = bytes[len_end..].first_chunk() else {
                return Ok(None);
            };
            (Some(*key), len_end + key.len())
        } else {
            (None, len_end)
        };
        let header = Self {
            opcode,
            is_final: first & FINAL != 0,
            is_compressed: first & COMPRESSED != 0,
            len,
            key,
        };
        Ok(Some((header, end)))
    }

    /// The first byte as it is sent.
    #[inline]
    fn first_byte(self) -> u8 {
        bit(self.is_final, FINAL) | bit(self.is_compressed, COMPRESSED) | self.opcode.bits()
    }

    /// The header as it is sent, if it has neither a key nor a long length.
    #[inline]
    pub(super) fn to_little(self) -> Option<[u8; 2]> {
        match (self.len, self.key) {
            (len @ 0..=125, None) => Some([self.first_byte(), len as u8]),
            _ => None,
        }
    }

    /// The header as it is sent.
    #[inline]
    pub(crate) fn to_bytes(self) -> HeaderBytes {
        let mut header = HeaderBytes {
            bytes: [0; LONGEST_HEADER_BYTES],
            len: 0,
        };
        header.push([self.first_byte()]);
        let masked = bit(self.key.is_some(), MASKED);
        match self.len {
            len @ 0..=125 => header.push([masked | len as u8]),
            len @ 126..=0xFFFF => {
                header.push([masked | LEN_16]);
                header.push((len as u16).to_be_bytes());
            }
            len => {
                header.push([masked | LEN_64]);
                header.push(len.to_be_bytes());
            }
        }
        if let Some(key) = self.key {
            header.push(key);
        }
        header
    }
}

#[inline]
fn bit(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// Holds the first byte against the rules.
#[inline]
fn check_first(first: u8, context: Context) -> Result<Opcode, FrameError> {
    if first & RESERVED != 0 {
        return Err(FrameError::ReservedBits);
    }
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(FrameError::OpcodeReserved)?;
    let begins = matches!(opcode, Opcode::Text | Opcode::Binary);
    if first & COMPRESSED != 0 && !(context.deflate && begins) {
        return Err(FrameError::ReservedBits);
    }
    if opcode.is_control() {
        if first & FINAL == 0 {
            return Err(FrameError::ControlFragmented);
        }
    } else if begins && context.in_message {
        return Err(FrameError::ContinuationMissing);
    } else if !begins && !context.in_message {
        return Err(FrameError::ContinuationUnexpected);
    }
    Ok(opcode)
}

/// Holds the second byte against the rules.
#[inline]
fn check_second(second: u8, opcode: Opcode, role: Role) -> Result<(), FrameError> {
    match (second & MASKED != 0, role) {
        (false, Role::Server) => return Err(FrameError::Unmasked),
        (true, Role::Client) => return Err(FrameError::Masked),
        _ => {}
    }
    if opcode.is_control() && usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
        return Err(FrameError::ControlTooLong);
    }
    Ok(())
}

/// The length of the payload and the place after it in `bytes`, or `None` while it is incomplete.
#[inline]
fn parse_len(bytes: &[u8], second: u8) -> Result<Option<(u64, usize)>, FrameError> {
    let rest = &bytes[2..];
    match second & !MASKED {
        LEN_16 => {
            let Some(len) = rest.first_chunk() else {
                return Ok(None);
            };
            match u64::from(u16::from_be_bytes(*len)) {
                0..126 => Err(FrameError::LengthNotMinimal),
                len => Ok(Some((len, 4))),
            }
        }
        LEN_64 => {
            let Some(len) = rest.first_chunk() else {
                return Ok(None);
            };
            match u64::from_be_bytes(*len) {
                0..0x1_0000 => Err(FrameError::LengthNotMinimal),
                0x8000_0000_0000_0000.. => Err(FrameError::LengthTooLarge),
                len => Ok(Some((len, 10))),
            }
        }
        len => Ok(Some((u64::from(len), 2))),
    }
}

/// The bytes of a header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderBytes {
    bytes: [u8; LONGEST_HEADER_BYTES],
    len: usize,
}

impl HeaderBytes {
    /// The bytes, 2 to 14.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    #[inline]
    fn push<const N: usize>(&mut self, bytes: [u8; N]) {
        self.bytes[self.len..self.len + N].copy_from_slice(&bytes);
        self.len += N;
    }
}
