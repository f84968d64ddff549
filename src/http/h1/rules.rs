//! The rules that a message has to keep: limits and leniency together.

use super::{Leniency, Limits};

/// The rules for the messages of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) leniency: Leniency,
}

/// The longest head or trailer section, so that a place in it fits 16 bits.
pub(super) const HEAD_BYTES_LIMIT: usize = u16::MAX as usize;

/// The largest number of fields in a head, so that their slices fit an array on the stack.
pub(super) const FIELDS_LIMIT: usize = 128;

impl Rules {
    /// The limit on a head's bytes that is in force.
    pub(super) fn head_bytes_max(&self) -> usize {
        self.limits.head_bytes_max.min(HEAD_BYTES_LIMIT)
    }

    /// The limit on a head's fields that is in force.
    pub(super) fn fields_max(&self) -> usize {
        self.limits.fields_max.min(FIELDS_LIMIT)
    }

    /// The limit on a trailer section's bytes that is in force.
    pub(super) fn trailer_bytes_max(&self) -> usize {
        self.limits.trailer_bytes_max.min(HEAD_BYTES_LIMIT)
    }
}
