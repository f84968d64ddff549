//! The answer that an error or a refusal asks for, besides its status.

use bytes::Bytes;

use super::{HeaderName, HeaderValue};

/// Fields and a body, as a server writes them after the status.
#[derive(Clone, Debug, Default)]
pub(crate) struct ErrorAnswer {
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}
