//! The CPU time of a thread.
#![expect(unsafe_code, reason = "these clocks are in the C library only")]

use std::time::Duration;

/// Counts while its thread runs. Another thread may read it too, as long as the first one lives.
#[derive(Clone, Copy)]
pub(crate) struct ThreadClock(libc::clockid_t);

impl ThreadClock {
    pub(crate) fn of_this_thread() -> Self {
        let mut clock = 0;
        // SAFETY: it has no preconditions.
        let this_thread = unsafe { libc::pthread_self() };
        // SAFETY: this thread runs, and `clock` is there for the call.
        let result = unsafe { libc::pthread_getcpuclockid(this_thread, &mut clock) };
        assert_eq!(result, 0, "a thread that runs has a clock");
        Self(clock)
    }

    pub(crate) fn now(self) -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is there for the call.
        let result = unsafe { libc::clock_gettime(self.0, &mut time) };
        assert_eq!(result, 0, "the clock of a thread that runs can be read");
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
