//! The facts about a request that its answer depends on.

use ::http::Method;

use super::RequestHead;

/// The facts about a request that decide about the form of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnswerTo {
    /// The method is `HEAD`: the answer has no body.
    pub(crate) is_head: bool,
    /// The method is `CONNECT`: a tunnel follows an answer of success.
    pub(crate) is_connect: bool,
    /// The client speaks HTTP/1.0 and knows no chunks.
    pub(crate) is_http10: bool,
    /// The connection may stay open. The server sets it to false when it wants to close.
    pub(crate) keeps_alive: bool,
}

impl AnswerTo {
    /// The facts that the answer to `head` depends on.
    #[inline]
    pub(crate) fn request(head: &RequestHead) -> Self {
        Self {
            is_head: *head.method() == Method::HEAD,
            is_connect: *head.method() == Method::CONNECT,
            is_http10: head.is_http10(),
            // A client may send the first bytes of a tunnel together with CONNECT. They are no
            // request, so the connection ends with an answer that refuses it.
            keeps_alive: head.keeps_alive() && *head.method() != Method::CONNECT,
        }
    }

    /// For an answer to something that could not be read as a request.
    pub(crate) fn unreadable() -> Self {
        Self {
            is_head: false,
            is_connect: false,
            is_http10: false,
            keeps_alive: false,
        }
    }
}
