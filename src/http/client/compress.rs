//! Undoes gzip, deflate, brotli and zstd.
//!
//! A decoder is given what came, piece by piece, and gives out a bounded amount at a time, so that a
//! small body which stands for a huge one fills no memory. A body that ends before its format does is
//! an error.

mod brotli;
mod gzip;
mod zstd;

use super::{
    Error, ErrorKind, Result,
    content::{Decode, Step},
};

/// What is said in `Accept-Encoding`.
pub(super) const ACCEPTED: Option<&str> = Some("gzip, deflate, br, zstd");

/// A decoder for the coding in `Content-Encoding`. One that is unknown, or a list, is left to the
/// caller.
pub(super) fn decoder(coding: &[u8]) -> Option<Box<dyn Decode>> {
    match &*coding.trim_ascii().to_ascii_lowercase() {
        b"gzip" | b"x-gzip" => Some(Box::new(gzip::Gzip::new())),
        b"deflate" => Some(Box::new(gzip::Deflate::new())),
        b"br" => Some(Box::new(brotli::Brotli::new())),
        b"zstd" => Some(Box::new(zstd::Zstd::new())),
        _ => None,
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Decode("the compressed body is broken"))
}

fn cut() -> Error {
    Error::new(ErrorKind::Decode("the compressed body is cut off"))
}
