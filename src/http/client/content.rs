//! Undoes what a server did to a body to make it smaller.

use super::Error;

/// Turns the bytes of a body as they came into those that were meant.
pub(super) trait Decode {
    /// Adds what `piece` stands for to `out`, and at most about `len_max` bytes. Returns how much
    /// of the piece it has used.
    ///
    /// # Errors
    ///
    /// The piece makes no sense.
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<usize, Error>;

    /// Takes note of the body's end.
    ///
    /// # Errors
    ///
    /// More was to come.
    fn finish(&mut self) -> Result<(), Error>;
}
