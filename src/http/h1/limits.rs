//! The limits on what a peer may send.

/// The limits on what a peer may send before it is refused.
///
/// Every limit acts at the byte that crosses it, not when the message is complete. The defaults
/// let every browser and every common proxy through.
///
/// # Examples
///
/// ```
/// use annulus::http::Limits;
///
/// let limits = Limits { body_bytes_max: 64 << 20, ..Limits::default() };
/// assert_eq!(limits.fields_max, 100);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a whole head: start line, fields and line ends. Above it a request is answered
    /// with 431.
    ///
    /// The default of 16 KiB leaves room for several kilobytes of cookies. A value above 65,535
    /// counts as 65,535.
    pub head_bytes_max: usize,

    /// The bytes of the request line with its line end; for the client, of the status line. Above
    /// it a request is answered with 414.
    ///
    /// RFC 9112 recommends at least 8,000. The default of 8 KiB and 64 bytes takes a target of
    /// 8 KiB with the longest usual method and the version.
    pub start_line_bytes_max: usize,

    /// The number of fields in a head. Above it a request is answered with 431.
    ///
    /// The default of 100 is what most servers allow; browsers send some 20. A value above 128
    /// counts as 128.
    pub fields_max: usize,

    /// The bytes of the method. Above it a request is answered with 501.
    ///
    /// The default is 32; the longest registered method has 17.
    pub method_bytes_max: usize,

    /// The number of empty lines before a request that are skipped. One more is answered with 400.
    ///
    /// RFC 9112 asks for at least one, for old clients that end a body with a line end too many.
    /// The default is 4.
    pub leading_lines_max: usize,

    /// The bytes of a request's body as it arrives. Above it a request is answered with 413.
    ///
    /// The default of 1 MiB is more than any form needs and bounds what a handler that collects
    /// a body can be made to hold. Handlers raise it for the routes that take uploads.
    pub body_bytes_max: u64,

    /// The bytes of the extensions of one chunk.
    ///
    /// Extensions are skipped. Almost no program sends them, and the default of 4 KiB tolerates
    /// them.
    pub chunk_extension_line_bytes_max: usize,

    /// The bytes of the extensions of all chunks of one body.
    ///
    /// Without it many small chunks could carry far more bytes than the body limit allows. The
    /// default is 16 KiB.
    pub chunk_extension_bytes_max: usize,

    /// The bytes of the trailer section after a chunked body. Above it a request is answered with
    /// 431.
    ///
    /// The default of 8 KiB is half of a head. A value above 65,535 counts as 65,535.
    pub trailer_bytes_max: usize,

    /// The number of fields in a trailer section. Above it a request is answered with 431.
    ///
    /// The default is 32: trailers carry checksums and a status.
    pub trailer_fields_max: usize,

    /// The number of answers that gather while further requests are here already. They are sent
    /// before the next request is looked at.
    ///
    /// The default of 16 is what pipelining clients and load generators use. A peer that sends
    /// more waits until answers have left.
    pub pipelined_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 << 10,
            start_line_bytes_max: (8 << 10) + 64,
            fields_max: 100,
            method_bytes_max: 32,
            leading_lines_max: 4,
            body_bytes_max: 1 << 20,
            chunk_extension_line_bytes_max: 4 << 10,
            chunk_extension_bytes_max: 16 << 10,
            trailer_bytes_max: 8 << 10,
            trailer_fields_max: 32,
            pipelined_max: 16,
        }
    }
}
