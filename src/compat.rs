//! Adapters between this crate and the libraries of other runtimes.
//!
//! Each part has a feature that brings the traits of the libraries in question and no runtime.
//! `tokio-context` is the exception: it brings tokio's runtime, for libraries that need one.

#[cfg(feature = "tokio-context")]
mod context;

#[cfg(feature = "tokio-context")]
pub use context::{InTokio, OnTokio, Tokio, in_tokio, on_tokio};
