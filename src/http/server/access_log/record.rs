//! Fills the access log's record of a request.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Instant, SystemTime},
};

use super::{Access, AccessLog};
use crate::{
    http::{
        StatusCode,
        error::Error,
        h1::RequestHead,
        server::{end_reason::EndReason, extensions::Extensions},
    },
    time,
};

/// The facts for the access log that the exchange does not know.
pub(crate) struct Exchanged {
    started: Instant,
    time: SystemTime,
    /// The error that the handler returned.
    pub(crate) error: Option<Box<Error>>,
    /// The values that were put into the request.
    pub(crate) extensions: Extensions,
}

/// The facts that are known at the end.
pub(crate) struct Facts {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) client: Option<IpAddr>,
    /// The bytes of both bodies: received and sent.
    pub(crate) bytes: (u64, u64),
    pub(crate) status: Option<StatusCode>,
    pub(crate) reason: Option<EndReason>,
}

impl Exchanged {
    pub(crate) fn begin() -> Self {
        Self {
            started: time::now(),
            time: SystemTime::now(),
            error: None,
            extensions: Extensions::default(),
        }
    }

    pub(crate) fn tell(&self, log: &AccessLog, head: &RequestHead, facts: Facts) {
        let (received, sent) = facts.bytes;
        log(&Access {
            peer: facts.peer,
            client: facts.client,
            time: self.time,
            method: Some(head.method()),
            target: head.target(),
            status: facts.status,
            received,
            sent,
            duration: time::now().saturating_duration_since(self.started),
            reason: facts.reason,
            error: self.error.as_deref(),
            head: Some(head),
            extensions: Some(&self.extensions),
        });
    }
}
