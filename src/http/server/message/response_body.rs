//! What an answer's body comes from.

use std::{future::Future, pin::Pin};

use bytes::Bytes;

use super::{body_writer::BodyWriter, upgraded::Upgraded};
use crate::http::error::Result;

/// A body that somebody writes once the head is on its way.
pub(crate) type Producer = Pin<Box<dyn Future<Output = Result<()>>>>;
pub(crate) type MakeProducer = dyn FnOnce(BodyWriter) -> Producer;

/// What takes the connection over behind the head.
pub(crate) type MakeTunnel = dyn FnOnce(Upgraded) -> Pin<Box<dyn Future<Output = ()>>>;

/// What an answer's body comes from.
pub(crate) enum ResponseBody {
    Bytes(Bytes),
    Producer(Box<MakeProducer>),
    Tunnel(Box<MakeTunnel>),
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}
