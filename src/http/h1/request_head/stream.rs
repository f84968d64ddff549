//! The head of a request of HTTP/2, which was written and read as one of HTTP/1.1.

use super::{BodyLength, RequestHead};

impl RequestHead {
    /// Marks the head as one of HTTP/2, and sets how the end of its body is found.
    pub(crate) fn become_http2(&mut self, body_length: BodyLength) {
        self.is_http2 = true;
        self.body_length = body_length;
    }
}
