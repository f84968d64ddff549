//! Three tasks that wait for different times, and a limit on how long all of it may take.
//!
//! ```text
//! cargo run --release --example timer
//! ```
//!
//! It prints a tick every 200 ms, and after a second that the time is up.

use std::time::{Duration, Instant};

use annulus::{spawn, time};

fn main() {
    annulus::run(async {
        let start = Instant::now();
        for (name, delay) in [("slow", 700), ("quick", 300)] {
            spawn(async move {
                time::sleep(Duration::from_millis(delay)).await;
                println!("{:>4} ms: {name} task done", start.elapsed().as_millis());
            });
        }
        let ticks = async {
            let mut interval = time::interval(Duration::from_millis(200));
            for _ in 0..u32::MAX {
                interval.tick().await;
                println!("{:>4} ms: tick", start.elapsed().as_millis());
            }
        };
        if let Err(elapsed) = time::timeout(Duration::from_secs(1), ticks).await {
            println!("{:>4} ms: {elapsed}", start.elapsed().as_millis());
        }
    });
}
