//! The limits of a body in parts.

/// The most parts of one body.
const PARTS_MAX: usize = 100;
/// The most bytes of one part's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The limits of a body in parts. That on the whole body is the body's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) parts_max: usize,
    pub(crate) head_bytes_max: usize,
    pub(crate) part_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parts_max: PARTS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
            part_bytes_max: u64::MAX,
        }
    }
}
