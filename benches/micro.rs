//! What do tasks, timers and channels cost, beside tokio's?
//!
//! ```text
//! cargo bench --bench micro
//! ```
//!
//! An iteration is a thousand spawns, wakes, timers or messages: a microsecond printed is a
//! nanosecond each. Where timers fire it is the thread's CPU time, everywhere else the time that
//! passed.
//!
//! monoio and compio are compared with in a package of their own, because compio needs a newer Rust
//! than annulus:
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml
//! ```

#[path = "shared/cliffs.rs"]
mod cliffs;
#[path = "shared/clock.rs"]
mod clock;
#[path = "shared/micro.rs"]
mod work;

use std::time::Duration;

use criterion::Criterion;

use work::{
    Annulus, Runtime, Tokio, clock_reading, compare, oneshot, ping_pong, self_wakes, spawn_batch,
    spawn_one_by_one, timer_arm_drop, timer_arm_million, timer_fire, yields,
};

fn main() {
    let mut quick = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .configure_from_args();
    tasks(&mut quick);
    one_timer(&mut quick);
    channels(&mut quick);
    // Their rounds are long, or mostly sleep while the time that is planned with is the CPU's.
    let mut rounds = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(550))
        .configure_from_args();
    many_timers(&mut rounds);
    no_cliffs(&mut rounds);
    rounds.final_summary();
}

fn tasks(criterion: &mut Criterion) {
    compare(
        criterion,
        "spawn and join, one by one",
        &[
            (Annulus::NAME, spawn_one_by_one::<Annulus>),
            (Tokio::NAME, spawn_one_by_one::<Tokio>),
        ],
    );
    compare(
        criterion,
        "spawn and join, batches of 1000",
        &[
            (Annulus::NAME, spawn_batch::<Annulus>),
            (Tokio::NAME, spawn_batch::<Tokio>),
        ],
    );
    compare(
        criterion,
        "yield, 1 task",
        &[
            (Annulus::NAME, yields::<Annulus, 1>),
            (Tokio::NAME, yields::<Tokio, 1>),
        ],
    );
    compare(
        criterion,
        "yield, 1000 tasks",
        &[
            (Annulus::NAME, yields::<Annulus, 1000>),
            (Tokio::NAME, yields::<Tokio, 1000>),
        ],
    );
    compare(
        criterion,
        "self-wake, 1 task",
        &[
            (Annulus::NAME, self_wakes::<Annulus, 1>),
            (Tokio::NAME, self_wakes::<Tokio, 1>),
        ],
    );
    compare(
        criterion,
        "self-wake, 1000 tasks",
        &[
            (Annulus::NAME, self_wakes::<Annulus, 1000>),
            (Tokio::NAME, self_wakes::<Tokio, 1000>),
        ],
    );
}

fn one_timer(criterion: &mut Criterion) {
    compare(
        criterion,
        "timer: make, arm and drop",
        &[
            ("the clock alone", clock_reading),
            (Annulus::NAME, timer_arm_drop::<Annulus>),
            (Tokio::NAME, timer_arm_drop::<Tokio>),
        ],
    );
}

fn many_timers(criterion: &mut Criterion) {
    compare(
        criterion,
        "timer: make and arm one of a million",
        &[
            (Annulus::NAME, timer_arm_million::<Annulus>),
            (Tokio::NAME, timer_arm_million::<Tokio>),
        ],
    );
    compare(
        criterion,
        "timer: spawn, sleep, fire and join, CPU time",
        &[
            (Annulus::NAME, timer_fire::<Annulus>),
            (Tokio::NAME, timer_fire::<Tokio>),
        ],
    );
}

/// Work that takes longer the more there is beside it shows by the ratio of two lines.
fn no_cliffs(criterion: &mut Criterion) {
    compare(
        criterion,
        "a set of one task, and a task without",
        &[
            ("set", cliffs::join_set_of_one),
            ("task", spawn_one_by_one::<Annulus>),
        ],
    );
    compare(
        criterion,
        "gathered write, a part",
        &[
            ("of 10^4", cliffs::gathered_write::<10_000>),
            ("of 10^6", cliffs::gathered_write::<1_000_000>),
        ],
    );
    compare(
        criterion,
        "waiting for a socket's turn",
        &[
            ("as one of 10^3", cliffs::waiters::<1_000>),
            ("as one of 10^5", cliffs::waiters::<100_000>),
        ],
    );
    compare(
        criterion,
        "a turn that copies a parked message",
        &[
            (
                "beside 10^2 operations",
                cliffs::turns_under_pressure::<100>,
            ),
            (
                "beside 2 * 10^4 operations",
                cliffs::turns_under_pressure::<20_000>,
            ),
        ],
    );
}

fn channels(criterion: &mut Criterion) {
    compare(
        criterion,
        "channel: round trip between two tasks",
        &[
            (Annulus::NAME, ping_pong::<Annulus>),
            (Tokio::NAME, ping_pong::<Tokio>),
        ],
    );
    compare(
        criterion,
        "oneshot: make, wait, send and receive",
        &[
            (Annulus::NAME, oneshot::<Annulus>),
            (Tokio::NAME, oneshot::<Tokio>),
        ],
    );
}
