//! The errors of a connection.

use std::{fmt, io};

use super::{FrameError, Message};

/// The reason why a message cannot be received or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection is closed, or is being closed: nothing more is sent.
    Closed,
    /// The peer broke a rule of the protocol or a limit. It was sent a close frame with the
    /// [code](FrameError::close_code) of that rule.
    Protocol(FrameError),
    /// The connection broke. It ended without a close frame when the kind is
    /// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    Lost(io::ErrorKind),
    /// The peer did not answer a ping in time.
    PingTimeout,
    /// The peer did not answer a close frame in time.
    CloseTimeout,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the WebSocket is closed"),
            Self::Protocol(error) => error.fmt(f),
            Self::Lost(io::ErrorKind::UnexpectedEof) => {
                f.write_str("expected a close frame, found the end of the connection")
            }
            Self::Lost(kind) => write!(f, "the connection of a WebSocket broke: {kind}"),
            Self::PingTimeout => f.write_str("expected the answer to a ping, found none in time"),
            Self::CloseTimeout => {
                f.write_str("expected the answer to a close frame, found none in time")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::Protocol(_) => io::ErrorKind::InvalidData,
            Error::Lost(kind) => kind,
            Error::PingTimeout | Error::CloseTimeout => io::ErrorKind::TimedOut,
        };
        Self::new(kind, error)
    }
}

/// The reason why a message was not taken at once. It has the message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError {
    /// More than [`buffered_bytes_max`](super::Options::buffered_bytes_max) wait to be sent: the
    /// peer is too slow.
    Full(Message),
    /// Nothing more is sent.
    Closed(Message),
}

impl TrySendError {
    /// Returns the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Closed(message) => message,
        }
    }
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "too many bytes wait to be sent",
            Self::Closed(_) => "the WebSocket is closed",
        })
    }
}

impl std::error::Error for TrySendError {}
