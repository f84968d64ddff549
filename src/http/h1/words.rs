//! Eight bytes at a time.
//!
//! Names and targets are too short for a vectorised search, which takes longer to begin than to
//! look at them.
//!
//! The high bit of each byte is the answer for that byte. The lowest one that is set is right;
//! those above it may be wrong.

/// A one in each byte.
pub(super) const ONES: u64 = u64::MAX / 0xFF;
/// The high bit of each byte.
pub(super) const HIGH: u64 = ONES * 0x80;

/// The bytes that are less than `limit`, which is at most 128.
#[inline]
pub(super) fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH
}

/// The bytes that are `byte`.
#[inline]
pub(super) fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// The place of the first byte, of a word read in little endian, whose bit is set in `bits`.
#[inline]
pub(super) fn first_of(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}
