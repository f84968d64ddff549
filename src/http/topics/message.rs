//! A message that is published.

use bytes::Bytes;

use crate::http::ws::MessageKind;

/// A message for the subscribers of a topic: text or bytes.
///
/// It is made by `From` as well, so that [`publish`](super::Topics::publish) takes a `&str`, a
/// `String`, bytes, and a message that came over a WebSocket.
///
/// A WebSocket gets text as a text message and bytes as a binary one. Server-sent events are text:
/// there bytes go out in base64.
///
/// # Examples
///
/// ```
/// use annulus::http::topics::Message;
///
/// let message = Message::text("42.17").with_event("price");
/// assert_eq!(message.as_bytes(), b"42.17");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    kind: MessageKind,
    /// UTF-8 if it is text.
    bytes: Bytes,
    event: Option<Box<str>>,
}

impl Message {
    /// Makes a text message.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(MessageKind::Text, text.into().into())
    }

    /// Makes a message of bytes, which are not copied.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(MessageKind::Binary, bytes.into())
    }

    fn new(kind: MessageKind, bytes: Bytes) -> Self {
        Self {
            kind,
            bytes,
            event: None,
        }
    }

    /// Sets the kind of event that it is among server-sent events; `message` otherwise. Line ends
    /// and NUL are left out. A WebSocket does not show it.
    #[must_use]
    pub fn with_event(mut self, name: &str) -> Self {
        self.event = Some(name.replace(['\r', '\n', '\0'], "").into());
        self
    }

    /// Returns the bytes, of text as well.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the text, unless it is a message of bytes.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.kind {
            MessageKind::Text => std::str::from_utf8(&self.bytes).ok(),
            MessageKind::Binary => None,
        }
    }

    pub(crate) fn kind(&self) -> MessageKind {
        self.kind
    }

    pub(crate) fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::binary(bytes)
    }
}
