//! Informational responses (1xx), which come before the response.

use std::fmt;

use crate::http::{HeaderMap, StatusCode, h1::ResponseHead};

/// An informational response (1xx), such as 103 Early Hints, which comes before the response.
pub struct Informational<'a> {
    head: &'a ResponseHead,
}

impl<'a> Informational<'a> {
    pub(super) fn new(head: &'a ResponseHead) -> Self {
        Self { head }
    }

    /// Returns the status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.status()
    }

    /// Returns the first field called `name`, in any case, without the blanks around its value.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// Returns all fields as a map, which is built anew at each call.
    #[must_use]
    pub fn field_map(&self) -> HeaderMap {
        self.head.to_header_map()
    }
}

impl fmt::Debug for Informational<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head.fmt(f)
    }
}
