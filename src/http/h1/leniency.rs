//! The switches that accept what the strict reading refuses.

/// Switches that accept messages which a strict reading of RFC 9112 refuses. All are off by
/// default.
///
/// Each switch is for one known kind of old peer. A server behind a proxy should leave all of them
/// off: what one parser accepts and another reads differently is how requests are smuggled.
///
/// # Examples
///
/// ```
/// use annulus::http::Leniency;
///
/// let leniency = Leniency { lenient_lf: true, ..Leniency::default() };
/// assert!(!leniency.raw_utf8_target);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leniency {
    /// Accepts a bare LF as the end of a line in a head. Never in chunked framing, where it
    /// decides how long the body is.
    pub lenient_lf: bool,

    /// Accepts bytes above 0x7F in a request's target when they are UTF-8.
    pub raw_utf8_target: bool,

    /// Accepts several `Content-Length` values when all of them are equal.
    pub merge_equal_lengths: bool,

    /// Accepts blanks at the end of the line with a chunk's size, which some old servers pad to one
    /// width. For responses only: a server still refuses such requests.
    pub chunk_line_blanks: bool,
}

impl Leniency {
    /// The switches that a server may follow.
    pub(crate) fn of_server(self) -> Self {
        Self {
            chunk_line_blanks: false,
            ..self
        }
    }
}
