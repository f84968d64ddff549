//! What do tasks, timers and channels cost, beside tokio's?
//!
//! ```text
//! cargo bench --bench micro
//! ```
//!
//! An iteration is a thousand spawns, wakes, timers or messages, so a microsecond that criterion
//! prints is a nanosecond each. The closing table tells the time of one. Where timers fire it is
//! the thread's CPU time, everywhere else the time that passed.
//!
//! Each sample measures all runtimes in turn; `shared/rounds.rs` tells how. The table and the plot
//! of their ratios are written to `target/comparison/micro.md` and `target/comparison/micro.svg`.
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
mod comparison;
#[path = "shared/rounds.rs"]
mod rounds;
#[path = "shared/micro.rs"]
mod work;

use criterion::Criterion;

use rounds::Rounds;
use work::{
    Annulus, Runtime, Tokio, clock_reading, compare, criterion, oneshot, ping_pong, self_wakes,
    spawn_batch, spawn_one_by_one, timer_arm_drop, timer_arm_million, timer_fire, yields,
};

fn main() {
    let mut rounds = Rounds::new();
    let mut quick = criterion(20, 1500);
    tasks(&mut rounds, &mut quick);
    one_timer(&mut rounds, &mut quick);
    channels(&mut rounds, &mut quick);
    let mut cliffs = criterion(10, 1100);
    no_cliffs(&mut rounds, &mut cliffs);
    // A million timers come at once, however few iterations are asked for.
    let mut long = criterion(10, 8000);
    many_timers(&mut rounds, &mut long);
    turns_under_pressure(&mut rounds, &mut long);
    long.final_summary();
    rounds.finish("micro");
}

fn tasks(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "spawn and join, one by one",
        Tokio::NAME,
        &[
            (Annulus::NAME, spawn_one_by_one::<Annulus>),
            (Tokio::NAME, spawn_one_by_one::<Tokio>),
        ],
    );
    compare(
        rounds,
        criterion,
        "spawn and join, batches of 1000",
        Tokio::NAME,
        &[
            (Annulus::NAME, spawn_batch::<Annulus>),
            (Tokio::NAME, spawn_batch::<Tokio>),
        ],
    );
    compare(
        rounds,
        criterion,
        "yield, 1 task",
        Tokio::NAME,
        &[
            (Annulus::NAME, yields::<Annulus, 1>),
            (Tokio::NAME, yields::<Tokio, 1>),
        ],
    );
    compare(
        rounds,
        criterion,
        "yield, 1000 tasks",
        Tokio::NAME,
        &[
            (Annulus::NAME, yields::<Annulus, 1000>),
            (Tokio::NAME, yields::<Tokio, 1000>),
        ],
    );
    compare(
        rounds,
        criterion,
        "self-wake, 1 task",
        Tokio::NAME,
        &[
            (Annulus::NAME, self_wakes::<Annulus, 1>),
            (Tokio::NAME, self_wakes::<Tokio, 1>),
        ],
    );
    compare(
        rounds,
        criterion,
        "self-wake, 1000 tasks",
        Tokio::NAME,
        &[
            (Annulus::NAME, self_wakes::<Annulus, 1000>),
            (Tokio::NAME, self_wakes::<Tokio, 1000>),
        ],
    );
}

fn one_timer(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "timer: make, arm and drop",
        Tokio::NAME,
        &[
            ("the clock alone", clock_reading),
            (Annulus::NAME, timer_arm_drop::<Annulus>),
            (Tokio::NAME, timer_arm_drop::<Tokio>),
        ],
    );
}

fn many_timers(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "timer: make and arm one of a million",
        Tokio::NAME,
        &[
            (Annulus::NAME, timer_arm_million::<Annulus>),
            (Tokio::NAME, timer_arm_million::<Tokio>),
        ],
    );
    compare(
        rounds,
        criterion,
        "timer: spawn, sleep, fire and join, CPU time",
        Tokio::NAME,
        &[
            (Annulus::NAME, timer_fire::<Annulus>),
            (Tokio::NAME, timer_fire::<Tokio>),
        ],
    );
}

/// Work that takes longer the more there is beside it shows by the ratio of two lines.
fn no_cliffs(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "a set of one task, and a task without",
        "task",
        &[
            ("set", cliffs::join_set_of_one),
            ("task", spawn_one_by_one::<Annulus>),
        ],
    );
    compare(
        rounds,
        criterion,
        "gathered write, a part",
        "of 10^4",
        &[
            ("of 10^4", cliffs::gathered_write::<10_000>),
            ("of 10^6", cliffs::gathered_write::<1_000_000>),
        ],
    );
    compare(
        rounds,
        criterion,
        "waiting for a socket's turn",
        "as one of 10^3",
        &[
            ("as one of 10^3", cliffs::waiters::<1_000>),
            ("as one of 10^5", cliffs::waiters::<100_000>),
        ],
    );
}

fn turns_under_pressure(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "a turn that copies a parked message",
        "beside 10^2 operations",
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

fn channels(rounds: &mut Rounds, criterion: &mut Criterion) {
    compare(
        rounds,
        criterion,
        "channel: round trip between two tasks",
        Tokio::NAME,
        &[
            (Annulus::NAME, ping_pong::<Annulus>),
            (Tokio::NAME, ping_pong::<Tokio>),
        ],
    );
    compare(
        rounds,
        criterion,
        "oneshot: make, wait, send and receive",
        Tokio::NAME,
        &[
            (Annulus::NAME, oneshot::<Annulus>),
            (Tokio::NAME, oneshot::<Tokio>),
        ],
    );
}
