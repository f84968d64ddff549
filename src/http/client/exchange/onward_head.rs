//! The head of a request that a gateway sends on.

use std::str;

/// The head of a request that a gateway sends on: its target, its host, and lines of fields that
/// were checked when they were received. The fields that a client adds by itself are left out.
#[derive(Default)]
pub(crate) struct OnwardHead {
    text: Vec<u8>,
    target_len: usize,
    /// Where the lines begin.
    lines_start: usize,
}

impl OnwardHead {
    /// Begins it with a target in parts, and a host.
    pub(crate) fn begin(&mut self, target: [&str; 3], host: &str) {
        self.text.clear();
        for part in target {
            self.text.extend_from_slice(part.as_bytes());
        }
        self.target_len = self.text.len();
        self.text.extend_from_slice(host.as_bytes());
        self.lines_start = self.text.len();
    }

    /// Adds a field, which was received or holds no control characters.
    pub(crate) fn line(&mut self, name: &str, value: &[u8]) {
        debug_assert!(
            !value.iter().any(|byte| b"\r\n\0".contains(byte)),
            "the caller has checked it"
        );
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            self.text.extend_from_slice(part);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
    }

    /// Target, host and lines.
    pub(super) fn parts(&self) -> Option<(&str, &str, &[u8])> {
        let (front, lines) = self.text.split_at(self.lines_start);
        let (target, host) = str::from_utf8(front).ok()?.split_at(self.target_len);
        Some((target, host, lines))
    }
}
