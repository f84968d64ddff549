//! The parts that programs and tests of this package share.

pub mod program;

/// The blocks of Rust on this page are compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/observability.md")]
pub mod observability {}
