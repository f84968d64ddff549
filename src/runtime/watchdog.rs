//! Finds threads that are stuck, by looks from a thread of its own.
//!
//! A runtime's thread counts polls anyway, and says when it sleeps. The watchdog reads both a few
//! times in each limit, so a runtime does nothing for it between the beginning and the end of a
//! `block_on`. A thread is stuck when it is inside of its runtime and awake, and no count has
//! changed for the limit.
//!
//! The time comes from the watchdog's own looks: those of a process that was stopped, or of a
//! machine that had no time for the watchdog, are too few for a report.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::stall::{Stall, StalledCode};
use crate::{
    driver::watched::Watched,
    sys::{self, PerProcess, Process},
    task::{Beat, Tasks},
    trace,
    unwind::{lock, swallow},
};

/// Looks in the time of a limit. As many without a change are needed for a report.
const LOOKS_PER_STALL: u32 = 4;

/// The shortest time between two looks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// How long a thread may take to answer to a signal. One that computes or sleeps answers at once,
/// if its processor has time for it.
const PATIENCE: Duration = Duration::from_millis(500);

pub(super) type StallHook = Arc<dyn Fn(&Stall) + Send + Sync>;

/// A runtime that is watched.
struct Entry {
    watched: Watched,
    /// Odd while the thread is inside of the runtime.
    visits: AtomicU64,
    thread: String,
    limit: Duration,
    hook: Option<StallHook>,
}

impl Entry {
    /// The time between two looks.
    fn pause(&self) -> Duration {
        (self.limit / LOOKS_PER_STALL).max(SHORTEST_PAUSE)
    }
}

/// The watchdog of a process.
#[derive(Default)]
struct Watchdog {
    state: Mutex<State>,
    /// Wakes the thread for a new entry, if its next look is too late for that.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    entries: Vec<Arc<Entry>>,
    /// Counts what came and went.
    changes: u64,
    /// The time to the next look. None while the thread waits for a runtime.
    pause: Option<Duration>,
    has_thread: bool,
}

static WATCHDOG: PerProcess<Watchdog> = PerProcess::new(Watchdog {
    state: Mutex::new(State {
        entries: Vec::new(),
        changes: 0,
        pause: None,
        has_thread: false,
    }),
    changed: Condvar::new(),
});

/// A runtime's place at the watchdog, until it is dropped.
pub(super) struct Watch {
    entry: Arc<Entry>,
    /// The process that the watchdog belongs to.
    process: Process,
}

/// The thread is inside of the runtime until this is dropped.
pub(super) struct Visit<'a>(&'a AtomicU64);

impl Watch {
    /// Has the calling thread watched, whose tasks these are.
    ///
    /// # Errors
    ///
    /// When the watchdog's thread cannot be started.
    pub(super) fn new(tasks: &Tasks, limit: Duration, hook: Option<StallHook>) -> io::Result<Self> {
        let watched = Watched::new(tasks);
        let thread = thread::current()
            .name()
            .map_or_else(|| watched.thread().id().to_string(), |name| name.to_owned());
        let entry = Arc::new(Entry {
            watched,
            visits: AtomicU64::new(0),
            thread,
            limit: limit.max(SHORTEST_PAUSE * LOOKS_PER_STALL),
            hook,
        });
        let process = Process::current();
        let watchdog = WATCHDOG.of_this_process();
        let mut state = lock(&watchdog.state);
        if !state.has_thread {
            thread::Builder::new()
                .name("annulus-stalls".to_owned())
                .spawn(sys::unpinned(move || watchdog.run()))?;
            state.has_thread = true;
        }
        state.entries.push(Arc::clone(&entry));
        state.changes += 1;
        if state.pause.is_none_or(|pause| pause > entry.pause()) {
            watchdog.changed.notify_one();
        }
        Ok(Self { entry, process })
    }

    /// Says that the thread goes into its runtime.
    pub(super) fn enter(&self) -> Visit<'_> {
        self.entry.visits.fetch_add(1, Ordering::Relaxed);
        Visit(&self.entry.visits)
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A child has no watchdog yet, and its copy of the lock may be taken for ever.
        if self.process.is_current() {
            let watchdog = WATCHDOG.of_this_process();
            let mut state = lock(&watchdog.state);
            state
                .entries
                .retain(|entry| !Arc::ptr_eq(entry, &self.entry));
            state.changes += 1;
            drop(state);
            self.entry.watched.close();
        }
    }
}

impl Watchdog {
    fn run(&self) {
        let mut subjects: Vec<Subject> = Vec::new();
        let mut changes = 0;
        let mut pause = None;
        loop {
            self.update(&mut subjects, &mut changes);
            for subject in &mut subjects {
                subject.look(Instant::now());
            }
            let next = subjects.iter().map(|subject| subject.entry.pause()).min();
            // After the last runtime it looks once more: the next that comes in that time need not
            // wake it.
            self.wait(next.or(pause), changes);
            pause = next;
        }
    }

    /// Waits for the time of the next look, or without one until there is a runtime.
    fn wait(&self, pause: Option<Duration>, changes: u64) {
        let mut state = lock(&self.state);
        state.pause = pause;
        if state.changes != changes {
            return;
        }
        if let Some(pause) = pause {
            drop(self.changed.wait_timeout(state, pause));
            return;
        }
        while state.entries.is_empty() {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Follows the entries that came and went.
    fn update(&self, subjects: &mut Vec<Subject>, changes: &mut u64) {
        let state = lock(&self.state);
        if state.changes == *changes {
            return;
        }
        *changes = state.changes;
        let entries = state.entries.clone();
        drop(state);
        subjects.retain_mut(|subject| {
            let is_there = entries
                .iter()
                .any(|entry| Arc::ptr_eq(entry, &subject.entry));
            if !is_there {
                subject.end(Instant::now());
            }
            is_there
        });
        for entry in entries {
            if !subjects
                .iter()
                .any(|subject| Arc::ptr_eq(&entry, &subject.entry))
            {
                subjects.push(Subject::new(entry));
            }
        }
    }
}

/// The counts of a runtime, and how often its thread has gone in or out.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    beat: Beat,
    visits: u64,
}

impl Moment {
    fn can_be_stuck(self) -> bool {
        self.visits % 2 == 1 && !self.beat.is_asleep
    }
}

/// An entry, and what the watchdog has seen of it.
struct Subject {
    entry: Arc<Entry>,
    last: Option<Moment>,
    /// The time of the look that saw the last change.
    since: Instant,
    looks_without_change: u32,
    is_reported: bool,
}

impl Subject {
    fn new(entry: Arc<Entry>) -> Self {
        Self {
            entry,
            last: None,
            since: Instant::now(),
            looks_without_change: 0,
            is_reported: false,
        }
    }

    fn look(&mut self, now: Instant) {
        let visits = self.entry.visits.load(Ordering::Relaxed);
        let moment = self
            .entry
            .watched
            .beat()
            .map(|beat| Moment { beat, visits });
        let is_same = moment.is_some() && moment == self.last;
        if !is_same || !moment.is_some_and(Moment::can_be_stuck) {
            self.last = moment;
            self.end(now);
            return;
        }
        self.looks_without_change += 1;
        let duration = now.saturating_duration_since(self.since);
        let is_stuck = self.looks_without_change >= LOOKS_PER_STALL && duration >= self.entry.limit;
        if is_stuck && !self.is_reported {
            self.is_reported = true;
            self.report(duration);
        }
    }

    /// Notes a change at `now`, and tells that what was reported is over.
    fn end(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_reported) {
            let duration = now.saturating_duration_since(self.since);
            self.tell(&self.stall(duration, true));
        }
        self.since = now;
        self.looks_without_change = 0;
    }

    fn stall(&self, duration: Duration, is_over: bool) -> Stall {
        Stall {
            thread: self.entry.thread.clone(),
            duration,
            is_over,
            code: None,
            system_call: None,
            addresses: Vec::new(),
        }
    }

    fn report(&self, duration: Duration) {
        let watched = &self.entry.watched;
        let mut stall = self.stall(duration, false);
        // Before the signal, which ends some calls.
        stall.system_call = watched.thread().system_call();
        let found = watched.interrupt(PATIENCE);
        let is_same = self.last.map(|last| last.beat) == watched.beat();
        if !is_same {
            // It has gone on meanwhile, and was found in other code.
            stall.system_call = None;
        } else if let Some(found) = found {
            stall.addresses = found.addresses;
            stall.name_restarted_call();
            stall.code = Some(match (found.note.location, found.note.is_root) {
                (Some(location), _) => StalledCode::Task {
                    name: found.note.name(),
                    location,
                },
                (None, true) => StalledCode::Root,
                (None, false) => StalledCode::Between,
            });
        }
        self.tell(&stall);
    }

    fn tell(&self, stall: &Stall) {
        trace::note_stall(
            stall.thread(),
            stall.duration(),
            stall.is_over(),
            (stall.task(), stall.location()),
            stall.system_call(),
        );
        match &self.entry.hook {
            Some(hook) => swallow(|| hook(stall)),
            // A program whose standard error is closed is watched all the same.
            None => drop(writeln!(io::stderr(), "annulus: {stall}")),
        }
    }
}
