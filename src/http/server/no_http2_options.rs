//! The settings of HTTP/2 without the feature `http2`: none.

/// The settings of HTTP/2 of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options;

impl Options {
    pub(crate) fn has_http1(&self) -> bool {
        true
    }

    pub(crate) fn has_http2(&self) -> bool {
        false
    }
}
