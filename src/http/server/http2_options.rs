//! The settings of HTTP/2, and which versions a server speaks.

use std::time::Duration;

/// The limits and times of a server's HTTP/2 connections (RFC 9113).
///
/// Feature: `http2`.
///
/// Limits that both versions share are in [`Limits`](crate::http::Limits) and
/// [`Timeouts`](crate::http::Timeouts): the list of a request's fields may have
/// [`head_bytes_max`](crate::http::Limits::head_bytes_max) bytes as section 6.5.2 counts them, a
/// body [`body_bytes_max`](crate::http::Limits::body_bytes_max). A client has
/// [`Timeouts::head`](crate::http::Timeouts::head) for its preface and its first settings.
///
/// # Examples
///
/// ```
/// use annulus::http::{Http2, Server};
///
/// let http2 = Http2 { concurrent_streams_max: 32, ..Http2::default() };
/// let server = Server::new().listen("127.0.0.1:8080").http2(http2);
/// # let _ = server;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2 {
    /// The requests that a client may have under way at once; 128 by default. One more is refused
    /// with `REFUSED_STREAM`, and the client may send it again.
    ///
    /// Feature: `http2`.
    pub concurrent_streams_max: u32,

    /// The bytes of a request's body that a client may send ahead of its handler; 64 KiB by
    /// default, and at most 2^31 - 1.
    ///
    /// An upload gets no more than this in one round trip. A larger window makes it faster on long
    /// ways, and lets each stream hold as much memory.
    ///
    /// Feature: `http2`.
    pub stream_window_bytes: u32,

    /// The same for all streams of a connection together; 1 MiB by default, and at least 65,535.
    ///
    /// Feature: `http2`.
    pub connection_window_bytes: u32,

    /// The bytes of the largest frame that a client may send; 16 KiB by default, which is the
    /// least that the protocol allows.
    ///
    /// Feature: `http2`.
    pub frame_bytes_max: u32,

    /// The bytes of the dynamic table from which a client's fields are decoded (RFC 7541); 4 KiB by
    /// default.
    ///
    /// Feature: `http2`.
    pub table_bytes_max: u32,

    /// The bytes of an answer that wait in a stream until they are sent; 64 KiB by default. A
    /// handler that writes more waits.
    ///
    /// Feature: `http2`.
    pub send_buffer_bytes_max: usize,

    /// The requests that a client may reset before the server has looked at them; 20 by default.
    /// With one more the connection ends with `ENHANCE_YOUR_CALM`.
    ///
    /// Feature: `http2`.
    pub unseen_resets_max: usize,

    /// The requests that a client may reset while their handlers run, beyond the number of those
    /// that it has let come to an end; 200 by default. With one more the connection ends with
    /// `ENHANCE_YOUR_CALM`.
    ///
    /// It bounds the work that is done for nothing (rapid reset, CVE-2023-44487).
    ///
    /// Feature: `http2`.
    pub resets_max: u32,

    /// The streams that the server may have to reset because of a client's errors; 1024 by default.
    /// With one more the connection ends with `ENHANCE_YOUR_CALM`.
    ///
    /// Feature: `http2`.
    pub error_resets_max: usize,

    /// The time without a byte from a client that waits for answers, after which it is sent a ping;
    /// 60 seconds by default.
    ///
    /// Feature: `http2`.
    pub ping_interval: Duration,

    /// The time that a client has to answer a ping, or to send anything; 20 seconds by default. The
    /// connection is cut then.
    ///
    /// Feature: `http2`.
    pub ping_timeout: Duration,
}

impl Default for Http2 {
    fn default() -> Self {
        Self {
            concurrent_streams_max: 128,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 1024 * 1024,
            frame_bytes_max: 16 * 1024,
            table_bytes_max: 4 * 1024,
            send_buffer_bytes_max: 64 * 1024,
            unseen_resets_max: 20,
            resets_max: 200,
            error_resets_max: 1024,
            ping_interval: Duration::from_secs(60),
            ping_timeout: Duration::from_secs(20),
        }
    }
}

/// The versions of HTTP that a server speaks.
///
/// Feature: `http2`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpVersions {
    /// HTTP/1.1, and HTTP/2 with clients that choose it over TLS (ALPN), or begin with its preface
    /// without TLS.
    #[default]
    All,
    /// HTTP/1.1 alone: the preface of HTTP/2 is answered with 505.
    Http1,
    /// HTTP/2 alone: a request of HTTP/1.1 is answered with 505.
    Http2,
}

/// The settings of HTTP/2 of one server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) http2: Http2,
    pub(crate) versions: HttpVersions,
}

impl Options {
    /// Whether HTTP/1.1 is spoken.
    pub(crate) fn has_http1(&self) -> bool {
        self.versions != HttpVersions::Http2
    }

    /// Whether HTTP/2 is spoken.
    pub(crate) fn has_http2(&self) -> bool {
        self.versions != HttpVersions::Http1
    }
}
