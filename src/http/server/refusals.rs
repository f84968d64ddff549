//! The answers that the server gives by itself, and the hook that writes them.

use std::{fmt, net::SocketAddr, rc::Rc, sync::Arc};

use super::{end_reason::EndReason, extensions::Extensions};
use crate::{
    http::{
        HeaderValue, Method, StatusCode,
        error_answer::ErrorAnswer,
        h1::{AnswerTo, RequestHead, ResponseEncoder, encode_reject},
        header,
    },
    unwind,
};

/// A request that the server answers by itself, or bytes that it took for none, as the hook of
/// [`Server::on_refusal`](crate::http::Server::on_refusal) sees them.
pub struct Refusal<'a> {
    pub(super) reason: EndReason,
    pub(super) request: Refused<'a>,
    pub(super) peer: Option<SocketAddr>,
}

/// The known parts of the request: its head, if that was understood, and the values that layers put
/// into it, if they have seen it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Refused<'a> {
    pub(crate) head: Option<&'a RequestHead>,
    pub(crate) extensions: Option<&'a Extensions>,
}

impl<'a> Refusal<'a> {
    /// Returns the reason, whose `Display` is a sentence that may be sent to the client.
    #[must_use]
    pub fn reason(&self) -> EndReason {
        self.reason
    }

    /// Returns the status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.reason.status()
    }

    /// Returns the address of the client, or of the proxy in front of the server.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns the method; none when no head could be read.
    #[must_use]
    pub fn method(&self) -> Option<&'a Method> {
        self.request.head.map(RequestHead::method)
    }

    /// Returns the target as it was sent; none when no head could be read.
    #[must_use]
    pub fn target(&self) -> Option<&'a str> {
        self.request.head.map(RequestHead::target)
    }

    /// Returns the request's first field called `name`, in any case; none when no head could be
    /// read.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        self.request.head?.field(name)
    }

    /// Returns the value of type `T` that a layer has put into the request before the handler
    /// panicked.
    #[must_use]
    pub fn extension<T: 'static>(&self) -> Option<Rc<T>> {
        self.request.extensions?.get()
    }
}

impl fmt::Debug for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal")
            .field("reason", &self.reason)
            .field("target", &self.target())
            .finish_non_exhaustive()
    }
}

/// The function that writes the answers.
pub(super) type Hook = Arc<dyn Fn(&Refusal<'_>) -> ErrorAnswer + Send + Sync>;

impl Refusal<'_> {
    /// Asks the hook. One that panics has no answer.
    #[cold]
    pub(super) fn answer(&self, hook: &Hook) -> Option<ErrorAnswer> {
        unwind::caught(|| hook(self))
    }
}

/// Adds the whole answer to a refused request to `out`: the hook's, or else a line of text.
#[cold]
pub(super) fn encode(
    out: &mut Vec<u8>,
    reason: EndReason,
    answer: Option<&ErrorAnswer>,
    mut answer_to: AnswerTo,
    date_line: &[u8; 37],
) {
    let reject = reason.reject();
    let Some(answer) = answer else {
        encode_reject(out, reject, answer_to, date_line);
        return;
    };
    answer_to.keeps_alive &= !reject.closes;
    let mut encoder = ResponseEncoder::new(out, reject.status, answer_to);
    if let Some(content_type) = &answer.content_type {
        encoder.content_type(content_type);
    }
    let mut fields = answer.fields.iter();
    if let (Some(seconds), true) = (
        reject.retry_after,
        fields.all(|(name, _)| *name != header::RETRY_AFTER),
    ) {
        encoder.field(&header::RETRY_AFTER, &HeaderValue::from(seconds));
    }
    for (name, value) in &answer.fields {
        encoder.field(name, value);
    }
    encoder.finish(Some(answer.body.len() as u64), date_line);
    if !answer_to.is_head {
        out.extend_from_slice(&answer.body);
    }
}
