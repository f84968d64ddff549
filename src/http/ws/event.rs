//! The results of decoding frames.

use super::CloseFrame;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum MessageKind {
    /// Text in UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// The outcome of one call of a decoder.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// Bytes of the input that were taken, at least one. Those after them belong to the next call.
    pub(crate) consumed: usize,
    /// The event that these bytes complete, if there is one.
    pub(crate) event: Option<Event<'a>>,
}

/// A part of the messages and control frames of a peer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// Bytes of a message.
    Data(Data<'a>),
    /// A ping, which has to be answered by a pong with the same bytes.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The end of what the peer sends. Bytes after it are ignored.
    Close(Option<CloseFrame<'a>>),
}

/// Bytes of a message: all of it, or those that were in this piece of input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Data<'a> {
    pub(crate) payload: Payload<'a>,
    /// Whether this is a whole message that lies in the input, where it is the last bytes taken. A
    /// buffer that is counted by reference can be shared instead of copied.
    pub(crate) is_whole: bool,
    /// Whether the message is complete with these bytes. The next ones belong to another one.
    pub(crate) is_end: bool,
}

/// Bytes of a message, unmasked and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload<'a> {
    /// Whole characters of a text message.
    Text(&'a str),
    /// Bytes of a binary message.
    Binary(&'a [u8]),
    /// Bytes of a compressed message. Text is not checked: it is no text yet.
    Deflated(MessageKind, &'a [u8]),
}

impl<'a> Payload<'a> {
    /// The bytes, of any kind.
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) | Self::Deflated(_, bytes) => bytes,
        }
    }

    /// The kind of the message.
    pub(crate) fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
            Self::Deflated(kind, _) => kind,
        }
    }

    /// Whether the message is compressed.
    pub(crate) fn is_deflated(self) -> bool {
        matches!(self, Self::Deflated(..))
    }
}
