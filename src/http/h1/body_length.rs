//! The length of a body, as a head gives it.

/// How a message tells where its body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// There is no body.
    #[default]
    None,
    /// The body has this many bytes, which may be 0.
    Sized(u64),
    /// The body comes in chunks.
    Chunked,
    /// The body ends with the connection. Responses only.
    UntilClose,
}

impl BodyLength {
    /// Whether it is known that not one byte of body follows.
    pub(crate) fn is_empty(self) -> bool {
        matches!(self, Self::None | Self::Sized(0))
    }
}
