//! A message that was published, with its place in its topic.

use std::{
    mem,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{EventId, Message, options::Settings};

/// A message that was published. Its subscribers on all workers share it, and each of its forms on
/// the wire, which is made once, when the first subscriber needs it.
#[derive(Debug)]
pub(crate) struct Published {
    pub(super) topic_id: u64,
    pub(super) id: EventId,
    pub(super) message: Message,
    /// Those of its topic when it was published.
    pub(super) settings: Arc<Settings>,
    /// A frame of a WebSocket.
    pub(crate) frame: OnceLock<Bytes>,
    /// A frame that is compressed, for a window of so many bits; none if that does not make it
    /// smaller.
    pub(crate) deflated: OnceLock<(u8, Option<Bytes>)>,
    /// A server-sent event.
    pub(crate) event: OnceLock<Bytes>,
    /// The same in a chunk of HTTP/1.1.
    pub(crate) event_chunk: OnceLock<Bytes>,
}

impl Published {
    pub(super) fn new(
        topic_id: u64,
        id: EventId,
        message: Message,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            topic_id,
            id,
            message,
            settings,
            frame: OnceLock::new(),
            deflated: OnceLock::new(),
            event: OnceLock::new(),
            event_chunk: OnceLock::new(),
        }
    }

    pub(crate) fn message(&self) -> &Message {
        &self.message
    }

    pub(crate) fn id(&self) -> EventId {
        self.id
    }

    /// Its part of the limits on what waits and on what is kept. It stays the same when forms are
    /// made, which are not in it.
    pub(super) fn len(&self) -> usize {
        let event = self.message.event().map_or(0, str::len);
        self.message.as_bytes().len() + event + mem::size_of::<Self>()
    }
}
