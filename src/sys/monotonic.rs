//! clock_gettime(2).

/// Reads `CLOCK_MONOTONIC`, in nanoseconds.
#[inline]
pub(crate) fn monotonic_nanos() -> i64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills in the value during the call. It cannot fail: this clock is there on
    // every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // On a 32-bit target the fields are shorter.
    #[expect(clippy::useless_conversion, reason = "not on every target")]
    let (seconds, nanos) = (i64::from(time.tv_sec), i64::from(time.tv_nsec));
    seconds.wrapping_mul(1_000_000_000) + nanos
}
