//! Counts measured times by their length.

use std::time::Duration;

#[path = "steps.rs"]
mod steps;

/// Counts by size: eight steps for each power of two of a microsecond.
pub(crate) struct Histogram {
    counts: Box<[u64; 256]>,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: Box::new([0; 256]),
        }
    }

    pub(crate) fn add(&mut self, micros: u64) {
        self.counts[steps::step(micros)] += 1;
    }

    pub(crate) fn join(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += other;
        }
    }

    /// Writes what it holds of some requests that took so long together.
    pub(crate) fn tell(&self, took: Duration) {
        let count = self.count();
        let rate = count as f64 / took.as_secs_f64();
        crate::plain::say(format_args!(
            "{count} requests in {took:.2?}, {rate:.0} a second"
        ));
        for share in [50.0, 90.0, 99.0, 99.9] {
            let below = self.percentile(share / 100.0);
            crate::plain::say(format_args!("{share:5.1} % below {below} us"));
        }
    }

    fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The microseconds that `share` of all stay below.
    fn percentile(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share) as u64;
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        steps::end_of(index.unwrap_or(0))
    }
}
