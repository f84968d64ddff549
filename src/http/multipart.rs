//! `multipart/form-data` without I/O: bytes in, the heads and bytes of parts out.
//!
//! It follows RFC 7578, and RFC 2046 for the boundaries. [`boundary`] reads the boundary from the
//! `Content-Type` of the message. [`Parser`] takes the body in pieces of any size, holds nothing
//! but the head of one part, and gives the bytes of a part as places in the piece. A boundary that
//! is cut by the end of a piece is only counted: its bytes are known, so they need no memory.
//!
//! Where two parsers could disagree on where a part ends or what it is called, it refuses: a line
//! that begins as a boundary does but goes on, a line end without its CR, a name that is there
//! twice.

mod boundary;
mod disposition;
mod file_name;
mod limits;
mod multipart_error;
mod params;
mod parser;
mod part_head;
#[cfg(test)]
mod tests;

pub(crate) use boundary::{Boundary, boundary};
pub(crate) use file_name::safe_file_name;
pub(crate) use limits::Limits;
pub use multipart_error::MultipartError;
pub(crate) use parser::{Parsed, Parser};
pub(crate) use part_head::PartHead;
