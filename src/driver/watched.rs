//! A runtime's thread as a watchdog on another thread sees it.

use std::time::Duration;

use crate::{
    sys::Thread,
    task::{Beat, Note, Pulse, Tasks},
};

/// The thread that calls this.
pub(crate) fn current_thread() -> Thread {
    Thread::current()
}

/// The thread of some tasks.
pub(crate) struct Watched {
    /// Invariant: the thread that the tasks of `pulse` belong to.
    thread: Thread,
    pulse: Pulse,
}

/// The code that a thread was found in.
pub(crate) struct Found {
    pub(crate) note: Note,
    /// Addresses of code, innermost first.
    pub(crate) addresses: Vec<usize>,
}

impl Watched {
    /// `tasks` are those of the calling thread, since they never leave theirs.
    pub(crate) fn new(tasks: &Tasks) -> Self {
        Self {
            thread: Thread::current(),
            pulse: tasks.pulse(),
        }
    }

    pub(crate) fn thread(&self) -> Thread {
        self.thread
    }

    /// The state of its tasks; none after [`close`](Self::close).
    pub(crate) fn beat(&self) -> Option<Beat> {
        self.pulse.beat()
    }

    /// Interrupts the thread by a signal and returns what it does; none when it does not answer
    /// for so long. One thread of a process at a time may ask.
    pub(crate) fn interrupt(&self, patience: Duration) -> Option<Found> {
        let ask = |call, argument| {
            // SAFETY: `Pulse::note` gives a function for signal handlers, and what it points to
            // stays until this returns.
            unsafe { self.thread.interrupt(call, argument, patience) }
        };
        // SAFETY: the handler calls it on the thread, which is that of the tasks, before `ask`
        // returns or never.
        let (note, addresses) = unsafe { self.pulse.note(ask) }?;
        Some(Found { note, addresses })
    }

    /// From here on nothing shows.
    pub(crate) fn close(&self) {
        self.pulse.close();
    }
}
