//! The spans and events of the feature `tracing`, as a subscriber sees them.

mod requests;
mod tasks;

/// Tells of the place that is reached.
macro_rules! reach {
    ($message:literal) => {
        tracing::info!(target: "test", $message)
    };
}
use reach;

/// Tells when it is dropped.
struct Told;

impl Drop for Told {
    fn drop(&mut self) {
        reach!("dropped");
    }
}
