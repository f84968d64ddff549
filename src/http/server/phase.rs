//! The activity of a connection.

/// The activity of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for its next request.
    Idle,
    /// A part of a head has come.
    Head,
    /// The handler has not answered yet, or writes its answer in pieces.
    Handler,
    /// The rest of a body that the handler did not read is skipped.
    Body,
    /// The client has yet to take what is sent.
    Writing,
    /// It was handed over to a handler as a tunnel.
    Tunnel,
    /// It gets the messages of a topic as server-sent events.
    Events,
    /// The last answer was sent, and the client's close is awaited.
    Closing,
}

impl Phase {
    /// All phases, in their order.
    pub(super) const ALL: [Self; 8] = [
        Self::Idle,
        Self::Head,
        Self::Handler,
        Self::Body,
        Self::Writing,
        Self::Tunnel,
        Self::Events,
        Self::Closing,
    ];
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::Handler => "handler",
            Self::Body => "body",
            Self::Writing => "writing",
            Self::Tunnel => "tunnel",
            Self::Events => "events",
            Self::Closing => "closing",
        })
    }
}
