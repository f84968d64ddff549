//! The head of a part, which grows by a line at a time.

use std::ops::Range;

use super::{disposition::Disposition, multipart_error::MultipartError};
use crate::http::h1::{is_token, trim};

/// The most fields of one part's head. RFC 7578 knows three.
const FIELDS_MAX: usize = 16;

/// The head of a part: its fields, and its names.
#[derive(Debug, Default)]
pub(crate) struct PartHead {
    bytes: Vec<u8>,
    /// The places of names and values in the bytes.
    fields: Vec<(Range<usize>, Range<usize>)>,
    name: String,
    file_name: Option<String>,
}

impl PartHead {
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The names and values of all fields, in order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| {
            let name = std::str::from_utf8(&self.bytes[name.clone()]);
            let name = name.expect("a token is ASCII");
            (name, &self.bytes[value.clone()])
        })
    }

    /// The values of the fields called `name`, in any case.
    pub(crate) fn field_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The count of its bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Adds bytes of a line.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads the line that begins at `start` and is complete. Whether it was the empty one, which
    /// ends the head.
    pub(crate) fn end_line(&mut self, start: usize) -> Result<bool, MultipartError> {
        let line = &self.bytes[start..];
        let line = line.strip_suffix(b"\r\n").ok_or(MultipartError::LineEnd)?;
        if line.is_empty() {
            self.finish()?;
            return Ok(true);
        }
        let colon = line.iter().position(|&byte| byte == b':');
        let (name, value) = line.split_at(colon.ok_or(MultipartError::Field)?);
        let value = trim(&value[1..]);
        // No line that goes on the one before is taken: it begins with a blank.
        if !is_token(name) || !value.iter().all(|&byte| is_text(byte)) {
            return Err(MultipartError::Field);
        }
        if self.fields.len() == FIELDS_MAX {
            return Err(MultipartError::TooManyFields);
        }
        let name_end = start + name.len();
        let value_start = name_end + 1 + leading_blanks(&line[name.len() + 1..]);
        let value = value_start..value_start + value.len();
        self.fields.push((start..name_end, value));
        Ok(false)
    }

    /// Reads what the fields say of the part.
    fn finish(&mut self) -> Result<(), MultipartError> {
        let mut dispositions = self.field_all("content-disposition");
        let (Some(value), None) = (dispositions.next(), dispositions.next()) else {
            return Err(MultipartError::Disposition);
        };
        let Disposition { name, file_name } = Disposition::parse(value)?;
        drop(dispositions);
        let is_plain = |coding: &[u8]| {
            let plain = [&b"binary"[..], b"8bit", b"7bit"];
            plain.iter().any(|name| coding.eq_ignore_ascii_case(name))
        };
        if !self.field_all("content-transfer-encoding").all(is_plain) {
            return Err(MultipartError::TransferEncoding);
        }
        (self.name, self.file_name) = (name, file_name);
        Ok(())
    }
}

fn leading_blanks(bytes: &[u8]) -> usize {
    let is_blank = |&&byte: &&u8| byte == b' ' || byte == b'\t';
    bytes.iter().take_while(is_blank).count()
}

/// Whether `byte` may stand in a value: a tab or anything but a control character.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
