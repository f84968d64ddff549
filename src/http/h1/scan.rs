//! Finds the end of a head in bytes that arrive in pieces.

use std::ops::Range;

use memchr::memchr2;

use super::{HeadError, Rules, token::is_token};

/// The first byte of every TLS connection: a record of the handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// The kind of message that a head belongs to; its start line depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// A request line, perhaps after some empty lines.
    Request,
    /// A status line.
    Response,
}

/// Whether what was scanned is about a head, and not about what comes before one.
pub(super) fn is_past_empty_lines<T>(scanned: &Result<T, HeadError>) -> bool {
    !matches!(
        scanned,
        Err(HeadError::LeadingLines | HeadError::TlsClientHello)
    )
}

/// A start line as far as it has arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct StartLine<'a> {
    /// Its bytes, without its end.
    pub(super) content: &'a [u8],
    /// The number of bytes of the content that were looked at before.
    pub(super) seen: usize,
    /// Whether its end is here.
    pub(super) is_complete: bool,
}

/// Finds the end of a head, line by line, and enforces the limits as they are crossed.
///
/// Give it all bytes since the end of the message before, each time with more of them at the end.
/// It remembers how far it came, so that all calls together look at each byte once. It answers at
/// the first byte that settles the matter, however the bytes are cut: a limit that is crossed
/// before a bare LF is reported before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadScanner {
    kind: HeadKind,
    /// Where the head begins, behind skipped empty lines.
    begin: usize,
    /// Where the current line begins.
    line: usize,
    /// The first byte that was not looked at.
    next: usize,
    /// Number of complete lines of the head.
    line_count: usize,
    /// Number of empty lines that were skipped.
    skipped_count: usize,
}

impl HeadScanner {
    /// A scanner at the start of a head.
    pub(crate) fn new(kind: HeadKind) -> Self {
        Self {
            kind,
            begin: 0,
            line: 0,
            next: 0,
            line_count: 0,
            skipped_count: 0,
        }
    }

    /// Starts over, at the start of a head of the same kind.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.kind);
    }

    /// Whether it looks at its first bytes the next time.
    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        self.next == 0
    }

    /// Whether nothing of a head has been seen: at most the empty lines that may come before it.
    pub(crate) fn is_at_start(&self) -> bool {
        self.next == self.begin
    }

    /// The bytes of the empty lines before the head, which are not to be given again. The lines
    /// stay counted.
    pub(super) fn take_empty_lines(&mut self) -> usize {
        let bytes = self.begin;
        self.begin = 0;
        self.line -= bytes;
        self.next -= bytes;
        bytes
    }

    /// Where the next call begins to look, unless the start line is complete.
    pub(super) fn next_in_start_line(&self) -> Option<usize> {
        (self.line_count == 0).then_some(self.next)
    }

    /// The start line in `bytes`, whose end is not before `next`.
    pub(super) fn start_line<'a>(&self, bytes: &'a [u8], next: usize) -> StartLine<'a> {
        let next = next.max(self.begin);
        let end = memchr2(b'\r', b'\n', &bytes[next..]).map_or(bytes.len(), |len| next + len);
        StartLine {
            content: &bytes[self.begin..end],
            seen: next - self.begin,
            is_complete: self.line_count > 0,
        }
    }

    /// How many empty lines came before the head so far.
    pub(super) fn empty_line_count(&self) -> usize {
        self.skipped_count
    }

    /// Counts on from `count` empty lines before the head.
    pub(super) fn set_empty_line_count(&mut self, count: usize) {
        self.skipped_count = count;
    }

    /// Where the head is in `bytes`, from its first line through its empty line, or `None` while
    /// it is incomplete.
    ///
    /// # Errors
    ///
    /// The first error in the order of the bytes. The scanner must be reset before it is used
    /// again.
    #[inline]
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<Option<Range<usize>>, HeadError> {
        if self.line_count == 0 && !self.skip_to_start_line(bytes, rules)? {
            return Ok(None);
        }
        loop {
            let unseen = &bytes[self.next..];
            let Some(offset) = memchr2(b'\r', b'\n', unseen) else {
                return self.wait(bytes.len(), bytes, rules);
            };
            let at = self.next + offset;
            let end = match bytes[at..] {
                [b'\r', b'\n', ..] => at + 2,
                [b'\r'] => return self.wait(at, bytes, rules),
                [b'\r', ..] => {
                    self.check_limits(&bytes[..at], at + 2, rules)?;
                    return Err(HeadError::BareCr);
                }
                _ => at + 1,
            };
            self.check_limits(&bytes[..at], end, rules)?;
            if end == at + 1 && !rules.leniency.lenient_lf {
                return Err(HeadError::BareLf);
            }
            if at == self.line {
                return Ok(Some(self.begin..end));
            }
            // The start line is no field.
            if self.line_count > rules.fields_max() {
                return Err(HeadError::TooManyFields);
            }
            self.line_count += 1;
            self.line = end;
            self.next = end;
            // The usual end, without another search.
            if let [b'\r', b'\n', ..] = bytes[end..] {
                self.check_limits(&bytes[..end], end + 2, rules)?;
                return Ok(Some(self.begin..end + 2));
            }
        }
    }

    /// Skips the empty lines that may come before a start line. Returns whether the first byte of
    /// the head is there.
    #[inline]
    fn skip_to_start_line(&mut self, bytes: &[u8], rules: &Rules) -> Result<bool, HeadError> {
        loop {
            let end = match bytes[self.begin..] {
                [] | [b'\r'] => return Ok(false),
                [b'\r', b'\n', ..] => self.begin + 2,
                [b'\r', ..] => return Err(HeadError::BareCr),
                [b'\n', ..] if rules.leniency.lenient_lf => self.begin + 1,
                [b'\n', ..] => return Err(HeadError::BareLf),
                [TLS_HANDSHAKE, ..] => return Err(HeadError::TlsClientHello),
                _ => return Ok(true),
            };
            self.skipped_count += 1;
            if self.kind == HeadKind::Response
                || self.skipped_count > rules.limits.leading_lines_max
            {
                return Err(HeadError::LeadingLines);
            }
            self.begin = end;
            self.line = end;
            self.next = end;
        }
    }

    /// Notes that the bytes before `next` were looked at, and holds what there is of the line
    /// against the limits.
    #[cold]
    fn wait(
        &mut self,
        next: usize,
        bytes: &[u8],
        rules: &Rules,
    ) -> Result<Option<Range<usize>>, HeadError> {
        self.next = next;
        self.check_limits(&bytes[..next], bytes.len(), rules)?;
        Ok(None)
    }

    /// Holds a head that reaches at least to `end` against the limits. The content of its last
    /// line, as far as it is there, ends with `content`.
    #[inline]
    fn check_limits(&self, content: &[u8], end: usize, rules: &Rules) -> Result<(), HeadError> {
        let bytes_max = rules.head_bytes_max();
        let byte_count = end - self.begin;
        if self.line_count > 0 {
            return if byte_count > bytes_max {
                Err(HeadError::HeadTooLarge)
            } else {
                Ok(())
            };
        }
        let line_max = rules.limits.start_line_bytes_max.min(bytes_max);
        let method_max = rules.limits.method_bytes_max;
        // A method over its limit shows before the line is over its own.
        if self.kind == HeadKind::Request && method_max < line_max {
            if let Some(start) = content[self.begin..].get(..=method_max) {
                if !start.contains(&b' ') {
                    let valid = is_token(start);
                    return Err(if valid {
                        HeadError::MethodTooLong
                    } else {
                        HeadError::MethodInvalid
                    });
                }
            }
        }
        if byte_count > line_max {
            Err(HeadError::StartLineTooLong)
        } else {
            Ok(())
        }
    }
}
