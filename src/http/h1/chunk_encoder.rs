//! Frames a body in chunks (RFC 9112, section 7.1).

use ::http::{HeaderName, HeaderValue};

use super::{fields::is_forbidden_trailer, write::write_field};

/// The bytes after the data of a chunk.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";

/// The end of a body without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The line that goes before the data of a chunk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkHeader {
    bytes: [u8; 18],
    start: u8,
}

impl ChunkHeader {
    /// The line for a chunk of `len` bytes, or `None` for an empty one, which would end the body.
    #[inline]
    pub(crate) fn new(len: usize) -> Option<Self> {
        if len == 0 {
            return None;
        }
        let mut bytes = *b"................\r\n";
        let mut start = 16;
        let mut rest = len;
        while rest > 0 {
            start -= 1;
            bytes[start] = b"0123456789ABCDEF"[rest & 15];
            rest >>= 4;
        }
        Some(Self {
            bytes,
            start: start as u8,
        })
    }

    /// The bytes of the line.
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.start)..]
    }
}

/// Appends the end of a body with `trailers`. Those that must not be sent as trailers are left
/// out.
pub(crate) fn write_trailers<'a>(
    out: &mut Vec<u8>,
    trailers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers {
        if !is_forbidden_trailer(name.as_str().as_bytes()) {
            write_field(out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
