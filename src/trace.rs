//! Spans and events for the crate `tracing`, or nothing without the feature of that name.
//!
//! Each item is there twice: in `traced.rs`, and in `untraced.rs`, where it does nothing and takes
//! no room. So the callers have no condition. `task` has the spans of tasks on this, and `http` has
//! those of connections and requests.
//!
//! A subscriber is the user's code. Where its panic would meet the runtime in the middle of
//! something, it is swallowed.

#[cfg(feature = "tracing")]
mod traced;
#[cfg(not(feature = "tracing"))]
mod untraced;

#[cfg(feature = "tracing")]
pub(crate) use traced::{Subject, Traced, inside, note_fallback, note_runtime, note_stall};
#[cfg(not(feature = "tracing"))]
pub(crate) use untraced::{note_fallback, note_runtime, note_stall};
