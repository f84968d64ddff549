//! Processes, and how fork(2) is noticed.
//!
//! A forked child gets a copy of this process's memory and shares its descriptors. The kernel's
//! side of a runtime (a ring, an epoll, an eventfd) goes on working for the parent, in the parent's
//! memory: a child that used it would disturb the parent and learn nothing. So a type with such a
//! side remembers its [`Process`] and checks it before it is used or given up.
//!
//! The C library calls a handler in each child that its fork(3) makes, and the handler counts. To
//! ask is one load and a comparison, and no system call. A child that is made past the C library,
//! by a raw clone(2), is not noticed.

use std::sync::{
    Once, OnceLock,
    atomic::{AtomicU32, Ordering},
};

/// How many forks lie between the first process that asked and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// A function that a child calls first, too.
static IN_CHILD: OnceLock<fn()> = OnceLock::new();

/// A process, as told from its ancestors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    /// The process that calls this.
    pub(crate) fn current() -> Self {
        static WATCH: Once = Once::new();
        WATCH.call_once(|| {
            // SAFETY: the handler may run in a child at any time: it counts, and calls what is
            // allowed there. It fails without memory only, and then forks are not noticed.
            let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Self(FORKS.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn is_current(self) -> bool {
        FORKS.load(Ordering::Relaxed) == self.0
    }
}

/// The user as which this process acts.
pub(crate) fn effective_user() -> u32 {
    // SAFETY: the call takes no address.
    unsafe { libc::geteuid() }
}

/// Arranges that `call` is called first of all in each child that fork(3) makes, on the thread that
/// forked. Nothing of the parent's other threads is there, so it must take no lock.
pub(crate) fn call_in_children(call: fn()) {
    let _ = Process::current();
    IN_CHILD.get_or_init(|| call);
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    if let Some(call) = IN_CHILD.get() {
        call();
    }
}
