//! Fills the access log's record of a request.

use std::time::{Instant, SystemTime};

use crate::{
    http::{
        StatusCode,
        error::Error,
        h1::RequestHead,
        server::{access_log::Access, end_reason::EndReason, exchange::Exchange},
    },
    time,
};

/// The facts for the access log that the exchange does not know.
pub(crate) struct Exchanged {
    started: Instant,
    time: SystemTime,
    /// The error that the handler returned.
    pub(crate) error: Option<Box<Error>>,
}

impl Exchanged {
    pub(crate) fn begin() -> Self {
        Self {
            started: time::now(),
            time: SystemTime::now(),
            error: None,
        }
    }

    pub(crate) fn tell(
        &self,
        exchange: &Exchange,
        head: &RequestHead,
        status: Option<StatusCode>,
        reason: Option<EndReason>,
    ) {
        let Some(log) = &exchange.shared().settings.access_log else {
            return;
        };
        let received = exchange.body_received();
        log(&Access {
            peer: exchange.peer(),
            time: self.time,
            method: Some(head.method()),
            target: head.target(),
            status,
            received,
            sent: exchange.outgoing().body_bytes(),
            duration: time::now().saturating_duration_since(self.started),
            reason,
            error: self.error.as_deref(),
            head: Some(head),
        });
    }
}
