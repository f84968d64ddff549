//! Compression of content without I/O: the codings, and the encoders that a thread uses again.
//!
//! Feature: `compress`.

mod brotli;
mod gzip;
mod lent;
mod media_types;
#[cfg(not(feature = "compress-zstd"))]
mod no_zstd;
#[cfg(feature = "compress-zstd")]
mod zstd;

use std::io;

pub(crate) use lent::Lent;
pub(crate) use media_types::is_compressible;
#[cfg(not(feature = "compress-zstd"))]
use no_zstd::zstd;
#[cfg(feature = "compress-zstd")]
use zstd::zstd;

/// An encoder of one content at a time.
trait Encode {
    /// Takes `data`, and appends what is ready to `out`.
    fn write(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends all that was taken, so that a client can decode it.
    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends the rest and the end.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()>;

    /// Begins a new content; false when it cannot, and another encoder has to be made.
    fn reset(&mut self) -> bool;
}

#[cfg(test)]
mod tests;
