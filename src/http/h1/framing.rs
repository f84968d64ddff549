//! Reads the fields of a head that are about its framing and its connection.

use super::{
    BodyLength, HeadError, Leniency,
    token::{is_same_name, is_token, list, trim},
};

/// The values of the fields that matter to the protocol. Each field is looked at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Framing {
    content_length: Option<u64>,
    transfer_encoding: bool,
    /// The first thing wrong with lengths and encodings.
    error: Option<HeadError>,
    /// Number of `Host` fields.
    pub(super) host_count: u8,
    /// The index of the first `Host` field.
    pub(super) host_index: u8,
    /// The options of all `Connection` fields that matter.
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade: bool,
    pub(super) expects_continue: bool,
    /// Whether `Expect` asks for something unknown.
    pub(super) expects_other: bool,
}

impl Framing {
    /// Takes note of the field at `index`.
    #[inline]
    pub(super) fn note(&mut self, index: usize, name: &[u8], value: &[u8], leniency: Leniency) {
        match name.len() {
            // Nearly every request has it.
            4 if is_host_name(name) => {
                if self.host_count == 0 {
                    // At most `rules::FIELDS_LIMIT`.
                    self.host_index = index as u8;
                }
                self.host_count += 1;
            }
            6 if is_same_name(name, b"expect") => self.note_expect(value),
            10 if is_same_name(name, b"connection") => self.note_connection(value),
            14 if is_same_name(name, b"content-length") => {
                self.note_content_length(value, leniency.merge_equal_lengths);
            }
            17 if is_same_name(name, b"transfer-encoding") => {
                self.note_transfer_encoding(value);
            }
            _ => {}
        }
    }

    fn note_expect(&mut self, value: &[u8]) {
        for expectation in list(value) {
            if expectation.eq_ignore_ascii_case(b"100-continue") {
                self.expects_continue = true;
            } else {
                self.expects_other = true;
            }
        }
    }

    #[inline]
    fn note_connection(&mut self, value: &[u8]) {
        // The value that nearly all browsers send.
        if is_same_name(value, b"keep-alive") {
            self.keep_alive = true;
        } else {
            self.note_connection_options(value);
        }
    }

    fn note_connection_options(&mut self, value: &[u8]) {
        for option in list(value) {
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }

    fn note_content_length(&mut self, value: &[u8], merge: bool) {
        let mut repeated = self.content_length.is_some();
        let mut rest = Some(value);
        while let Some(list) = rest {
            let (element, behind) = match list.iter().position(|&byte| byte == b',') {
                Some(comma) => (trim(&list[..comma]), Some(&list[comma + 1..])),
                None => (trim(list), None),
            };
            rest = behind;
            match parse_length(element) {
                Err(error) => self.fail(error),
                Ok(length) if self.content_length.is_some_and(|other| other != length) => {
                    self.fail(HeadError::ContentLengthsDiffer);
                }
                Ok(length) => self.content_length = Some(length),
            }
            repeated |= rest.is_some();
        }
        if repeated && !merge {
            self.fail(HeadError::ContentLengthRepeated);
        }
    }

    fn note_transfer_encoding(&mut self, value: &[u8]) {
        if self.transfer_encoding {
            self.fail(HeadError::TransferEncodingRepeated);
        }
        self.transfer_encoding = true;
        if value.eq_ignore_ascii_case(b"chunked") {
            return;
        }
        // Other codings are legal before a final `chunked`. We know none of them, but the sender
        // deserves to hear that rather than that it is malformed.
        let mut is_chunked = false;
        for coding in value.split(|&byte| byte == b',').map(trim) {
            if is_chunked || !is_token(coding) {
                return self.fail(HeadError::TransferEncodingInvalid);
            }
            is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        }
        self.fail(if is_chunked {
            HeadError::TransferEncodingUnknown
        } else {
            HeadError::TransferEncodingInvalid
        });
    }

    fn fail(&mut self, error: HeadError) {
        self.error.get_or_insert(error);
    }

    /// How the length of the body is told, `BodyLength::None` when no field tells it.
    #[inline]
    pub(super) fn body_length(&self, is_http10: bool) -> Result<BodyLength, HeadError> {
        if self.transfer_encoding {
            if self.content_length.is_some() {
                return Err(HeadError::LengthAndTransferEncoding);
            }
            if is_http10 {
                return Err(HeadError::TransferEncodingInHttp10);
            }
        }
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(match self.content_length {
            _ if self.transfer_encoding => BodyLength::Chunked,
            Some(length) => BodyLength::Sized(length),
            None => BodyLength::None,
        })
    }

    /// Whether the sender wants the connection to stay open after this message.
    #[inline]
    pub(super) fn keeps_alive(&self, is_http10: bool) -> bool {
        !self.close && (!is_http10 || self.keep_alive)
    }
}

/// Whether a field name, which is a token, is `Host`.
#[inline]
fn is_host_name(name: &[u8]) -> bool {
    const LOWER: u32 = 0x2020_2020;
    // No token has a byte that becomes a letter by this bit without being one.
    name.try_into()
        .is_ok_and(|name| u32::from_le_bytes(name) | LOWER == u32::from_le_bytes(*b"host"))
}

/// The number that a `Content-Length` value stands for: digits alone, leading zeros allowed.
pub(super) fn parse_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::ContentLengthInvalid);
    }
    let mut length: u64 = 0;
    for &digit in value {
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(digit - b'0')))
            .ok_or(HeadError::ContentLengthTooLarge)?;
    }
    Ok(length)
}
