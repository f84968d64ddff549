//! The rates of what has happened between two pages.

/// Two pages, and what has happened in between.
pub(crate) struct Change<'a> {
    pub(crate) before: &'a crate::metrics::Metrics,
    pub(crate) now: &'a crate::metrics::Metrics,
    pub(crate) seconds: f64,
}

impl Change<'_> {
    /// How much a counter has grown in a second.
    pub(crate) fn rate(&self, name: &str, wanted: crate::metrics::Wanted<'_>) -> f64 {
        let grown = self.now.sum(name, wanted) - self.before.sum(name, wanted);
        grown.max(0.0) / self.seconds
    }
}

/// The text, where the runtime measures.
pub(crate) fn measured(
    change: &crate::change::Change<'_>,
    name: &'static str,
    own: crate::metrics::Wanted<'_>,
    text: impl FnOnce(&'static str) -> String,
) -> String {
    if change.now.has(name, own) {
        text(name)
    } else {
        "-".to_owned()
    }
}

/// The bound that 99 of 100 polls since the last frame did not exceed.
pub(crate) fn percentile(
    change: &crate::change::Change<'_>,
    own: crate::metrics::Wanted<'_>,
) -> String {
    let name = "annulus_poll_seconds_bucket";
    let all = change.rate("annulus_poll_seconds_count", own);
    for (labels, _) in change.now.of(name, own) {
        let bound = labels.get("le").map_or("", |bound| &**bound);
        let wanted: Vec<_> = own.iter().copied().chain([("le", bound)]).collect();
        if all > 0.0 && change.rate(name, &wanted) >= 0.99 * all {
            return match bound.parse() {
                Ok(seconds) if f64::is_finite(seconds) => crate::words::time(seconds),
                _ => "> 1 s".to_owned(),
            };
        }
    }
    "-".to_owned()
}
