//! Adapters between this crate and the libraries of other runtimes.
//!
//! Each part has a feature that brings the traits of the libraries in question and no runtime.
