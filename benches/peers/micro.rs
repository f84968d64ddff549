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
#[path = "../shared/micro.rs"]
mod work;

use std::{future::Future, pin::Pin, time::Duration};

use criterion::Criterion;

use work::{
    Annulus, Runtime, Tokio, clock_reading, compare, oneshot, ping_pong, self_wakes, spawn_batch,
    spawn_one_by_one, timer_arm_drop, timer_arm_million, timer_fire, yields,
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
    rounds.final_summary();
}

fn tasks(criterion: &mut Criterion) {
    compare(
        criterion,
        "spawn and join, one by one",
        &[
            (Annulus::NAME, spawn_one_by_one::<Annulus>),
            (Tokio::NAME, spawn_one_by_one::<Tokio>),
            (Monoio::NAME, spawn_one_by_one::<Monoio>),
            (Compio::NAME, spawn_one_by_one::<Compio>),
        ],
    );
    compare(
        criterion,
        "spawn and join, batches of 1000",
        &[
            (Annulus::NAME, spawn_batch::<Annulus>),
            (Tokio::NAME, spawn_batch::<Tokio>),
            (Monoio::NAME, spawn_batch::<Monoio>),
            (Compio::NAME, spawn_batch::<Compio>),
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
            (Monoio::NAME, self_wakes::<Monoio, 1>),
            (Compio::NAME, self_wakes::<Compio, 1>),
        ],
    );
    compare(
        criterion,
        "self-wake, 1000 tasks",
        &[
            (Annulus::NAME, self_wakes::<Annulus, 1000>),
            (Tokio::NAME, self_wakes::<Tokio, 1000>),
            (Monoio::NAME, self_wakes::<Monoio, 1000>),
            (Compio::NAME, self_wakes::<Compio, 1000>),
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
            (Monoio::NAME, timer_arm_drop::<Monoio>),
            (Compio::NAME, timer_arm_drop::<Compio>),
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
            (Monoio::NAME, timer_arm_million::<Monoio>),
            (Compio::NAME, timer_arm_million::<Compio>),
        ],
    );
    compare(
        criterion,
        "timer: spawn, sleep, fire and join, CPU time",
        &[
            (Annulus::NAME, timer_fire::<Annulus>),
            (Tokio::NAME, timer_fire::<Tokio>),
            (Monoio::NAME, timer_fire::<Monoio>),
            (Compio::NAME, timer_fire::<Compio>),
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
