//! How often something took how long.

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
        self.counts[step(micros)] += 1;
    }

    pub(crate) fn join(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count += other;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The microseconds that `share` of all stay below.
    pub(crate) fn percentile(&self, share: f64) -> u64 {
        let wanted = (self.count() as f64 * share) as u64;
        let mut seen = 0;
        let index = self.counts.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        end_of(index.unwrap_or(0))
    }
}

fn step(micros: u64) -> usize {
    if micros < 8 {
        return micros as usize;
    }
    let power = micros.ilog2() as usize;
    let eighth = (micros >> (power - 3)) as usize & 7;
    ((power - 2) * 8 + eighth).min(255)
}

fn end_of(step: usize) -> u64 {
    if step < 8 {
        return step as u64 + 1;
    }
    (9 + step as u64 % 8) << (step / 8 - 1)
}
