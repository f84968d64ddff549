//! The page for Prometheus, in its text format 0.0.4.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use super::{
    Inspected,
    metric::{Family, Kind},
};
use crate::{
    blocking::{HelperStats, WorkStats},
    runtime::{Silence, Stats},
};

/// A metric of a runtime: its name, its help, its kind, and where its value is.
type Row = (&'static str, &'static str, Kind, fn(&Stats) -> f64);

const ROWS: &[Row] = &[
    (
        "annulus_turns_total",
        "Looks at what has come from the kernel or from other threads.",
        Kind::Counter,
        |stats| stats.driver.turns as f64,
    ),
    (
        "annulus_enters_total",
        "Calls of io_uring_enter, or of epoll_wait on the poll driver.",
        Kind::Counter,
        |stats| stats.driver.enters as f64,
    ),
    (
        "annulus_entries_total",
        "Entries pushed to the ring.",
        Kind::Counter,
        |stats| stats.driver.entries as f64,
    ),
    (
        "annulus_completions_total",
        "Completions, or readiness events on the poll driver.",
        Kind::Counter,
        |stats| stats.driver.completions as f64,
    ),
    (
        "annulus_attempts_total",
        "Plain system calls made in place of an entry.",
        Kind::Counter,
        |stats| stats.driver.attempts as f64,
    ),
    (
        "annulus_overflows_total",
        "Enters that found the completion queue overflown.",
        Kind::Counter,
        |stats| stats.driver.overflows as f64,
    ),
    (
        "annulus_backpressure_total",
        "Receives stopped because their socket held too many bytes that no task had taken.",
        Kind::Counter,
        |stats| stats.driver.backpressure as f64,
    ),
    (
        "annulus_operations_in_flight",
        "Operations in flight.",
        Kind::Gauge,
        |stats| stats.driver.in_flight as f64,
    ),
    (
        "annulus_tasks_spawned_total",
        "Tasks spawned.",
        Kind::Counter,
        |stats| stats.tasks.spawned as f64,
    ),
    (
        "annulus_tasks_panicked_total",
        "Tasks that ended with a panic.",
        Kind::Counter,
        |stats| stats.tasks.panicked as f64,
    ),
    (
        "annulus_tasks",
        "Tasks that have not ended.",
        Kind::Gauge,
        |stats| stats.tasks.alive() as f64,
    ),
    (
        "annulus_polls_total",
        "Polls of tasks.",
        Kind::Counter,
        |stats| stats.tasks.polled as f64,
    ),
    (
        "annulus_timers",
        "Timers that are armed.",
        Kind::Gauge,
        |stats| stats.timers as f64,
    ),
    (
        "annulus_timers_fired_total",
        "Timers that have fired.",
        Kind::Counter,
        |stats| stats.timers_fired as f64,
    ),
    (
        "annulus_receive_buffers",
        "Receive buffers.",
        Kind::Gauge,
        |stats| stats.buffers as f64,
    ),
    (
        "annulus_receive_buffers_free",
        "Receive buffers that are free.",
        Kind::Gauge,
        |stats| stats.buffers_free as f64,
    ),
    (
        "annulus_receive_buffers_exhausted_total",
        "Receives that found no buffer and brought memory of their own.",
        Kind::Counter,
        |stats| stats.buffers_exhausted as f64,
    ),
    (
        "annulus_thread_cpu_seconds_total",
        "Processor time of the thread.",
        Kind::Counter,
        |stats| stats.cpu.as_secs_f64(),
    ),
];

/// Metrics of those runtimes that measure.
const MEASURED_ROWS: &[Row] = &[
    (
        "annulus_busy_seconds_total",
        "Time in which the thread was inside of its runtime and did not sleep.",
        Kind::Counter,
        |stats| stats.times.busy.as_secs_f64(),
    ),
    (
        "annulus_idle_seconds_total",
        "Time in which the thread slept in its runtime.",
        Kind::Counter,
        |stats| stats.times.idle.as_secs_f64(),
    ),
    (
        "annulus_sleeps_total",
        "Sleeps of the thread in its runtime.",
        Kind::Counter,
        |stats| stats.times.sleeps as f64,
    ),
    (
        "annulus_longest_poll_seconds",
        "The longest poll since the start.",
        Kind::Gauge,
        |stats| stats.polls.longest.as_secs_f64(),
    ),
];

/// A gauge of the helper threads for one kind of work.
type HelperRow = (&'static str, &'static str, fn(&WorkStats) -> f64);

const HELPER_ROWS: &[HelperRow] = &[
    ("annulus_helper_threads", "Helper threads.", |work| {
        work.threads as f64
    }),
    (
        "annulus_helper_threads_idle",
        "Helper threads that have nothing to do.",
        |work| work.idle as f64,
    ),
    (
        "annulus_helper_queue",
        "Jobs that wait for a helper thread.",
        |work| work.queued as f64,
    ),
    (
        "annulus_helper_oldest_wait_seconds",
        "The time that the oldest of these jobs has waited.",
        |work| work.oldest_wait.as_secs_f64(),
    ),
];

/// Writes the page.
pub(super) fn write(all: &[Inspected<Stats>], others: Vec<Family>) -> String {
    let mut page = Page(String::new());
    let runtimes: Vec<Runtime<'_>> = all
        .iter()
        .map(|one| Runtime {
            number: one.number().to_string(),
            thread: one.thread(),
            answer: one.answer(),
        })
        .collect();
    let answers: Vec<_> = runtimes
        .iter()
        .filter_map(|runtime| Some((runtime, runtime.answer.ok()?)))
        .collect();
    page.head(
        "annulus_runtime_up",
        "Whether the runtime has answered: 0 is a thread that is stuck.",
        "gauge",
    );
    for runtime in &runtimes {
        if !matches!(runtime.answer, Err(Silence::Outside)) {
            let is_up = u8::from(runtime.answer.is_ok());
            page.sample("annulus_runtime_up", &runtime.labels(), f64::from(is_up));
        }
    }
    page.rows(ROWS, &answers);
    let measured: Vec<_> = answers
        .iter()
        .copied()
        .filter(|(_, stats)| stats.is_measured)
        .collect();
    if !measured.is_empty() {
        page.rows(MEASURED_ROWS, &measured);
        page.kinds(&measured);
        page.polls(&measured);
    }
    if let Some((_, stats)) = answers.first() {
        page.helpers(&stats.helpers);
    }
    for family in others {
        page.family(&family);
    }
    page.0
}

/// A runtime of the page.
struct Runtime<'a> {
    number: String,
    thread: &'a str,
    answer: Result<&'a Stats, &'a Silence>,
}

impl Runtime<'_> {
    fn labels(&self) -> [(&str, &str); 2] {
        [("thread", self.thread), ("runtime", &self.number)]
    }

    fn labels_with<'a>(&'a self, name: &'a str, text: &'a str) -> [(&'a str, &'a str); 3] {
        let [thread, number] = self.labels();
        [thread, number, (name, text)]
    }
}

type Answers<'a> = [(&'a Runtime<'a>, &'a Stats)];

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        let mut before = '{';
        for (label, text) in labels {
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn rows(&mut self, rows: &[Row], answers: &Answers<'_>) {
        for (name, help, kind, value) in rows {
            self.head(name, help, kind.as_str());
            for (runtime, stats) in answers {
                self.sample(name, &runtime.labels(), value(stats));
            }
        }
    }

    fn kinds(&mut self, answers: &Answers<'_>) {
        let name = "annulus_operations_total";
        let help = "Entries that the kernel was shown, by the kind of their operation.";
        self.head(name, help, "counter");
        for (runtime, stats) in answers {
            for (kind, count) in stats.driver.kinds.iter() {
                self.sample(name, &runtime.labels_with("kind", kind), count as f64);
            }
        }
    }

    fn polls(&mut self, answers: &Answers<'_>) {
        let name = "annulus_poll_seconds";
        let help = "The time of a poll, of a task or of the future given to run or block_on.";
        self.head(name, help, "histogram");
        for (runtime, stats) in answers {
            let mut count_up_to = 0;
            for (bound, count) in stats.polls.histogram() {
                count_up_to += count;
                let bound = Bound(bound).to_string();
                let labels = runtime.labels_with("le", &bound);
                self.sample("annulus_poll_seconds_bucket", &labels, count_up_to as f64);
            }
            let (labels, polls) = (runtime.labels(), &stats.polls);
            self.sample(
                "annulus_poll_seconds_sum",
                &labels,
                polls.total.as_secs_f64(),
            );
            self.sample("annulus_poll_seconds_count", &labels, polls.count as f64);
        }
    }

    fn helpers(&mut self, helpers: &HelperStats) {
        let kinds = [
            ("calls", &helpers.calls),
            ("names", &helpers.names),
            ("files", &helpers.files),
        ];
        for (name, help, value) in HELPER_ROWS {
            self.head(name, help, "gauge");
            for (work, stats) in kinds {
                self.sample(name, &[("work", work)], value(stats));
            }
        }
    }

    fn family(&mut self, family: &Family) {
        self.head(family.name, family.help, family.kind.as_str());
        for (labels, value) in &family.samples {
            let labels: Vec<_> = labels.iter().map(|(name, text)| (*name, &**text)).collect();
            self.sample(family.name, &labels, *value);
        }
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A label's value, in which backslashes, quotes and line ends are escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                char => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// A bound of a histogram in seconds.
struct Bound(Option<Duration>);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bound) => write!(f, "{}", bound.as_secs_f64()),
            None => f.write_str("+Inf"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_are_escaped() {
        let mut page = Page(String::new());
        page.sample("a", &[("b", "c\\d\"e\nf"), ("g", "h")], 0.5);
        page.sample("a", &[], 3.0);
        assert_eq!(page.0, "a{b=\"c\\\\d\\\"e\\nf\",g=\"h\"} 0.5\na 3\n");
    }

    #[test]
    fn a_stuck_runtime_is_down_and_one_without_a_thread_is_no_sample() {
        let all = [
            Inspected {
                number: 4,
                thread: "stuck".to_owned(),
                answer: Err(Silence::Stuck { system_call: None }),
            },
            Inspected {
                number: 5,
                thread: "outside".to_owned(),
                answer: Err(Silence::Outside),
            },
        ];
        let page = write(&all, Vec::new());
        assert!(
            page.contains("annulus_runtime_up{thread=\"stuck\",runtime=\"4\"} 0\n"),
            "{page}"
        );
        assert!(!page.contains("outside"), "{page}");
    }
}
