//! Helpers that the programs and tests of this package share.
