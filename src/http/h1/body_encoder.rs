//! Encodes a body as its head has promised it.

use std::fmt;

use ::http::{HeaderName, HeaderValue};

use super::{
    BodyLength,
    chunk_encoder::{CHUNK_END, ChunkHeader, LAST_CHUNK, write_trailers},
};

/// Frames the data of a body as its head said, and counts it where the head told the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyEncoder {
    length: BodyLength,
}

/// How a piece of data goes on the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DataFrame {
    /// Not at all: the message has no body, or the piece is empty.
    Skip,
    /// As it is.
    Plain,
    /// Behind this line and before `CHUNK_END`.
    Chunk(ChunkHeader),
}

/// The data of a body is not what its head promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromiseBroken {
    /// There is more data than promised. None of the surplus may be sent.
    Surplus,
    /// There is less data than promised. The connection must be cut: the peer waits for the rest.
    Short,
}

impl BodyEncoder {
    /// An encoder for a body whose head told its length so.
    pub(crate) fn new(length: BodyLength) -> Self {
        Self { length }
    }

    /// Whether data goes on the wire as it is, without framing around its pieces.
    pub(crate) fn is_plain(&self) -> bool {
        self.length != BodyLength::Chunked
    }

    /// Says how the next `len` bytes of data go on the wire, and counts them as sent.
    ///
    /// # Errors
    ///
    /// `Surplus` when they are more than promised. They do not count then.
    #[inline]
    pub(crate) fn frame(&mut self, len: usize) -> Result<DataFrame, PromiseBroken> {
        if len == 0 {
            return Ok(DataFrame::Skip);
        }
        match &mut self.length {
            BodyLength::None => Ok(DataFrame::Skip),
            BodyLength::UntilClose => Ok(DataFrame::Plain),
            BodyLength::Chunked => {
                Ok(ChunkHeader::new(len).map_or(DataFrame::Skip, DataFrame::Chunk))
            }
            BodyLength::Sized(left) => {
                *left = left.checked_sub(len as u64).ok_or(PromiseBroken::Surplus)?;
                Ok(DataFrame::Plain)
            }
        }
    }

    /// Appends `data` in its framing.
    ///
    /// # Errors
    ///
    /// As [`frame`](Self::frame). Nothing has been written then.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, data: &[u8]) -> Result<(), PromiseBroken> {
        match self.frame(data.len())? {
            DataFrame::Skip => {}
            DataFrame::Plain => out.extend_from_slice(data),
            DataFrame::Chunk(header) => {
                out.extend_from_slice(header.as_slice());
                out.extend_from_slice(data);
                out.extend_from_slice(CHUNK_END);
            }
        }
        Ok(())
    }

    /// Appends what ends the body.
    ///
    /// # Errors
    ///
    /// `Short` when data is missing.
    pub(crate) fn finish(self, out: &mut Vec<u8>) -> Result<(), PromiseBroken> {
        match self.length {
            BodyLength::Chunked => out.extend_from_slice(LAST_CHUNK),
            BodyLength::Sized(1..) => return Err(PromiseBroken::Short),
            BodyLength::Sized(0) | BodyLength::None | BodyLength::UntilClose => {}
        }
        Ok(())
    }

    /// As [`finish`](Self::finish), with trailers where the framing has a place for them.
    ///
    /// # Errors
    ///
    /// `Short` when data is missing.
    pub(crate) fn finish_with_trailers<'a>(
        self,
        out: &mut Vec<u8>,
        trailers: impl IntoIterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    ) -> Result<(), PromiseBroken> {
        if self.length == BodyLength::Chunked {
            write_trailers(out, trailers);
            return Ok(());
        }
        self.finish(out)
    }
}

impl fmt::Display for PromiseBroken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Surplus => "expected no more data than the head promised, found more",
            Self::Short => "expected as much data as the head promised, found less",
        })
    }
}

impl std::error::Error for PromiseBroken {}
