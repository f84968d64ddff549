//! The one door to the kernel's ring: set up, push an entry, enter, take completions, register.
//!
//! Entries wait in a list of ours until the next enter and are copied to the kernel's queue then.
//! An operation that is dropped before that is turned into a NOP where it stands, which costs
//! nothing; once the kernel has seen an entry, only a cancel can stop it. An enter may take fewer
//! than it was shown, so an entry leaves the list when the kernel has taken it.

use std::{io, time::Duration};

use io_uring::IoUring;

use super::{Completion, Entry, Features, Timespec, features::SetupFlags, opcode};

/// How long [`Ring::enter`] may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until something completes.
    Completion,
    /// Until something completes or this much time has passed.
    Timeout(std::time::Duration),
}

/// Counts of what went through a ring.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RingCounters {
    pub(crate) enters: u64,
    pub(crate) entries: u64,
    pub(crate) completions: u64,
    pub(crate) overflows: u64,
}

/// An io_uring instance. It stays on the thread that made it.
pub(crate) struct Ring {
    ring: IoUring,
    features: Features,
    /// Entries that the kernel has not taken yet, in order.
    staged: Vec<Entry>,
    /// The number of staged entries, from the first on, that stand in the kernel's queue.
    copied: usize,
    /// The number of entries that the kernel has taken so far, so that an entry's place can be
    /// told by a number that never repeats.
    taken: u64,
    staged_max: usize,
    /// The ring's index among this thread's registered descriptors.
    registered: Option<u32>,
    pub(crate) counters: RingCounters,
    /// Entries shown to the kernel by their opcodes. None unless it was asked for.
    kinds: Option<Box<[u64; opcode::COUNT]>>,
}

const ENTER_GETEVENTS: u32 = 1 << 0;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const ENTER_NO_IOWAIT: u32 = 1 << 7;

const REGISTER_RING_FDS: u32 = 20;
const UNREGISTER_RING_FDS: u32 = 21;
const REGISTER_PBUF_RING: u32 = 22;

/// The kernel's `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEventsArg {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_usec: u32,
    timespec: u64,
}

/// The kernel's `struct io_uring_rsrc_update`.
#[repr(C)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// The kernel's `struct io_uring_buf_reg`.
#[repr(C)]
struct BufferRingRegistration {
    ring_addr: u64,
    ring_entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

impl Ring {
    /// Makes a ring with the best set-up flags that `features` allows, of at most
    /// `entry_count` entries; fewer when locked memory is short.
    pub(crate) fn new(
        features: Features,
        entry_count: u32,
        completion_count: u32,
    ) -> io::Result<Self> {
        let mut entry_count = entry_count;
        let mut completion_count = completion_count;
        loop {
            let build = || build(features.setup, entry_count, completion_count);
            let built = if entry_count > ENTRIES_MIN {
                build()
            } else {
                with_patience(build)
            };
            match built {
                Ok(ring) => {
                    let mut ring = Self {
                        ring,
                        features,
                        staged: Vec::with_capacity(entry_count as usize),
                        copied: 0,
                        taken: 0,
                        staged_max: entry_count as usize,
                        registered: None,
                        counters: RingCounters::default(),
                        kinds: None,
                    };
                    if features.registered_ring {
                        ring.register_ring_fd();
                    }
                    return Ok(ring);
                }
                // Rings count against the locked memory of the user on many kernels.
                Err(error)
                    if error.raw_os_error() == Some(libc::ENOMEM) && entry_count > ENTRIES_MIN =>
                {
                    entry_count /= 2;
                    completion_count = (completion_count / 2).max(entry_count * 2);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The ring's descriptor, which is readable while there are completions.
    pub(crate) fn fd(&self) -> i32 {
        use std::os::fd::AsRawFd as _;
        self.ring.as_raw_fd()
    }

    /// Queues an entry and returns its number, for [`Ring::unpush`].
    ///
    /// The caller keeps what the entry points to alive until the entry's final completion, or
    /// until it was taken back.
    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) -> io::Result<u64> {
        if cfg!(debug_assertions) {
            self.check_mask(&entry);
        }
        // A kernel that takes nothing now (short of memory, or of room for completions) takes it at
        // a later enter; until then the list grows, so that order and cancels are kept.
        if self.staged.len() >= self.staged_max {
            self.enter(Wait::No, true)?;
        }
        self.staged.push(entry);
        self.counters.entries += 1;
        Ok(self.taken + self.staged.len() as u64 - 1)
    }

    /// Turns an entry into a NOP that completes with `user_data`; false when the kernel has it, or
    /// may take it.
    pub(crate) fn unpush(&mut self, number: u64, user_data: u64) -> bool {
        let Some(index) = number.checked_sub(self.taken + self.copied as u64) else {
            return false;
        };
        let Some(entry) = self.staged[self.copied..].get_mut(index as usize) else {
            return false;
        };
        *entry = Entry::nop().with_user_data(user_data);
        true
    }

    /// Gives back the room of entries that the kernel did not take for a while.
    #[inline]
    pub(crate) fn give_back(&mut self) {
        if self.staged.is_empty() && self.staged.capacity() > 2 * self.staged_max {
            self.staged.shrink_to(self.staged_max);
        }
    }

    pub(crate) fn has_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    /// Lets go of a ring in a child that fork(2) has made. The ring goes on in the parent, and its
    /// memory is not mapped here: only the child's descriptor is closed.
    pub(crate) fn leave(mut self) {
        self.staged = Vec::new();
        let fd = self.fd();
        std::mem::forget(self);
        super::close(fd);
    }

    /// The entries that the kernel has not taken. It takes none any more: this ends the ring.
    pub(crate) fn into_untaken(mut self) -> Vec<Entry> {
        std::mem::take(&mut self.staged)
    }

    /// Whether the kernel has completions that only an enter brings: work that waits for this
    /// thread, or completions that did not fit the queue.
    pub(crate) fn wants_enter(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    pub(crate) fn has_completions(&mut self) -> bool {
        !self.ring.completion().is_empty()
    }

    /// Moves every completion that is here to `out`, with its user data.
    #[inline]
    pub(crate) fn take_completions(&mut self, out: &mut Vec<(u64, Completion)>) {
        let before = out.len();
        out.extend(self.ring.completion().map(|entry| {
            let completion = Completion {
                res: entry.result(),
                flags: entry.flags(),
            };
            (entry.user_data(), completion)
        }));
        self.counters.completions += (out.len() - before) as u64;
    }

    /// Shows the kernel every queued entry, and waits as told.
    ///
    /// `flush_only` asks for room in the queue and nothing else.
    ///
    /// # Errors
    ///
    /// Only errors that the program cannot repair. Signals, time-outs and a kernel short of memory
    /// or room are the loop's ordinary life and end the call with `Ok`.
    pub(crate) fn enter(&mut self, wait: Wait, flush_only: bool) -> io::Result<()> {
        let to_submit = self.flush();
        let mut flags = 0;
        let mut min_complete = 0;
        if !flush_only {
            flags |= ENTER_GETEVENTS;
        }
        let timespec;
        let argument;
        let mut argument_address = std::ptr::null();
        let mut argument_bytes = 0;
        match wait {
            Wait::No => {}
            Wait::Completion => min_complete = 1,
            Wait::Timeout(duration) => {
                debug_assert!(
                    self.features.ext_arg,
                    "the driver uses a timeout entry then"
                );
                min_complete = 1;
                timespec = Timespec::from(duration);
                argument = GetEventsArg {
                    sigmask: 0,
                    sigmask_bytes: 0,
                    min_wait_usec: 0,
                    timespec: &raw const timespec as u64,
                };
                argument_address = (&raw const argument).cast::<libc::c_void>();
                argument_bytes = size_of::<GetEventsArg>();
                flags |= ENTER_EXT_ARG;
            }
        }
        if min_complete > 0 && self.features.no_iowait {
            flags |= ENTER_NO_IOWAIT;
        }
        let mut fd = self.fd();
        if let Some(index) = self.registered {
            flags |= ENTER_REGISTERED_RING;
            fd = index as i32;
        }
        self.counters.enters += 1;
        // SAFETY: the entries' memory is kept by `push`'s callers; the argument, when given, lives
        // on this stack frame until the call returns, and the kernel reads it during the call.
        let result = unsafe {
            libc::syscall(
                libc::SYS_io_uring_enter,
                fd,
                to_submit as u32,
                min_complete,
                flags,
                argument_address,
                argument_bytes,
            )
        };
        let error = (result < 0).then(io::Error::last_os_error);
        self.forget_taken();
        match error {
            None => Ok(()),
            Some(error) => self.after_error(error, wait),
        }
    }

    /// Goes on after an `enter` that has failed, unless nothing can be done.
    fn after_error(&mut self, error: io::Error, wait: Wait) -> io::Result<()> {
        match error.raw_os_error() {
            // A signal, the timeout, or a kernel that wants its completions taken first.
            Some(libc::EINTR | libc::ETIME | libc::EBUSY) => Ok(()),
            // A kernel without memory for the entries, which does not wait then.
            Some(libc::EAGAIN) => {
                if wait != Wait::No && !self.has_completions() {
                    std::thread::sleep(OUT_OF_MEMORY_PAUSE);
                }
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// Counts entries by their opcodes from now on.
    pub(crate) fn start_kinds(&mut self) {
        self.kinds.get_or_insert_default();
    }

    /// The entries by the places of their opcodes.
    pub(crate) fn kinds(&self) -> [u64; opcode::COUNT] {
        self.kinds.as_deref().copied().unwrap_or_default()
    }

    /// Copies staged entries to the kernel's queue, as many as fit, and returns how many the
    /// kernel has to look at.
    fn flush(&mut self) -> usize {
        let mut queue = self.ring.submission();
        if queue.cq_overflow() {
            self.counters.overflows += 1;
        }
        let room = queue.capacity() - queue.len();
        let fresh = &self.staged[self.copied..];
        let fresh = &fresh[..room.min(fresh.len())];
        if let Some(kinds) = &mut self.kinds {
            count_kinds(kinds, fresh);
        }
        for entry in fresh {
            // SAFETY: what the entry points to lives until its final completion: that is the
            // contract of `push`, kept by the driver.
            let pushed = unsafe { queue.push(&entry.into_crate()) };
            debug_assert!(pushed.is_ok(), "no more is copied than there is room for");
        }
        self.copied = queue.len();
        self.copied
    }

    /// Forgets the entries that the kernel has taken. Some may be left: it stops at one that it
    /// refuses, unless told to go on (5.18), and when it is short of memory.
    fn forget_taken(&mut self) {
        let left = self.ring.submission().len();
        let count = self.copied - left;
        self.staged.drain(..count);
        self.copied = left;
        self.taken += count as u64;
    }

    /// Lets the kernel pick receive buffers of `group` from a ring of buffer descriptors.
    ///
    /// # Safety
    ///
    /// `ring_addr` is the start of a page-aligned ring of `entry_count` descriptors, which lives,
    /// with the buffers that it names, until the group is unregistered or the ring is gone.
    pub(crate) unsafe fn register_buffer_ring(
        &mut self,
        ring_addr: *mut u8,
        entry_count: u16,
        group: u16,
    ) -> io::Result<()> {
        let registration = BufferRingRegistration {
            ring_addr: ring_addr as u64,
            ring_entries: u32::from(entry_count),
            group,
            flags: 0,
            reserved: [0; 3],
        };
        let argument = (&raw const registration).cast::<libc::c_void>();
        with_patience(|| {
            // SAFETY: the kernel reads the registration during the call; the memory it names is
            // kept by the caller.
            unsafe { register(self.fd(), REGISTER_PBUF_RING, argument, 1) }
        })
        .map(drop)
    }

    /// Has the kernel write to an eventfd at each completion, and when it has work that waits for
    /// this thread. Before 5.18 it waits for the end of everything in flight.
    pub(crate) fn register_eventfd(&mut self, eventfd: i32) -> io::Result<()> {
        self.ring.submitter().register_eventfd(eventfd)
    }

    fn register_ring_fd(&mut self) {
        let update = ResourceUpdate {
            offset: u32::MAX,
            reserved: 0,
            data: self.fd() as u64,
        };
        let argument = (&raw const update).cast::<libc::c_void>();
        // SAFETY: the kernel reads and writes the update during the call only.
        let registered = unsafe { register(self.fd(), REGISTER_RING_FDS, argument, 1) };
        // A thread has few of these; without one the plain descriptor serves.
        if registered.is_ok_and(|count| count == 1) {
            // SAFETY: the kernel wrote the index to the field, which the compiler must reread.
            let offset = unsafe { (&raw const update.offset).read_volatile() };
            self.registered = Some(offset);
        }
    }

    fn check_mask(&self, entry: &Entry) {
        if let Some(mask) = self.features.mask {
            assert!(
                entry.since() <= mask,
                "an entry that needs Linux {} was pushed while Linux {mask} is emulated: {entry:?}",
                entry.since(),
            );
        }
        debug_assert!(
            self.features.supports(entry.opcode()) || entry.opcode() == opcode::NOP,
            "an entry was pushed that this kernel does not know: {entry:?}"
        );
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        if let Some(index) = self.registered {
            let update = ResourceUpdate {
                offset: index,
                reserved: 0,
                data: 0,
            };
            let argument = (&raw const update).cast::<libc::c_void>();
            // SAFETY: the kernel reads the update during the call only. A failure leaves the slot
            // to the thread's end.
            let _ = unsafe { register(self.fd(), UNREGISTER_RING_FDS, argument, 1) };
        }
    }
}

/// How long a thread that has nothing else to do rests before it asks a kernel that is out of
/// memory again.
const OUT_OF_MEMORY_PAUSE: std::time::Duration = std::time::Duration::from_millis(1);

/// Below this a ring is of no use, and the error is told to the user.
const ENTRIES_MIN: u32 = 32;

fn build(setup: SetupFlags, entry_count: u32, completion_count: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .dontfork()
        .setup_cqsize(completion_count)
        .setup_clamp();
    if setup.submit_all {
        builder.setup_submit_all();
    }
    if setup.defer_taskrun {
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag();
    } else if setup.coop_taskrun {
        builder.setup_coop_taskrun().setup_taskrun_flag();
    }
    if setup.no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(entry_count)
}

/// A small ring with these flags, for probing.
pub(super) fn probe(setup: SetupFlags) -> io::Result<IoUring> {
    with_patience(|| build(setup, 8, 16))
}

/// The longest pause before the last call of [`with_patience`].
const PAUSE_MAX: Duration = Duration::from_millis(64);

/// Calls again for an eighth of a second when there is no memory. Memory that a closed ring had
/// locked counts until the kernel has taken the ring apart, which it does after close(2), in a
/// thread of its own: so the rings of runtimes that have just ended may be all that is in the way.
pub(super) fn with_patience<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pause = Duration::from_millis(1);
    loop {
        match call() {
            Err(error) if error.raw_os_error() == Some(libc::ENOMEM) && pause <= PAUSE_MAX => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
}

/// `io_uring_register(2)`, for what the `io-uring` crate has no call for.
///
/// # Safety
///
/// `argument` is what `opcode` expects, `count` times, and what it points to lives as long as
/// the kernel uses it.
unsafe fn register(
    fd: i32,
    opcode: u32,
    argument: *const libc::c_void,
    count: u32,
) -> io::Result<i32> {
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_io_uring_register, fd, opcode, argument, count) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

#[cold]
#[inline(never)]
fn count_kinds(kinds: &mut [u64; opcode::COUNT], entries: &[Entry]) {
    let places = entries.iter().map(|entry| opcode::place(entry.opcode()));
    places.flatten().for_each(|place| kinds[place] += 1);
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("features", &self.features)
            .field("staged", &self.staged.len())
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
