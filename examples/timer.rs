//! Three tasks that wait for different times, and a limit on how long all of it may take.
//!
//! ```text
//! cargo run --release --example timer
//! ```
//!
//! It prints a tick every 200 ms, and after a second that the time is up.

use std::time::{Duration, Instant};

use annulus::{spawn, time};

#[path = "shared/plain.rs"]
mod plain;

fn main() -> plain::Result {
    if std::env::args().len() > 1 {
        plain::usage("timer");
    }
    annulus::run(async {
        let start = Instant::now();
        for (name, delay) in [("slow", 700), ("quick", 300)] {
            spawn(async move {
                time::sleep(Duration::from_millis(delay)).await;
                say(start, &format!("{name} task done"));
            });
        }
        let ticks = async {
            let mut interval = time::interval(Duration::from_millis(200));
            for _ in 0..u32::MAX {
                interval.tick().await;
                say(start, "tick");
            }
        };
        if let Err(elapsed) = time::timeout(Duration::from_secs(1), ticks).await {
            say(start, &elapsed.to_string());
        }
        Ok(())
    })
}

fn say(start: Instant, what: &str) {
    plain::say(format_args!(
        "{:>4} ms: {what}",
        start.elapsed().as_millis()
    ));
}
