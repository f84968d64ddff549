//! The content of a peer's close frame.

use std::fmt;

use super::CloseCode;
use crate::http::ws::CloseFrame;

/// The content of the close frame that a peer has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseInfo {
    code: Option<CloseCode>,
    reason: Box<str>,
    is_answer: bool,
}

impl CloseInfo {
    pub(super) fn new(frame: Option<CloseFrame<'_>>) -> Self {
        Self {
            code: frame.map(|frame| frame.code),
            reason: frame.map_or("", |frame| frame.reason).into(),
            is_answer: false,
        }
    }

    pub(super) fn answering(mut self, is_answer: bool) -> Self {
        self.is_answer = is_answer;
        self
    }

    pub(super) fn frame(&self) -> Option<CloseFrame<'_>> {
        self.code.map(|code| CloseFrame { code, reason: "" })
    }

    /// Returns the code, which a peer may leave out (other libraries say 1005 then).
    #[must_use]
    pub fn code(&self) -> Option<CloseCode> {
        self.code
    }

    /// Returns the reason, a text for logs, which is empty when the peer gave none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether the peer has answered a close frame of this end. Otherwise the peer has closed the
    /// connection.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }
}

impl fmt::Display for CloseInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "closed with {code}")?,
            None => f.write_str("closed without a code")?,
        }
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        Ok(())
    }
}
