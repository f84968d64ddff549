//! Decompresses bodies.

use crate::http::client::error::Result;

/// The progress of one call of a decoder.
pub(crate) struct Step {
    /// How many bytes of the piece it is done with.
    pub(crate) used: usize,
    /// Whether it has more to give out without another byte.
    pub(crate) has_more: bool,
}

/// Decompresses the bytes of a body.
pub(crate) trait Decode {
    /// Adds the next decompressed bytes to `out`: no more than `len_max` bytes, or one block of the
    /// format.
    ///
    /// # Errors
    ///
    /// The piece makes no sense.
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<Step>;

    /// Takes note of the body's end.
    ///
    /// # Errors
    ///
    /// More was to come.
    fn finish(&mut self) -> Result<()>;
}

/// The decoder for the codings of a body, and their names in the order in which they were applied.
pub(crate) type Decoder = (Box<dyn Decode>, Vec<&'static str>);
