//! Sleeping, deadlines, intervals, and a clock that tests can stop.
//!
//! All instants are [`std::time::Instant`]s of the runtime's clock, which is the system's
//! monotonic clock until a test calls [`pause`]. Timers have a granularity of one millisecond: a
//! timer never fires early, and on an otherwise idle thread about a millisecond late at most.
//! Timers fire in the order of their milliseconds, and those of one millisecond in the order in
//! which they were first polled or last reset. While the clock is paused all of this is exact to
//! the nanosecond.
//!
//! # Stopping the clock
//!
//! After [`pause`] time stands still: [`now`] returns the same instant until [`advance`] moves it,
//! or until the runtime has nothing else to do. In that case the runtime does not wait for the
//! earliest timer: it sets the clock to the timer's deadline and goes on, so that a test which
//! sleeps for a day ends at once.
//!
//! ```
//! use annulus::time::{now, pause, sleep};
//! use std::time::Duration;
//!
//! annulus::run(async {
//!     pause();
//!     let start = now();
//!     sleep(Duration::from_secs(86_400)).await;
//!     assert_eq!(now() - start, Duration::from_secs(86_400));
//! });
//! ```

// The life of a timer
//
// A `Sleep` is idle until it is polled, armed while it has an entry in the wheel of a runtime, and
// done afterwards. An armed `Sleep` owns its entry: `Wheel::fire` takes the waker out and marks the
// entry as due, but only the `Sleep` frees it, when it is polled, reset or dropped. So an index
// never outlives its entry and needs no generation. Each `Sleep` holds its `Timers` by reference
// count, so that it can be dropped after its runtime, or be polled under another one, to which it
// then moves.
//
// Wakers are user code: they are cloned, woken and dropped only while the wheel is not borrowed.

mod clock;
mod elapsed;
mod interval;
mod missed_ticks;
mod sleep;
mod slots;
mod timeout;
mod timers;
mod wheel;

pub use clock::{advance, now, pause, resume};
pub use elapsed::Elapsed;
pub use interval::{Interval, interval, interval_at};
pub use missed_ticks::MissedTicks;
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Timeout, timeout, timeout_at};
pub(crate) use timers::{
    Look, Timers, fired_count, for_each_pending, pending_count, shrink, turn_end, watch_turn,
};

#[cfg(test)]
mod tests;
