//! The spans of a server's connections and requests, and its events.
//!
//! Without the feature `tracing` each item does nothing and takes no room.

#[cfg(feature = "tracing")]
mod traced;
#[cfg(not(feature = "tracing"))]
mod untraced;

#[cfg(feature = "tracing")]
pub(crate) use traced::{
    ConnectionId, ConnectionSpan, ConnectionSpans, Hooks, RequestSpan, SpanHandle, note_evicted,
    note_exhausted, note_overloaded, note_pause, note_refused, note_resumed,
};
#[cfg(not(feature = "tracing"))]
pub(crate) use untraced::{
    ConnectionId, ConnectionSpan, ConnectionSpans, Hooks, RequestSpan, SpanHandle, note_evicted,
    note_exhausted, note_overloaded, note_pause, note_refused, note_resumed,
};
