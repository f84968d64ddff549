//! clock_gettime(2).

/// Reads `CLOCK_MONOTONIC`, in nanoseconds.
#[inline]
pub(crate) fn monotonic_nanos() -> i64 {
    nanos(libc::CLOCK_MONOTONIC)
}

/// Reads the processor time that the calling thread has used, in nanoseconds.
pub(crate) fn thread_cpu_nanos() -> i64 {
    nanos(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[inline]
fn nanos(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills in the value during the call. It cannot fail: these clocks are there
    // on every Linux.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    // On a 32-bit target the fields are shorter.
    #[expect(clippy::useless_conversion, reason = "not on every target")]
    let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    seconds.wrapping_mul(1_000_000_000) + nanos
}
