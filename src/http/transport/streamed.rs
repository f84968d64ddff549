//! Transports of HTTP/2: the connection, and the streams on it.

use std::rc::Rc;

use super::{Kind, Transport, layer::Layer, other::Other};
use crate::io::ByteStream;

impl Transport {
    /// A stream of the connection `below`.
    pub(crate) fn of_stream(stream: impl ByteStream + 'static, below: &Self) -> Self {
        let layer = Layer::any(Box::new(stream));
        Self(Kind::Other(Rc::new(Other::above(layer, below))))
    }

    /// Whether bytes have left on it, as far as is known.
    pub(crate) fn has_sent(&self) -> bool {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.bytes().is_some_and(|bytes| bytes.sent > 0),
            Kind::Other(other) => other.taken.get() > 0,
        }
    }
}
