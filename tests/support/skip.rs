//! Skips tests that need more than the machine has.
//!
//! [`skip`] says so at once, and leaves a record in the target folder. The suite `zz_skipped`, the
//! last that `cargo test` runs, reads the records of its own run and names them in one line. With
//! `ANNULUS_REQUIRE_ALL=1` a skip is a failure.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    iter,
    path::{Path, PathBuf},
    process, thread,
};

/// Skips the rest of a test: the caller returns after it.
pub(crate) fn skip(why: &str) {
    let test = test();
    assert!(
        env::var_os("ANNULUS_REQUIRE_ALL").is_none(),
        "ANNULUS_REQUIRE_ALL is set, and {test} is skipped: {why}"
    );
    leave_out(why);
}

/// As [`skip`], where no machine can show everything: it is never a failure.
pub(crate) fn leave_out(why: &str) {
    let test = test();
    // Past the test harness, which would show it only if the test failed.
    let _ = writeln!(io::stderr(), "skipped: {test}: {why}");
    // A machine where nothing can be written still shows the line above.
    let _ = record(&records(), &Run::current(), &test, why);
}

/// The suite and the test that run now.
fn test() -> String {
    let suite = env!("CARGO_CRATE_NAME");
    let thread = thread::current();
    // A test that has the process for itself may run on the main thread.
    let mut rest = env::args().skip_while(|argument| argument != "--exact");
    let alone = rest.nth(1);
    let name = thread.name().filter(|name| *name != "main");
    match name.or(alone.as_deref()) {
        None => suite.to_owned(),
        Some(name) => format!("{suite}::{name}"),
    }
}

/// The folder of the records in the target folder: one file for each run.
pub(crate) fn records() -> PathBuf {
    // target/PROFILE/deps/SUITE-HASH
    let program = env::current_exe().unwrap_or_default();
    let profile = program.ancestors().nth(2).unwrap_or(Path::new(""));
    profile.join("skipped")
}

/// Adds a line to the records of `run`, in one write, since other tests add theirs.
pub(crate) fn record(folder: &Path, run: &Run, test: &str, why: &str) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = File::options()
        .append(true)
        .create(true)
        .open(folder.join(run.name()))?;
    file.write_all(format!("{test}\t{}\n", why.replace(['\t', '\n'], " ")).as_bytes())
}

/// Takes the records of `run`, and removes those of runs that have ended.
pub(crate) fn take_records(folder: &Path, run: &Run) -> String {
    let taken = fs::read_to_string(folder.join(run.name())).unwrap_or_default();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let other = name.to_str().and_then(Run::from_name);
        if other.is_none_or(|other| other == *run || !other.is_alive()) {
            let _ = fs::remove_file(entry.path());
        }
    }
    taken
}

/// The closing line: how many tests are in `records`, and their names by reason.
pub(crate) fn closing_line(records: &str) -> String {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    let mut lines: Vec<&str> = records.lines().collect();
    lines.sort_unstable();
    // A test that a mask of `kernels` repeats has several.
    lines.dedup();
    for (test, why) in lines.iter().filter_map(|line| line.split_once('\t')) {
        reasons.entry(why).or_default().push(test);
    }
    let count: usize = reasons.values().map(Vec::len).sum();
    let mut line = match count {
        0 => return "nothing was skipped".to_owned(),
        1 => "skipped: 1 test (".to_owned(),
        _ => format!("skipped: {count} tests ("),
    };
    for (index, (why, tests)) in reasons.iter().enumerate() {
        let between = if index == 0 { "" } else { "; " };
        let _ = write!(line, "{between}{}: {why}", tests.join(", "));
    }
    line.push(')');
    line
}

/// One `cargo test`: its process. The start tells it from another that had the same number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) pid: u32,
    pub(crate) start: u64,
}

impl Run {
    /// The nearest cargo above this process; without one, the parent.
    pub(crate) fn current() -> Self {
        let above = |process: &Process| Process::read(process.parent);
        let own = Process::read(process::id());
        let parent = own.as_ref().and_then(above);
        let cargo = iter::successors(own, above).find(|process| process.name == "cargo");
        let run = cargo.or(parent).map(|process| process.run);
        run.unwrap_or(Self { pid: 0, start: 0 })
    }

    /// The run that this process would be.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        Process::read(pid).map(|process| process.run)
    }

    fn name(&self) -> String {
        format!("{}-{}", self.pid, self.start)
    }

    fn from_name(name: &str) -> Option<Self> {
        let (pid, start) = name.split_once('-')?;
        Some(Self {
            pid: pid.parse().ok()?,
            start: start.parse().ok()?,
        })
    }

    fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }
}

/// A process, as the kernel tells it in `/proc`.
struct Process {
    run: Run,
    name: String,
    parent: u32,
}

impl Process {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name may hold spaces and brackets.
        let (before, after) = text.rsplit_once(") ")?;
        let (_, name) = before.split_once('(')?;
        let fields: Vec<&str> = after.split(' ').collect();
        Some(Self {
            run: Run {
                pid,
                // In ticks since the machine's start: the 22nd field, and the 20th after the name.
                start: fields.get(19)?.parse().ok()?,
            },
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
        })
    }
}
