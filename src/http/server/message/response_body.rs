//! The source of an answer's body.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

use super::{body_writer::BodyWriter, event_stream::EventStart};
use crate::http::{error::Result, transport::tunnelled::MakeTunnel};

/// The future that writes a body once the head is on its way.
pub(crate) type Producer = Pin<Box<dyn Future<Output = Result<()>>>>;
pub(crate) type MakeProducer = dyn FnOnce(BodyWriter) -> Producer;

/// The source of an answer's body.
pub(crate) enum ResponseBody {
    Bytes(Bytes),
    Producer(Box<MakeProducer>),
    /// The messages of a topic.
    Events(Box<EventStart>),
    /// The function that takes the connection over after the head.
    Tunnel(Box<MakeTunnel>),
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}
