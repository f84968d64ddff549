//! Random misuse: futures that are dropped, forgotten and finished under another runtime, wakers
//! and buffers that panic, destructors that spawn, runtimes that end in the middle and inside of
//! each other, forks. No memory is written late, nothing hangs, and no panic is met but the planned
//! ones.
//!
//! The runs are short. `ANNULUS_TORTURE_RUNTIMES` makes them long, `ANNULUS_TORTURE_SEED` repeats
//! one; each run prints its seed first. `.ci/run sanitizer` runs this under address sanitizer.
#![expect(
    unsafe_code,
    reason = "buffers promise to stay where they are, and forks"
)]

mod bombs;
mod forks;
mod steps;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod world;

use std::{
    env, fs,
    time::{Duration, SystemTime},
};

use annulus::{DriverKind, Runtime};

use support::{
    quarantine::{Keeping, written_late},
    random::Random,
};
use world::World;

#[global_allocator]
static KEEPING: Keeping = Keeping;

/// A number from the environment.
fn variable(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().expect("it is a number"))
}

/// A runtime with few buffers, which waits for little at its end.
fn runtime(kind: DriverKind, random: &mut Random) -> Runtime {
    Runtime::builder()
        .driver(kind)
        .ring_entries(1 << (3 + random.below(5)))
        .receive_buffers(1 << random.below(5))
        .receive_buffer_bytes(64 << random.below(7))
        .shutdown_timeout(Duration::from_millis(random.below(20) as u64))
        .task_panic_hook(|panic| bombs::check(panic.payload()))
        .build()
        .unwrap()
}

fn torture(kind: DriverKind, short_runtimes: u64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let seed = variable("ANNULUS_TORTURE_SEED").unwrap_or(now);
    let runtimes = variable("ANNULUS_TORTURE_RUNTIMES").unwrap_or(short_runtimes);
    println!("ANNULUS_TORTURE_SEED={seed} ANNULUS_TORTURE_RUNTIMES={runtimes} on {kind:?}");
    let late = written_late(|| {
        let _watched = watch::start(seed);
        let mut random = Random::new(seed);
        let folder = env::temp_dir().join(format!("annulus-torture-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let world = World::new(kind, random.next(), folder.clone());
        for _ in 0..runtimes {
            world.one_runtime();
            watch::step();
        }
        world.end();
        let _ = fs::remove_dir_all(folder);
        println!("{}", world.counts());
    });
    assert_eq!(late, 0, "memory was written after it had been freed");
}

#[test]
fn on_the_driver_of_the_environment() {
    torture(DriverKind::Auto, 60);
}

#[test]
fn on_the_poll_driver() {
    torture(DriverKind::Poll, 60);
}
