//! Operations in flight: submitted by futures, resolved from the kernel's completions.
//!
//! # Two drivers, one set of slots
//!
//! Every operation in flight has a [`Slot`](slot::Slot). Operations differ in the way that they get
//! there and in the part that completes them:
//!
//! - on the **ring**, an entry is pushed and its completion carries the slot's key back;
//! - a wait for **readiness** is a `POLL_ADD` entry on the ring, and an edge of epoll on the poll
//!   driver; the operation itself is then a plain system call made by its future;
//! - a call on a **helper thread** posts its result to [`Remote`] and wakes this thread.
//!
//! The poll driver has the last two only, so everything above this module is written once.
//!
//! # Life of a slot
//!
//! `Waiting` (its future's waker) becomes `Done` with the completion, which the future takes. A
//! future dropped in flight leaves its operation behind, boxed, as `Abandoned`; the operation is
//! cancelled, and finished at its *final* completion, the first one without the flag `MORE`. Until
//! then nothing that the kernel may touch is freed. A multishot operation has one slot for all its
//! completions, which queue there until they are taken.
//!
//! A slot is known by its key: an index and a generation that no other slot had. A completion or
//! a cancel that comes too late finds another generation and is ignored.
//!
//! # Rule: no user code while the driver is borrowed
//!
//! Wakers, buffers, futures and outputs are the user's: waking, cloning or dropping one may spawn,
//! abort or drop other operations, and so come back here. Inside a borrow they are only moved; what
//! has to be woken, finished or dropped leaves the borrow in a list and runs after it.

mod backend;
mod catch_up;
mod current;
mod error;
mod forked;
mod give_back;
#[cfg(all(test, loom))]
mod loom_tests;
mod multi;
mod outside;
mod poll;
mod readiness;
mod remote;
mod shutdown;
mod silent;
mod slot;
mod submit;
#[cfg(test)]
mod tests;
mod turn;
mod view;
pub(crate) mod watched;

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    future::Future,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

pub(crate) use current::{current, enter, is_inherited};
pub(crate) use error::{DriverError, foreign_runtime, inherited_runtime};
pub(crate) use multi::MultiState;
pub(crate) use readiness::WaitBegun;
pub(crate) use remote::{Helpers, Job, Remote};
pub(crate) use slot::{Abandoned, Item, Key, Withdrawn};
pub use view::{DriverStats, EntryKinds};

use crate::{
    shrink,
    sys::{self, Completion, Entry, Features, PollEvents, Process, Wait, errno, opcode},
    task::SystemSpawner,
};
use backend::{Backend, Chosen};
use catch_up::CollectedAt;
use outside::Outside;
pub(crate) use poll::NO_SOURCE;
use poll::PollBackend;
use silent::Looks;
use slot::{Slot, SpareRests, State, What};
use turn::Events;

/// The kind of driver that a runtime uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DriverKind {
    /// The ring where it is allowed, else the poll driver, with one warning a process. The
    /// environment variable `ANNULUS_DRIVER` (`ring` or `poll`) decides when it is set.
    #[default]
    Auto,
    /// io_uring, or an error.
    Ring,
    /// epoll, non-blocking calls and helper threads.
    Poll,
}

/// Sizes of a ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RingSize {
    pub(crate) entry_count: u32,
    pub(crate) completion_count: u32,
}

/// The operations of one thread.
pub(crate) struct Driver {
    core: RefCell<Core>,
    /// Recycled lists of a turn.
    events: RefCell<Events>,
    /// Copies of the core's, readable without a borrow.
    features: Features,
    uses_ring: bool,
    /// Whether this driver is the current one of its thread. It is not while another runtime runs
    /// inside of its own.
    entered: Cell<bool>,
    closed: Cell<bool>,
    process: Process,
    attempts: Cell<u64>,
    turns: Cell<u64>,
    /// Completions that the last turn brought.
    batch: Cell<usize>,
    collected_at: CollectedAt,
    /// Provided buffers that the kernel has filled since the start.
    buffers_taken: Cell<u32>,
    remote: Arc<Remote>,
    helpers: OnceCell<Rc<dyn Helpers>>,
    system_tasks: OnceCell<SystemSpawner>,
    /// The receive buffers, which `pool` knows more of. They belong to the driver because the
    /// kernel names them by numbers that mean others elsewhere, and go after the ring.
    buffers: OnceCell<Rc<dyn Any>>,
    /// None until a foreign loop asks for its descriptor.
    outside: OnceCell<Outside>,
}

struct Core {
    backend: Backend,
    slots: slab::Slab<Slot>,
    generation: u32,
    /// Slots whose operation has not posted its final completion.
    in_flight: usize,
    /// Multishots found at their limit, looked at again when the tasks have run.
    over_limit: Vec<Key>,
    spare_rests: SpareRests,
    looks: Looks,
    /// Completions with a provided buffer that wait in slots.
    parked_buffers: usize,
    /// The slots in which they came, so that they are found without a search. Some may have been
    /// taken since, and one may stand here more than once.
    parked: Vec<Key>,
    /// With so many the list is tidied.
    parked_max: usize,
    /// Decides when `slots` gives its room back.
    slot_room: shrink::Table,
    abandoned: u64,
    stale: u64,
    backpressure: u64,
}

impl Driver {
    /// Makes a driver of the kind asked for. The refusal of a ring that was tried first comes with
    /// the poll driver that takes its place.
    pub(crate) fn new(
        kind: DriverKind,
        size: RingSize,
    ) -> Result<(Self, Option<DriverError>), DriverError> {
        sys::call_in_children(current::leave);
        let remote = Arc::new(Remote::new().map_err(DriverError::Other)?);
        let Chosen {
            backend,
            features,
            refusal,
        } = backend::choose(kind, size, &remote)?;
        let uses_ring = matches!(backend, Backend::Ring(_));
        let driver = Self {
            core: RefCell::new(Core {
                backend,
                slots: slab::Slab::new(),
                generation: 0,
                in_flight: 0,
                over_limit: Vec::new(),
                spare_rests: SpareRests::default(),
                looks: Looks::default(),
                parked_buffers: 0,
                parked: Vec::new(),
                parked_max: multi::PARKED_MIN,
                slot_room: shrink::Table::default(),
                abandoned: 0,
                stale: 0,
                backpressure: 0,
            }),
            events: RefCell::new(Events::default()),
            features,
            uses_ring,
            entered: Cell::new(false),
            closed: Cell::new(false),
            process: Process::current(),
            attempts: Cell::new(0),
            turns: Cell::new(0),
            batch: Cell::new(0),
            collected_at: CollectedAt::default(),
            buffers_taken: Cell::new(0),
            remote,
            helpers: OnceCell::new(),
            system_tasks: OnceCell::new(),
            buffers: OnceCell::new(),
            outside: OnceCell::new(),
        };
        Ok((driver, refusal))
    }

    #[inline]
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// Whether entries can be pushed; else there is readiness and helper threads only.
    #[inline]
    pub(crate) fn uses_ring(&self) -> bool {
        self.uses_ring
    }

    /// The threads that run what has no other way. Given once, by the runtime.
    pub(crate) fn set_helpers(&self, helpers: Rc<dyn Helpers>) {
        let given = self.helpers.set(helpers);
        assert!(given.is_ok(), "a driver gets its helper threads once");
    }

    /// The tasks of this driver's runtime. Given once, by the runtime.
    pub(crate) fn set_system_tasks(&self, spawner: SystemSpawner) {
        let given = self.system_tasks.set(spawner);
        assert!(given.is_ok(), "a driver gets its tasks once");
    }

    /// The receive buffers of this driver. Given once, by their pool.
    pub(crate) fn set_buffers(&self, buffers: Rc<dyn Any>) {
        let given = self.buffers.set(buffers);
        assert!(given.is_ok(), "a driver gets its buffers once");
    }

    pub(crate) fn buffers(&self) -> &Rc<dyn Any> {
        let buffers = self.buffers.get();
        buffers.expect("a runtime's driver has buffers from the start")
    }

    /// Starts a short job of the runtime's own: in this driver's runtime, whichever this thread is
    /// inside of. When that is gone, the future is dropped.
    #[track_caller]
    pub(crate) fn spawn_system(&self, future: impl Future<Output = ()> + 'static) {
        if let Some(spawner) = self.system_tasks.get() {
            spawner.spawn(future);
        }
    }

    /// The part that other threads post results to, and wake this thread by.
    pub(crate) fn remote(&self) -> &Arc<Remote> {
        &self.remote
    }

    /// Whether this driver's runtime is the one that this thread runs now. To ask again is due
    /// after every await: a future may go on in another runtime.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.entered.get()
    }

    /// An error unless this driver's runtime is the one that this thread runs now.
    #[inline]
    pub(crate) fn check_current(&self) -> io::Result<()> {
        if self.is_current() {
            Ok(())
        } else {
            Err(self.not_current())
        }
    }

    #[cold]
    fn not_current(&self) -> io::Error {
        if self.is_inherited() {
            inherited_runtime()
        } else {
            foreign_runtime()
        }
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Counts a plain system call made in place of an entry.
    #[inline]
    pub(crate) fn count_attempt(&self) {
        self.attempts.set(self.attempts.get() + 1);
    }

    /// The number of completions that the last turn brought: how busy this thread is.
    #[inline]
    pub(crate) fn batch(&self) -> usize {
        self.batch.get()
    }

    #[inline]
    pub(crate) fn buffers_taken(&self) -> u32 {
        self.buffers_taken.get()
    }

    pub(crate) fn stats(&self) -> DriverStats {
        let core = self.core.borrow();
        let mut stats = DriverStats {
            attempts: self.attempts.get(),
            turns: self.turns.get(),
            abandoned: core.abandoned,
            stale: core.stale,
            backpressure: core.backpressure,
            in_flight: core.in_flight as u64,
            ..DriverStats::default()
        };
        core.backend.add_stats(&mut stats);
        stats
    }

    /// Whether a system call on `source` may succeed without waiting, as far as is known.
    #[inline]
    pub(crate) fn maybe_ready(&self, source: &Cell<u32>, events: PollEvents) -> bool {
        match &self.core.borrow().backend {
            Backend::Poll(poll) => poll.maybe_ready(source, events),
            _ => true,
        }
    }

    /// Notes that a system call on `source` found nothing, or all there was (`drained`).
    #[inline]
    pub(crate) fn not_ready(&self, source: &Cell<u32>, events: PollEvents, drained: bool) {
        if let Backend::Poll(poll) = &mut self.core.borrow_mut().backend {
            poll.not_ready(source, events, drained);
        }
    }

    /// Forgets a descriptor that is about to be closed or handed away.
    pub(crate) fn forget_source(&self, fd: i32, source: &Cell<u32>) {
        // The parent's epoll knows this descriptor by its number, too.
        self.leave_inherited();
        if let Backend::Poll(poll) = &mut self.core.borrow_mut().backend {
            poll.forget(fd, source);
        }
    }

    /// Closes a descriptor by an entry that no future waits for; false where that cannot be done.
    pub(crate) fn close_detached(&self, fd: i32) -> bool {
        self.leave_inherited();
        if !self.features.supports(opcode::CLOSE) {
            return false;
        }
        match &mut self.core.borrow_mut().backend {
            Backend::Ring(ring) => ring.push_ignored(Entry::close(fd)).is_ok(),
            Backend::Poll(_) | Backend::Closed => false,
        }
    }

    /// The completion of a one-shot operation. Taking it frees the slot.
    #[inline]
    pub(crate) fn poll_op(&self, key: Key, context: &Context<'_>) -> Poll<Completion> {
        {
            let mut core = self.core.borrow_mut();
            let slot = core.slot(key);
            match &slot.state {
                State::Done(completion) => {
                    let completion = *completion;
                    core.slots.remove(key.index as usize);
                    return Poll::Ready(completion);
                }
                State::Waiting(waker) if waker.will_wake(context.waker()) => return Poll::Pending,
                State::Waiting(_) | State::Quiet(..) => {}
                State::Multi(_) | State::Abandoned(_) => {
                    unreachable!("only a one-shot operation that has a future is polled here")
                }
            }
        }
        let mut state = State::Waiting(context.waker().clone());
        {
            let mut core = self.core.borrow_mut();
            let slot = core.slot(key);
            // To clone a waker is code of the user's, in which completions may have been handled.
            if let State::Done(completion) = slot.state {
                core.slots.remove(key.index as usize);
                return Poll::Ready(completion);
            }
            std::mem::swap(&mut slot.state, &mut state);
        }
        drop(state);
        Poll::Pending
    }

    /// Tries to give up a one-shot operation without leaving anything behind.
    pub(crate) fn withdraw(&self, key: Key) -> Withdrawn {
        self.leave_inherited();
        let mut guard = self.core.borrow_mut();
        let core = &mut *guard;
        // When the driver has closed, the slot is gone, and may be another operation's since.
        let slot = core.slots.get_mut(key.index as usize);
        let Some(slot) = slot.filter(|slot| slot.generation == key.generation) else {
            return Withdrawn::Lost;
        };
        match &slot.state {
            State::Done(completion) => {
                let completion = *completion;
                core.slots.remove(key.index as usize);
                return Withdrawn::Done(completion);
            }
            State::Waiting(_) | State::Quiet(..) => {}
            State::Multi(_) | State::Abandoned(_) => {
                unreachable!("only a one-shot operation that has a future is withdrawn")
            }
        }
        let number = slot.number;
        let gone = match &mut core.backend {
            Backend::Ring(ring) => ring.unpush(number),
            Backend::Poll(poll) => poll.remove_waiter(number, key, renumber(&mut core.slots)),
            Backend::Closed => return Withdrawn::Lost,
        };
        if !gone {
            return Withdrawn::InFlight;
        }
        let slot = core.slots.remove(key.index as usize);
        core.in_flight -= 1;
        drop(guard);
        drop(slot);
        Withdrawn::NeverRan
    }

    /// Asks the kernel to end a one-shot operation, whose future goes on waiting for it.
    pub(crate) fn cancel_op(&self, key: Key) {
        self.leave_inherited();
        self.core.borrow_mut().cancel(key);
    }

    /// Cancels a one-shot operation in flight and waits until it has ended, for at most `timeout`.
    /// It is for futures that are polled outside of this driver's runtime, which alone would wait.
    pub(crate) fn end_op(&self, key: Key, timeout: Duration) {
        self.cancel_op(key);
        let start = Instant::now();
        // When a waker that runs in a turn closes the driver, there is no slot any more.
        let is_under_way = || {
            let core = self.core.borrow();
            let slot = core.slots.get(key.index as usize);
            slot.is_some_and(|slot| {
                slot.generation == key.generation && !matches!(slot.state, State::Done(_))
            })
        };
        while is_under_way() {
            let left = timeout.saturating_sub(start.elapsed());
            if left.is_zero() || self.turn(Wait::Timeout(left)).is_err() {
                return;
            }
        }
    }

    /// Leaves an operation in flight to the driver, which finishes it at its final completion.
    pub(crate) fn abandon(&self, key: Key, abandoned: Box<dyn Abandoned>) {
        let old = {
            let mut core = self.core.borrow_mut();
            core.abandoned += 1;
            let slot = core.slot(key);
            let old = std::mem::replace(&mut slot.state, State::Abandoned(abandoned));
            core.cancel(key);
            old
        };
        drop(old);
    }

    /// Lets the kernel pick buffers for receives of `group`.
    ///
    /// # Safety
    ///
    /// As [`Ring::register_buffer_ring`](crate::sys::Ring::register_buffer_ring).
    pub(crate) unsafe fn register_buffer_ring(
        &self,
        ring_addr: *mut u8,
        entry_count: u16,
        group: u16,
    ) -> io::Result<()> {
        match &mut self.core.borrow_mut().backend {
            // SAFETY: as the caller promises.
            Backend::Ring(ring) => unsafe {
                ring.register_buffer_ring(ring_addr, entry_count, group)
            },
            _ => Err(io::Error::from_raw_os_error(errno::EOPNOTSUPP)),
        }
    }
}

/// Gives slots of the poll driver their new numbers.
fn renumber(slots: &mut slab::Slab<Slot>) -> impl FnMut(Key, u64) + '_ {
    |key, number| {
        if let Some(slot) = slots.get_mut(key.index as usize) {
            slot.number = number;
        }
    }
}

impl Core {
    #[inline]
    fn slot(&mut self, key: Key) -> &mut Slot {
        slot::live(&mut self.slots, key)
    }

    /// The key of the slot that is made next.
    #[inline]
    fn next_key(&mut self) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let index = u32::try_from(self.slots.vacant_key())
            .expect("fewer than 2^32 operations are in flight");
        Key {
            index,
            generation: self.generation,
        }
    }

    #[inline]
    fn insert(&mut self, state: State, number: u64, what: What) -> Key {
        let key = self.next_key();
        self.insert_as(key, state, number, what);
        key
    }

    #[inline]
    fn insert_as(&mut self, key: Key, state: State, number: u64, what: What) {
        let index = self.slots.insert(Slot {
            generation: key.generation,
            what,
            number,
            state,
        });
        debug_assert_eq!(index, key.index as usize, "the key was the next one");
    }

    fn push_slot(&mut self, state: State, entry: Entry) -> Result<Key, (io::Error, State)> {
        let key = self.next_key();
        let what = What::new(entry.opcode(), entry.fd());
        let pushed = match &mut self.backend {
            Backend::Ring(ring) => ring.push(entry.with_user_data(key.user_data())),
            Backend::Poll(_) | Backend::Closed => Err(foreign_runtime()),
        };
        match pushed {
            Ok(number) => {
                self.insert_as(key, state, number, what);
                self.in_flight += 1;
                Ok(key)
            }
            Err(error) => Err((error, state)),
        }
    }

    /// Asks for the end of an operation in flight. Its completion has the result.
    fn cancel(&mut self, key: Key) {
        match &mut self.backend {
            Backend::Ring(ring) => ring.cancel(key),
            // A wait for readiness was withdrawn before it came to this, and a helper thread's
            // call cannot be stopped.
            Backend::Poll(_) | Backend::Closed => {}
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("uses_ring", &self.uses_ring)
            .finish_non_exhaustive()
    }
}
