//! Ends a run that hangs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A run that makes no step for this long hangs.
const HANG: Duration = Duration::from_secs(120);

static STEPS: AtomicU64 = AtomicU64::new(0);

/// Ends the watch when it is dropped.
pub(crate) struct Watched(Arc<AtomicBool>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn step() {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn start(seed: u64) -> Watched {
    let is_over = Arc::new(AtomicBool::new(false));
    let watched = Watched(Arc::clone(&is_over));
    thread::spawn(move || {
        let (mut before, mut rest) = (STEPS.load(Ordering::Relaxed), HANG);
        while !is_over.load(Ordering::Relaxed) {
            let pause = Duration::from_millis(200);
            thread::sleep(pause);
            let now = STEPS.load(Ordering::Relaxed);
            rest = if now == before {
                rest.saturating_sub(pause)
            } else {
                HANG
            };
            before = now;
            if rest.is_zero() {
                eprintln!("the run of seed {seed} hangs after {now} steps");
                std::process::abort();
            }
        }
    });
    watched
}
