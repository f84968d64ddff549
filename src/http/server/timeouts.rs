//! The times that a server waits for its clients.

use std::time::Duration;

/// The times that a server waits for its clients. Every wait for one has a limit by default.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use annulus::http::Timeouts;
///
/// let timeouts = Timeouts { idle: Duration::from_secs(15), ..Timeouts::default() };
/// assert_eq!(timeouts.head, Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// The wait for the next request on an open connection, counted from the last answer or from
    /// the accept. The connection is closed then.
    ///
    /// The default of 75 seconds is longer than the 60 after which load balancers close theirs:
    /// they should be the first to do so, or a request crosses our close.
    pub idle: Duration,

    /// The wait for the whole head of a request, counted from its first byte; later bytes do not
    /// prolong it. The answer is 408.
    ///
    /// The default of 10 seconds is enough for a slow phone, but too short for a client that sends
    /// a byte now and then to keep the connection.
    pub head: Duration,

    /// The wait for the next bytes of a request's body, counted while the handler waits for them.
    /// The handler's read fails with an error that answers 408.
    ///
    /// The default is 30 seconds. A handler prolongs it for its own request by
    /// [`Body::timeout`](crate::http::Body::timeout).
    pub body: Duration,

    /// The bytes a second of a request's body that a client has to send on average, over the time
    /// that the handler waits for it. 0 asks for none.
    ///
    /// It begins to count after [`body_rate_grace`](Self::body_rate_grace). The default of 256
    /// bytes ends bodies that trickle, each byte of which would otherwise start
    /// [`body`](Self::body) anew.
    pub body_rate_min: u32,

    /// The time that a handler waits for a body before its rate counts; 10 seconds by default.
    pub body_rate_grace: Duration,

    /// The wait for a client to take any byte of an answer. The connection is cut then.
    ///
    /// The default is 30 seconds. Without it a client that asks for much and reads nothing would
    /// keep its connection, and the memory of the socket's buffers, for ever. For a Unix socket the
    /// kernel reports progress only in pieces of up to 32 KiB, so a client that takes less in this
    /// time is cut.
    pub write: Duration,

    /// The wait for a request on an idle connection after the server has begun to stop; the request
    /// is answered with `Connection: close`. The connection is closed then.
    ///
    /// The default is 0: idle connections are closed at once, and a request that crosses the close
    /// on its way is lost. A client that may not send it again deserves a round trip or two.
    /// Connections younger than a second that have not sent anything get half a second in any case,
    /// since their request is most likely on its way.
    pub stop_grace: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(75),
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            body_rate_min: 256,
            body_rate_grace: Duration::from_secs(10),
            write: Duration::from_secs(30),
            stop_grace: Duration::ZERO,
        }
    }
}
