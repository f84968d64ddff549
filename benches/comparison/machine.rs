//! Where and when a comparison was measured.

use std::{
    fmt, fs,
    thread::available_parallelism,
    time::{SystemTime, UNIX_EPOCH},
};

/// A line that says where and when a comparison was measured.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    date: String,
    processor: String,
    cores: usize,
    kernel: String,
    /// How many threads wanted to run, on average, in the minute before the start and in the one
    /// before the end.
    load: [f64; 2],
}

impl Machine {
    /// This machine, before the first round.
    pub(crate) fn of_now() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let since_1970 = since_1970.expect("the clock is set").as_secs();
        Self {
            date: date(since_1970 / 86_400),
            processor: processor(&read("/proc/cpuinfo")),
            cores: available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: [load(); 2],
        }
    }

    /// Takes the load of the end.
    pub(crate) fn end(&mut self) {
        self.load[1] = load();
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            date,
            processor,
            cores,
            kernel,
            load: [start, end],
        } = self;
        write!(
            f,
            "{date}, {processor}, cores: {cores}, Linux {kernel}, \
             load average: {start:.1} before and {end:.1} after"
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| Some(line.split_once(':')?.1.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

fn load() -> f64 {
    let text = read("/proc/loadavg");
    let first = text.split(' ').next().and_then(|load| load.parse().ok());
    first.unwrap_or(0.0)
}

/// The date of a day that is so many days after 1970-01-01.
pub(crate) fn date(days: u64) -> String {
    // Years that begin in March end with the day that only some of them have.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    let year = era * 400 + year + u64::from(is_next_year);
    format!("{year}-{month:02}-{day:02}")
}
