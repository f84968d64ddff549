//! The place of Zstandard where the feature is off.

use super::Encode;

/// None: there is no encoder.
pub(super) fn zstd(_level: u32) -> Option<Box<dyn Encode>> {
    None
}
