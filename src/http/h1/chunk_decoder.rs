//! Takes the chunks of a body apart (RFC 9112, section 7.1).
//!
//! A chunk is a line with its size, data, and CR LF; the last one has the size 0 and is followed by
//! trailers and an empty line. Here the length of a message is decided byte by byte, so nothing is
//! tolerated that another parser could read differently: no LF alone, no signs, and no blanks but
//! those around the `;` and the `=` of extensions, which every parser has to read (RFC 9110,
//! section 5.6.3).

use std::ops::Range;

use memchr::memchr;

use super::{
    BodyError, Fields, HeadError, Rules,
    fields::is_forbidden_trailer,
    token::{is_quoted_byte, is_text_byte, is_token_byte},
};

/// Number of significant digits of a chunk size, and of leading zeros before them.
const SIZE_DIGITS_MAX: u8 = 16;

/// Sizes from 2^63 on are not sizes of anything.
const SIZE_LIMIT: u64 = 1 << 63;

/// The place of the next byte in the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A digit of the size, or what ends it.
    Size,
    /// A further blank after the size, or what ends them.
    SizeBlank,
    /// The first byte of an extension's name, or a blank before it.
    NameStart,
    /// A later byte of an extension's name, or what ends it.
    Name,
    /// A further blank after an extension's name, or what ends them.
    NameBlank,
    /// The first byte of an extension's value, or a blank before it.
    ValueStart,
    /// A later byte of a token as value, or what ends it.
    Value,
    /// A byte of a quoted string.
    Quoted,
    /// The byte behind a backslash in a quoted string.
    QuotedPair,
    /// The byte after a quoted string.
    QuotedEnd,
    /// A further blank after an extension's value, or what ends them.
    ValueBlank,
    /// The LF of the line with the size.
    SizeLf,
    /// Data of the chunk.
    Data,
    /// The CR behind the data.
    DataCr,
    /// The LF behind the data.
    DataLf,
    /// The first byte after the line of the last chunk.
    TrailerStart,
    /// The LF of the empty line, when there are no trailers.
    LastLf,
    /// A byte of the trailer section.
    Trailer,
    /// None: the body is complete.
    End,
    /// None: the body is malformed.
    Failed(BodyError),
}

/// Where a decoder is in a chunked body.
#[derive(Debug, Clone)]
pub(super) struct ChunkDecoder {
    state: State,
    /// The size of the chunk as far as it was read, then the bytes of its data that are to come.
    left: u64,
    zero_count: u8,
    digit_count: u8,
    /// Bytes of the extensions of this chunk, and of all chunks so far.
    extension_line_bytes: usize,
    extension_bytes: usize,
    /// Where the current trailer line begins in the trailers' bytes.
    trailer_line: usize,
    trailer_count: usize,
}

impl ChunkDecoder {
    /// A decoder at the start of a body.
    pub(super) fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            zero_count: 0,
            digit_count: 0,
            extension_line_bytes: 0,
            extension_bytes: 0,
            trailer_line: 0,
            trailer_count: 0,
        }
    }

    /// Whether the body is complete.
    pub(super) fn is_end(&self) -> bool {
        self.state == State::End
    }

    /// Looks at `input` up to the end of the first run of data in it and at the framing behind
    /// that. Returns where the data is and how many bytes were looked at.
    ///
    /// `room` is how many bytes of data are allowed from here on. An error behind data is told
    /// by the next call.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        room: u64,
        rules: &Rules,
        trailers: &mut Fields,
    ) -> Result<(Range<usize>, usize), BodyError> {
        let begin = self.framing(input, 0, room, rules, trailers)?;
        if self.state != State::Data || begin == input.len() {
            return Ok((0..0, begin));
        }
        if self.left > room {
            return Err(BodyError::TooLarge);
        }
        let there = (input.len() - begin) as u64;
        let len = self.left.min(there);
        self.left -= len;
        // At most the length of `input`.
        let end = begin + len as usize;
        if self.left > 0 {
            return Ok((begin..end, end));
        }
        self.state = State::DataCr;
        match self.framing(input, end, room - len, rules, trailers) {
            Ok(consumed) => Ok((begin..end, consumed)),
            Err(_) => Ok((begin..end, end)),
        }
    }

    /// Goes through `input` from `at` on, up to data or to the end of the body. Returns where it
    /// stopped.
    fn framing(
        &mut self,
        input: &[u8],
        mut at: usize,
        room: u64,
        rules: &Rules,
        trailers: &mut Fields,
    ) -> Result<usize, BodyError> {
        while at < input.len() {
            let next = match self.state {
                State::Data | State::End => break,
                State::Failed(error) => return Err(error),
                State::Trailer => {
                    let (consumed, next) = self.trailers(&input[at..], rules, trailers);
                    at += consumed;
                    next
                }
                _ => {
                    at += 1;
                    self.byte(input[at - 1], room, rules)
                }
            };
            match next {
                Ok(State::Trailer) if self.state == State::TrailerStart => {
                    // The byte belongs to the section, which is read as a whole.
                    at -= 1;
                    self.state = State::Trailer;
                }
                Ok(state) => self.state = state,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        match self.state {
            State::Failed(error) => Err(error),
            _ => Ok(at),
        }
    }

    /// The state after `byte` of the framing.
    fn byte(&mut self, byte: u8, room: u64, rules: &Rules) -> Result<State, BodyError> {
        use BodyError::*;
        match (self.state, byte) {
            (State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_digit(byte),
            (State::Size, _) if self.zero_count + self.digit_count == 0 => Err(match byte {
                b'\r' | b'\n' | b';' => ChunkSizeMissing,
                _ => ChunkSizeInvalid,
            }),
            (State::Size, b'\r') => Ok(State::SizeLf),
            (State::Size, b';') => self.extension(State::NameStart, rules),
            (State::Size | State::SizeBlank, b'\n') => Err(ChunkLineEnd),
            (State::Size | State::SizeBlank, b' ' | b'\t') => {
                self.extension(State::SizeBlank, rules)
            }
            (State::SizeBlank, b';') => self.extension(State::NameStart, rules),
            (State::SizeBlank, b'\r') if rules.leniency.chunk_line_blanks => Ok(State::SizeLf),
            (State::Size | State::SizeBlank, _) => Err(ChunkSizeInvalid),

            (State::NameStart | State::ValueStart, b' ' | b'\t') => {
                self.extension(self.state, rules)
            }
            (State::NameStart | State::Name, _) if is_token_byte(byte) => {
                self.extension(State::Name, rules)
            }
            (State::Name | State::NameBlank, b' ' | b'\t') => {
                self.extension(State::NameBlank, rules)
            }
            (State::Name | State::NameBlank, b'=') => self.extension(State::ValueStart, rules),
            (State::ValueStart, b'"') => self.extension(State::Quoted, rules),
            (State::ValueStart | State::Value, _) if is_token_byte(byte) => {
                self.extension(State::Value, rules)
            }
            (State::Quoted, b'"') => self.extension(State::QuotedEnd, rules),
            (State::Quoted, b'\\') => self.extension(State::QuotedPair, rules),
            (State::Quoted, _) if is_quoted_byte(byte) => self.extension(State::Quoted, rules),
            (State::QuotedPair, _) if is_text_byte(byte) => self.extension(State::Quoted, rules),
            (State::Value | State::QuotedEnd | State::ValueBlank, b' ' | b'\t') => {
                self.extension(State::ValueBlank, rules)
            }
            (
                State::Name
                | State::NameBlank
                | State::Value
                | State::QuotedEnd
                | State::ValueBlank,
                b';',
            ) => self.extension(State::NameStart, rules),
            (State::Name | State::Value | State::QuotedEnd, b'\r') => Ok(State::SizeLf),
            (State::NameBlank | State::ValueBlank, b'\r') if rules.leniency.chunk_line_blanks => {
                Ok(State::SizeLf)
            }

            (State::SizeLf, b'\n') => self.size_end(room),
            (State::SizeLf, _) => Err(ChunkLineEnd),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(self.chunk_start()),
            (State::DataCr | State::DataLf, _) => Err(ChunkDataEnd),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::TrailerStart, b'\n') => Err(Trailer(HeadError::BareLf)),
            (State::TrailerStart, _) => Ok(State::Trailer),
            (State::LastLf, b'\n') => Ok(State::End),
            (State::LastLf, _) => Err(Trailer(HeadError::BareCr)),
            _ => Err(ChunkExtensionInvalid),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, BodyError> {
        let count = if byte == b'0' && self.digit_count == 0 {
            &mut self.zero_count
        } else {
            &mut self.digit_count
        };
        if *count == SIZE_DIGITS_MAX {
            return Err(BodyError::ChunkSizeTooLarge);
        }
        *count += 1;
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    /// Counts a byte of an extension, behind which comes `next`.
    fn extension(&mut self, next: State, rules: &Rules) -> Result<State, BodyError> {
        self.extension_line_bytes += 1;
        self.extension_bytes += 1;
        if self.extension_line_bytes > rules.limits.chunk_extension_line_bytes_max
            || self.extension_bytes > rules.limits.chunk_extension_bytes_max
        {
            return Err(BodyError::ChunkExtensionTooLarge);
        }
        Ok(next)
    }

    /// The line with the size is complete.
    fn size_end(&mut self, room: u64) -> Result<State, BodyError> {
        match self.left {
            0 => Ok(State::TrailerStart),
            SIZE_LIMIT.. => Err(BodyError::ChunkSizeTooLarge),
            size if size > room => Err(BodyError::TooLarge),
            _ => Ok(State::Data),
        }
    }

    /// A chunk is complete.
    fn chunk_start(&mut self) -> State {
        self.left = 0;
        self.zero_count = 0;
        self.digit_count = 0;
        self.extension_line_bytes = 0;
        State::Size
    }

    /// Takes the bytes of the trailer section over into `trailers`. Returns how many there were in
    /// `input` and what comes behind them.
    #[cold]
    fn trailers(
        &mut self,
        input: &[u8],
        rules: &Rules,
        trailers: &mut Fields,
    ) -> (usize, Result<State, BodyError>) {
        let before = trailers.bytes.len();
        let bytes_max = rules.trailer_bytes_max();
        // One byte above the limit shows that it is crossed.
        let taken = input.len().min(bytes_max + 1 - before);
        trailers.bytes.extend_from_slice(&input[..taken]);
        let mut unseen = before;
        while let Some(offset) = memchr(b'\n', &trailers.bytes[unseen..]) {
            let end = unseen + offset;
            unseen = end + 1;
            if unseen > bytes_max {
                break;
            }
            match self.trailer_line(end, rules, trailers) {
                Ok(false) => {}
                Ok(true) => {
                    trailers.bytes.truncate(unseen);
                    return (unseen - before, Ok(State::End));
                }
                Err(error) => return (taken, Err(BodyError::Trailer(error))),
            }
        }
        if trailers.bytes.len() > bytes_max {
            return (taken, Err(BodyError::Trailer(HeadError::HeadTooLarge)));
        }
        (taken, Ok(State::Trailer))
    }

    /// Takes the trailer line whose LF is at `lf`. Returns whether it is the empty one.
    fn trailer_line(
        &mut self,
        lf: usize,
        rules: &Rules,
        trailers: &mut Fields,
    ) -> Result<bool, HeadError> {
        let start = self.trailer_line;
        self.trailer_line = lf + 1;
        if !trailers.bytes[start..lf].ends_with(b"\r") {
            return Err(HeadError::BareLf);
        }
        if start == lf - 1 {
            return Ok(true);
        }
        self.trailer_count += 1;
        if self.trailer_count > rules.limits.trailer_fields_max {
            return Err(HeadError::TooManyFields);
        }
        trailers.push_line(start, lf - 1, |name| !is_forbidden_trailer(name))?;
        Ok(false)
    }
}
