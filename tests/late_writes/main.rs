//! Memory that was freed is never written by the kernel.
//!
//! While it is switched on, this test's allocator frees nothing: it fills blocks with a pattern,
//! keeps them for a while, and then looks whether they were written to.
#![expect(unsafe_code, reason = "a late write has to be provoked once")]

mod scenarios;
#[path = "../support/mod.rs"]
mod support;

use support::quarantine::Keeping;

#[global_allocator]
static KEEPING: Keeping = Keeping;
