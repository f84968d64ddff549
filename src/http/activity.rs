//! What a connection is doing.

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It waits for its next request.
    Idle,
    /// A part of a head has come.
    Head,
    /// The handler has not answered yet, or writes its answer in pieces.
    Handler,
    /// What the handler left of a body is skipped.
    Body,
    /// The client has yet to take what is sent.
    Writing,
    /// It was handed over to a handler as a tunnel.
    Tunnel,
    /// The last answer was sent, and the client's close is awaited.
    Closing,
}
