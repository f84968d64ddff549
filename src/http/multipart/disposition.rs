//! `Content-Disposition` of a part (RFC 7578, section 4.2).

use super::{multipart_error::MultipartError, params};
use crate::http::percent::decode;

/// The names that a part has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Disposition {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
}

impl Disposition {
    pub(super) fn parse(value: &[u8]) -> Result<Self, MultipartError> {
        let (kind, params) = params::split(value);
        if !kind.eq_ignore_ascii_case(b"form-data") {
            return Err(MultipartError::DispositionInvalid);
        }
        let (mut name, mut file_name, mut extended) = (None, None, None);
        for param in params {
            let (found, value) = param.map_err(|_| MultipartError::DispositionInvalid)?;
            let (place, text) = if found.eq_ignore_ascii_case(b"name") {
                (&mut name, unescape(&value))
            } else if found.eq_ignore_ascii_case(b"filename") {
                (&mut file_name, unescape(&value))
            } else if found.eq_ignore_ascii_case(b"filename*") {
                let text = decode_extended(&value).ok_or(MultipartError::DispositionInvalid)?;
                (&mut extended, text)
            } else {
                continue;
            };
            // Programs disagree on which of two counts.
            if place.replace(text).is_some() {
                return Err(MultipartError::DispositionInvalid);
            }
        }
        Ok(Self {
            name: name.ok_or(MultipartError::NameMissing)?,
            file_name: file_name.or(extended),
        })
    }
}

/// A name with what browsers encode in it: line ends and quotes, and no percent sign.
fn unescape(name: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match rest {
            [b'%', b'0', b'A' | b'a', behind @ ..] => (b'\n', behind),
            [b'%', b'0', b'D' | b'd', behind @ ..] => (b'\r', behind),
            [b'%', b'2', b'2', behind @ ..] => (b'"', behind),
            _ => (*first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    text(&bytes)
}

/// A value as `UTF-8''a%20b` (RFC 8187). RFC 7578 forbids it, and some programs send it.
fn decode_extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, coded) = (parts.next()?, parts.next()?, parts.next()?);
    let is_utf8 = charset.eq_ignore_ascii_case(b"utf-8");
    is_utf8.then(|| text(&decode(coded, false)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
