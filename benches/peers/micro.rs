//! What do tasks, timers and channels cost, beside the other runtimes'?
//!
//! ```text
//! cargo bench --manifest-path benches/peers/Cargo.toml --bench micro
//! ```
//!
//! How it is measured is told in `benches/micro.rs`, which needs tokio only. monoio and compio have
//! neither a yield nor channels for tasks of one thread, so they are absent there.

#[path = "../shared/clock.rs"]
mod clock;
#[path = "../comparison/mod.rs"]
mod comparison;
#[path = "../shared/rounds.rs"]
mod rounds;
#[path = "../shared/micro.rs"]
mod work;

use std::{future::Future, pin::Pin, time::Duration};

use criterion::Criterion;

use rounds::Rounds;
use work::{
    Annulus, Runtime, Tokio, clock_reading, compare, criterion, oneshot, ping_pong, self_wakes,
    spawn_batch, spawn_one_by_one, timer_arm_drop, timer_arm_million, timer_fire, yields,
};

/// monoio on its ring driver.
struct Monoio;

impl Runtime for Monoio {
    const NAME: &'static str = "monoio";
    type Task = monoio::task::JoinHandle<()>;
    type Sleep = monoio::time::Sleep;

    fn block_on<F: Future>(future: F) -> F::Output {
        monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
            .enable_timer()
            .build()
            .expect("monoio starts")
            .block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) -> Self::Task {
        monoio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        monoio::time::sleep(duration)
    }
}

/// compio on its ring driver.
struct Compio;

impl Runtime for Compio {
    const NAME: &'static str = "compio";
    type Task = compio::runtime::JoinHandle<()>;
    /// Its type has no name.
    type Sleep = Pin<Box<dyn Future<Output = ()>>>;

    fn block_on<F: Future>(future: F) -> F::Output {
        compio::runtime::Runtime::new()
            .expect("compio starts")
            .block_on(future)
    }

    fn spawn(future: impl Future<Output = ()> + 'static) -> Self::Task {
        compio::runtime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        Box::pin(compio::time::sleep(duration))
    }
}

fn main() {
    let mut rounds = Rounds::new();
    let mut quick = criterion(20, 1500);
    tasks(&mut rounds, &mut quick);
    one_timer(&mut rounds, &mut quick);
    channels(&mut rounds, &mut quick);
    // A million timers come at once, however few iterations are asked for.
    let mut long = criterion(10, 8000);
    many_timers(&mut rounds, &mut long);
    long.final_summary();
    rounds.finish("micro_peers");
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
            (Monoio::NAME, spawn_one_by_one::<Monoio>),
            (Compio::NAME, spawn_one_by_one::<Compio>),
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
            (Monoio::NAME, spawn_batch::<Monoio>),
            (Compio::NAME, spawn_batch::<Compio>),
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
            (Monoio::NAME, self_wakes::<Monoio, 1>),
            (Compio::NAME, self_wakes::<Compio, 1>),
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
            (Monoio::NAME, self_wakes::<Monoio, 1000>),
            (Compio::NAME, self_wakes::<Compio, 1000>),
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
            (Monoio::NAME, timer_arm_drop::<Monoio>),
            (Compio::NAME, timer_arm_drop::<Compio>),
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
            (Monoio::NAME, timer_arm_million::<Monoio>),
            (Compio::NAME, timer_arm_million::<Compio>),
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
            (Monoio::NAME, timer_fire::<Monoio>),
            (Compio::NAME, timer_fire::<Compio>),
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
