//! Messages that the user of a connection sends.

use std::{
    future::{Future, poll_fn},
    task::{Poll, ready},
};

use bytes::Bytes;

use super::{Connection, End, POLLED_AFTER_END};
use crate::http::{
    websocket::{Compression, Error, Message, TrySendError, outgoing::COPIED_BYTES_MAX},
    ws::{MessageKind, Payload, message_header},
};

impl Connection {
    /// Sends a message as soon as there is room for it.
    // It is no async function, whose state would have the message several times.
    pub(in crate::http::websocket) fn send(
        &self,
        message: Message,
    ) -> impl Future<Output = Result<(), Error>> {
        let mut message = Some(message);
        let mut wait = None;
        poll_fn(move |context| {
            if message
                .as_ref()
                .is_some_and(|message| self.queue_little(message))
            {
                message = None;
                return Poll::Ready(Ok(()));
            }
            loop {
                self.check_open()?;
                if !self.is_full() {
                    self.queue(message.take().expect(POLLED_AFTER_END));
                    return Poll::Ready(Ok(()));
                }
                ready!(self.poll_room(&mut wait, context));
            }
        })
    }

    pub(in crate::http::websocket) fn try_send(
        &self,
        message: Message,
    ) -> Result<(), TrySendError> {
        if self.check_open().is_err() {
            return Err(TrySendError::Closed(message));
        }
        if self.is_full() {
            return Err(TrySendError::Full(message));
        }
        self.queue(message);
        Ok(())
    }

    /// Waits until all that was sent is on its way.
    pub(in crate::http::websocket) fn flush(&self) -> impl Future<Output = Result<(), Error>> {
        let mut wait = None;
        poll_fn(move |context| {
            loop {
                if self.is_mute.get() {
                    return Poll::Ready(Err(self.failure.get().unwrap_or(Error::Closed)));
                }
                if self.is_written() && !self.await_posted() {
                    return Poll::Ready(Ok(()));
                }
                ready!(self.poll_room(&mut wait, context));
            }
        })
    }

    /// Queues a message that one look finds to be little, plain and behind few others: most are.
    #[inline]
    fn queue_little(&self, message: &Message) -> bool {
        let is_plain = matches!(self.end, End::Server) && self.agreed.deflate.is_none();
        if !is_plain || self.check_open().is_err() {
            return false;
        }
        let (kind, bytes) = match message {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, &**bytes),
        };
        let waiting_max = self.settings().buffered_bytes_max;
        let is_queued = self.if_busy(|busy| busy.outgoing.push_little(kind, bytes, waiting_max));
        if is_queued == Some(true) {
            self.wake_driver();
            return true;
        }
        false
    }

    fn queue(&self, message: Message) {
        let (kind, bytes) = match &message {
            Message::Text(text) => (MessageKind::Text, text.as_bytes()),
            Message::Binary(bytes) => (MessageKind::Binary, &**bytes),
        };
        let deflated = self.agreed.deflate.and_then(|agreed| {
            let is_large = bytes.len() >= self.settings().compressed_bytes_min;
            is_large.then(|| Compression::deflate(bytes, agreed))?
        });
        let payload = match (&deflated, &message) {
            (Some(deflated), _) => Payload::Deflated(kind, deflated),
            (None, Message::Text(text)) => Payload::Text(text),
            (None, Message::Binary(bytes)) => Payload::Binary(bytes),
        };
        let key = self.key();
        if payload.bytes().len() <= COPIED_BYTES_MAX {
            self.busy(|busy| busy.outgoing.push_copied(payload, key));
        } else {
            let header = message_header(payload, key);
            let bytes = deflated.map_or_else(|| message.into_bytes(), Bytes::from);
            self.busy(|busy| busy.outgoing.push_shared(header, bytes));
        }
        self.wake_driver();
    }
}
