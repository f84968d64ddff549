//! The boundary between parts, from the `Content-Type` of a message.

use super::{multipart_error::MultipartError, params};
use crate::http::h1::is_token;

/// The longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_BYTES_MAX: usize = 70;

/// The line that parts are separated by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// CR LF, two dashes, and the boundary's characters.
    delimiter: Vec<u8>,
}

impl Boundary {
    pub(crate) fn new(characters: &[u8]) -> Option<Self> {
        let fits = (1..=BOUNDARY_BYTES_MAX).contains(&characters.len())
            && characters.iter().all(|&byte| is_boundary_byte(byte))
            && !characters.ends_with(b" ");
        fits.then(|| Self {
            delimiter: [b"\r\n--", characters].concat(),
        })
    }

    pub(crate) fn delimiter(&self) -> &[u8] {
        &self.delimiter
    }
}

/// Whether `byte` is one of RFC 2046's `bchars`, or may be part of a token, which is what other
/// programs take.
fn is_boundary_byte(byte: u8) -> bool {
    is_token(&[byte]) || b"(),/:=? ".contains(&byte)
}

/// The boundary of a message with this `Content-Type`; none when its type is another one.
pub(crate) fn boundary(content_type: &[u8]) -> Option<Result<Boundary, MultipartError>> {
    let (media_type, params) = params::split(content_type);
    if !media_type.eq_ignore_ascii_case(b"multipart/form-data") {
        return None;
    }
    let mut found = None;
    for param in params {
        match param {
            Ok((name, value)) if name.eq_ignore_ascii_case(b"boundary") => {
                if found.replace(value).is_some() {
                    return Some(Err(MultipartError::Boundary));
                }
            }
            Ok(_) => {}
            Err(params::Malformed) => return Some(Err(MultipartError::Boundary)),
        }
    }
    let boundary = found.and_then(|characters| Boundary::new(&characters));
    Some(boundary.ok_or(MultipartError::Boundary))
}
