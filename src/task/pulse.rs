//! The state of a thread's tasks as another thread sees it: whether they go on, and which one runs.

use std::{
    cell::UnsafeCell,
    panic::Location,
    ptr::NonNull,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::scheduler::Scheduler;
use crate::unwind::lock;

/// A count that its own thread changes and others may read. It takes a plain load and a plain
/// store.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    #[inline]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn add_one(&self) {
        self.0.store(self.get() + 1, Ordering::Relaxed);
    }

    pub(super) fn set(&self, other: &Self) {
        self.0.store(other.get(), Ordering::Relaxed);
    }
}

/// The state of a thread's tasks at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Beat {
    /// It changes with each poll of a task or of the root, and with the end of each task.
    pub(crate) count: u64,
    pub(crate) is_asleep: bool,
}

/// Bytes of a task's name that are noted.
const NAME_BYTES: usize = 128;

/// The code that a thread was found in.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    name: [u8; NAME_BYTES],
    name_len: Option<usize>,
    /// The place where the running task was spawned; none when no task runs.
    pub(crate) location: Option<&'static Location<'static>>,
    /// Whether the root future is being polled.
    pub(crate) is_root: bool,
}

impl Note {
    const fn new() -> Self {
        Self {
            name: [0; NAME_BYTES],
            name_len: None,
            location: None,
            is_root: false,
        }
    }

    /// The name of the running task, cut after 128 bytes.
    pub(crate) fn name(&self) -> Option<String> {
        let name = &self.name[..self.name_len?];
        Some(String::from_utf8_lossy(name).into_owned())
    }
}

/// The argument of [`note`].
struct Request {
    scheduler: NonNull<Scheduler>,
    note: UnsafeCell<Note>,
}

/// Notes what runs. It takes no lock and no memory, so that a signal handler may call it.
///
/// # Safety
///
/// `request` points to a [`Request`] that no one else uses at the moment. Its scheduler is alive,
/// and this is its thread.
unsafe fn note(request: *const ()) {
    // SAFETY: the caller says so.
    let request = unsafe { &*request.cast::<Request>() };
    // SAFETY: as above.
    let scheduler = unsafe { request.scheduler.as_ref() };
    // SAFETY: as above.
    let note = unsafe { &mut *request.note.get() };
    note.is_root = scheduler.is_root_running();
    scheduler.look_at_running(|task| {
        note.location = Some(task.location);
        if let Some(name) = task.name() {
            let len = name.len().min(NAME_BYTES);
            note.name[..len].copy_from_slice(&name.as_bytes()[..len]);
            note.name_len = Some(len);
        }
    });
}

/// A view of a thread's tasks for other threads, until it is closed.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Shared>);

struct Shared {
    scheduler: Mutex<Option<Pointer>>,
    is_closed: AtomicBool,
}

/// Invariant: the scheduler is alive while this is in [`Shared::scheduler`].
struct Pointer(NonNull<Scheduler>);

// SAFETY: other threads use it for `Scheduler::beat` alone, which reads atomics.
unsafe impl Send for Pointer {}

impl Pulse {
    /// # Safety
    ///
    /// The scheduler is not freed before [`close`](Self::close) has returned.
    pub(super) unsafe fn new(scheduler: &Scheduler) -> Self {
        Self(Arc::new(Shared {
            scheduler: Mutex::new(Some(Pointer(NonNull::from(scheduler)))),
            is_closed: AtomicBool::new(false),
        }))
    }

    /// The state of the tasks now; none when this was closed.
    pub(crate) fn beat(&self) -> Option<Beat> {
        let guard = lock(&self.0.scheduler);
        let pointer = guard.as_ref()?;
        // SAFETY: the invariant of `Pointer`; the lock keeps it from being taken away.
        Some(unsafe { pointer.0.as_ref() }.beat())
    }

    /// Calls `ask` with a function and its argument, and returns what the function noted and what
    /// `ask` returned. None when this was closed, or `ask` returned none.
    ///
    /// # Safety
    ///
    /// `ask` calls the function on the thread of the tasks, at most once, and before it returns. A
    /// signal handler may do so.
    pub(crate) unsafe fn note<T>(
        &self,
        ask: impl FnOnce(unsafe fn(*const ()), *const ()) -> Option<T>,
    ) -> Option<(Note, T)> {
        let guard = lock(&self.0.scheduler);
        let request = Request {
            scheduler: guard.as_ref()?.0,
            note: UnsafeCell::new(Note::new()),
        };
        let answer = ask(note, (&raw const request).cast())?;
        drop(guard);
        Some((request.note.into_inner(), answer))
    }

    /// From here on it shows nothing. It waits for threads that look at it.
    pub(crate) fn close(&self) {
        *lock(&self.0.scheduler) = None;
        self.0.is_closed.store(true, Ordering::Release);
    }

    /// Whether it was closed. It takes no lock.
    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed.load(Ordering::Acquire)
    }
}
