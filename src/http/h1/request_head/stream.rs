//! The head of a request of HTTP/2, which was written and read as one of HTTP/1.1.

use super::{BodyLength, RequestHead};

impl RequestHead {
    /// Notes that the head which was read is one of HTTP/2, and how the length of its body is told.
    pub(crate) fn become_http2(&mut self, body_length: BodyLength) {
        self.is_http2 = true;
        self.body_length = body_length;
    }
}
