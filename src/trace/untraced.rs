//! The spans and events of a runtime without the feature `tracing`: there are none.

use std::{fmt, panic::Location, time::Duration};

#[inline(always)]
pub(crate) fn note_fallback(_reason: &dyn fmt::Display) {}

#[inline(always)]
pub(crate) fn note_runtime(_uses_ring: bool, _missing: impl FnOnce() -> Vec<&'static str>) {}

#[inline(always)]
pub(crate) fn note_stall(
    _thread: &str,
    _duration: Duration,
    _is_over: bool,
    _task: (Option<&str>, Option<&'static Location<'static>>),
    _system_call: Option<&str>,
) {
}
