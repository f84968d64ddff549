//! Undoes gzip, deflate, brotli and zstd, one or several on one body.
//!
//! A decoder takes the bytes that came, piece by piece, and gives out a bounded amount at a time,
//! so that a small body which decodes to a huge one fills no memory. A body that ends before its
//! format does is an error.

mod brotli;
mod gzip;
mod zstd;

use super::decode::{Decode, Decoder, Step};
use crate::http::client::error::{Error, ErrorKind, Result};

/// The value of `Accept-Encoding`.
pub(crate) const ACCEPTED: Option<&str> = Some("gzip, deflate, br, zstd");

/// Codings of one body that are undone.
const CODINGS_MAX: usize = 4;
/// Bytes between two codings that stand for nothing, in a row. A small body could stand for any
/// amount of them.
const BARREN_BYTES_MAX: usize = 4 << 20;

/// A decoder for the codings in `Content-Encoding`, in the order in which they were applied, and
/// their names. None when there is nothing to undo, or when one of them is unknown: the body is
/// left to the caller as it is then, since a part of its codings is of no use undone.
pub(crate) fn decoder<'a>(codings: impl Iterator<Item = &'a [u8]>) -> Option<Decoder> {
    let mut names = Vec::new();
    for coding in codings {
        let name = match &*coding.to_ascii_lowercase() {
            b"identity" => continue,
            b"gzip" | b"x-gzip" => "gzip",
            b"deflate" => "deflate",
            b"br" => "br",
            b"zstd" => "zstd",
            _ => return None,
        };
        names.push(name);
    }
    if names.len() > CODINGS_MAX {
        return Some((Box::new(TooMany), names));
    }
    let mut made: Option<Box<dyn Decode>> = None;
    for &name in &names {
        let next: Box<dyn Decode> = match name {
            "gzip" => Box::new(gzip::Gzip::new()),
            "deflate" => Box::new(gzip::Deflate::new()),
            "br" => Box::new(brotli::Brotli::new()),
            _ => Box::new(zstd::Zstd::new()),
        };
        // The one that was applied last is the first to be undone.
        made = Some(match made {
            Some(inner) => Box::new(Chain::new(next, inner)),
            None => next,
        });
    }
    Some((made?, names))
}

/// A body with more codings than any server has a reason for.
struct TooMany;

impl Decode for TooMany {
    fn decode(&mut self, _: &[u8], _: &mut Vec<u8>, _: usize) -> Result<Step> {
        self.finish()?;
        unreachable!("it has failed")
    }

    fn finish(&mut self) -> Result<()> {
        let text = "expected at most 4 codings of a body, found more";
        Err(Error::new(ErrorKind::Decode(text)))
    }
}

/// A coding around others.
struct Chain {
    outer: Box<dyn Decode>,
    outer_has_more: bool,
    inner: Box<dyn Decode>,
    inner_has_more: bool,
    /// The bytes that the outer one gave out, and how many of them the inner one has used.
    between: Vec<u8>,
    used: usize,
    barren_bytes: usize,
}

impl Chain {
    fn new(outer: Box<dyn Decode>, inner: Box<dyn Decode>) -> Self {
        Self {
            outer,
            outer_has_more: false,
            inner,
            inner_has_more: false,
            between: Vec::new(),
            used: 0,
            barren_bytes: 0,
        }
    }
}

impl Decode for Chain {
    fn decode(&mut self, piece: &[u8], out: &mut Vec<u8>, len_max: usize) -> Result<Step> {
        let mut used = 0;
        while out.is_empty() {
            if self.inner_has_more || self.used < self.between.len() {
                let step = self
                    .inner
                    .decode(&self.between[self.used..], out, len_max)?;
                self.used += step.used;
                self.inner_has_more = step.has_more;
                self.barren_bytes += step.used;
                if self.barren_bytes > BARREN_BYTES_MAX && out.is_empty() {
                    return Err(broken());
                }
            } else if self.outer_has_more || used < piece.len() {
                self.between.clear();
                self.used = 0;
                let step = self
                    .outer
                    .decode(&piece[used..], &mut self.between, len_max)?;
                used += step.used;
                self.outer_has_more = step.has_more;
            } else {
                self.between = Vec::new();
                self.used = 0;
                return Ok(Step {
                    used,
                    has_more: false,
                });
            }
        }
        self.barren_bytes = 0;
        let is_between = self.inner_has_more || self.used < self.between.len();
        Ok(Step {
            used,
            has_more: is_between || self.outer_has_more,
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.outer.finish()?;
        self.inner.finish()
    }
}

fn broken() -> Error {
    Error::new(ErrorKind::Decode("the compressed body is broken"))
}

fn cut() -> Error {
    Error::new(ErrorKind::Decode("the compressed body is cut off"))
}
