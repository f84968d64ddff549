//! UTF-8 that arrives in pieces (RFC 3629).

use std::str;

/// The bytes of a character of which the rest is to come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SplitChar {
    bytes: [u8; 4],
    len: u8,
}

/// The bytes cannot become UTF-8, whatever follows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotUtf8;

impl SplitChar {
    /// Whether there are none.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes one more byte of the character. Returns whether it is complete.
    pub(super) fn push(&mut self, byte: u8) -> Result<bool, NotUtf8> {
        self.bytes[usize::from(self.len)] = byte;
        self.len += 1;
        match str::from_utf8(&self.bytes[..usize::from(self.len)]) {
            Ok(_) => Ok(true),
            Err(error) if error.error_len().is_none() => Ok(false),
            Err(_) => Err(NotUtf8),
        }
    }

    /// The character, which is complete. It is forgotten.
    pub(super) fn take(&mut self) -> &str {
        let len = usize::from(self.len);
        self.len = 0;
        str::from_utf8(&self.bytes[..len]).expect("`push` said that it is complete")
    }

    /// The text at the start of `bytes`. The bytes of a character that is split at their end are
    /// kept for [`push`](Self::push).
    #[inline]
    pub(super) fn split<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a str, NotUtf8> {
        let (text, tail) = bytes.split_at(bytes.len() - tail_len(bytes));
        let text = str::from_utf8(text).map_err(|_| NotUtf8)?;
        for &byte in tail {
            // A tail that is complete after all would be no tail.
            self.push(byte)?;
        }
        Ok(text)
    }
}

/// How many bytes at the end of `bytes` begin a character that has more than these.
#[inline]
fn tail_len(bytes: &[u8]) -> usize {
    for (index, &byte) in bytes.iter().rev().take(3).enumerate() {
        let len = match byte {
            0x80..0xC0 => continue,
            0xC0..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0.. => 4,
            _ => 1,
        };
        let there = index + 1;
        return if len > there { there } else { 0 };
    }
    0
}
