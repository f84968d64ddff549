//! The text format of Prometheus, as far as the view needs it.

use std::time::Instant;

/// A page at a moment.
pub(crate) struct Metrics {
    pub(crate) taken: Instant,
    samples: Vec<(String, crate::sample::Labels, f64)>,
}

/// The labels that a sum is about.
pub(crate) type Wanted<'a> = &'a [(&'a str, &'a str)];

impl Metrics {
    pub(crate) fn parse(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        Self {
            taken: Instant::now(),
            samples: lines.filter_map(crate::sample::sample).collect(),
        }
    }

    /// The sum of the samples of this name that have the labels.
    pub(crate) fn sum(&self, name: &str, wanted: Wanted<'_>) -> f64 {
        self.of(name, wanted).map(|(_, value)| value).sum()
    }

    /// Whether there is a sample of this name that has the labels.
    pub(crate) fn has(&self, name: &str, wanted: Wanted<'_>) -> bool {
        self.of(name, wanted).next().is_some()
    }

    pub(crate) fn of(
        &self,
        name: &str,
        wanted: Wanted<'_>,
    ) -> impl Iterator<Item = (&crate::sample::Labels, f64)> {
        self.samples
            .iter()
            .filter(move |(own, labels, _)| {
                let has =
                    |(label, text): &(&str, &str)| labels.get(*label).is_some_and(|l| l == text);
                own == name && wanted.iter().all(has)
            })
            .map(|(_, labels, value)| (labels, *value))
    }
}
