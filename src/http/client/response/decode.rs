//! Undoes what a server did to a body to make it smaller.

use crate::http::client::error::Result;

/// What one call of a decoder has done.
pub(crate) struct Step {
    /// How many bytes of the piece it is done with.
    pub(crate) used: usize,
    /// Whether it has more to give out without another byte.
    pub(crate) has_more: bool,
}

/// Turns the bytes of a body as they came into those that were meant.
pub(crate) trait Decode {
    /// Adds the next of what was meant to `out`: no more than `len_max` bytes, or one block of the
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

/// What undoes the codings of a body, and their names in the order in which they were applied.
pub(crate) type Decoder = (Box<dyn Decode>, Vec<&'static str>);
