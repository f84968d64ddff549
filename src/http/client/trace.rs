//! The span of a client's request.
//!
//! Without the feature `tracing` it does nothing and takes no room.

#[cfg(feature = "tracing")]
mod traced;
#[cfg(not(feature = "tracing"))]
mod untraced;

#[cfg(feature = "tracing")]
pub(super) use traced::{Hooks, RequestSpan};
#[cfg(not(feature = "tracing"))]
pub(super) use untraced::{Hooks, RequestSpan};
