//! The pool of receive buffers: the kernel picks one when bytes arrive, so an idle socket holds
//! none.
//!
//! # Who owns a buffer
//!
//! A buffer is either *published* (its descriptor stands in the ring that the kernel reads, and the
//! kernel may write to it at any time) or *held* by one [`ManagedBuf`]. It becomes held by a
//! completion that names it and published again when the `ManagedBuf` is dropped. Where there is no
//! such ring (before Linux 5.19, and on the poll driver) the free buffers stand in a list, and a
//! receive takes one for what its system call brings.
//!
//! # Running out
//!
//! A receive that a task awaits never waits for a buffer that another connection holds: it goes to
//! readiness and a plain receive into memory of its own. So running out costs an allocation a
//! message, counted here, and is never an error.

mod datagram;
mod managed_buf;

use std::{
    any::Any,
    cell::{Cell, RefCell},
    io,
    mem::offset_of,
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering},
};

pub use datagram::Datagram;
pub use managed_buf::ManagedBuf;

use crate::{
    driver::{Driver, DriverError},
    sys::{self, Completion, Mapping},
};

/// The group that receives name. A ring has one pool, so one number serves.
pub(crate) const GROUP: u16 = 0;

/// The number of buffers, and the size of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSize {
    pub(crate) buffer_count: u16,
    pub(crate) buffer_bytes: u32,
}

/// The kernel's `struct io_uring_buf`. The first one's last field is the ring's tail.
#[repr(C)]
struct Descriptor {
    addr: u64,
    len: u32,
    id: u16,
    tail: u16,
}

/// Descriptors in one page: the kernel locks whole pages, so fewer than these cost no less.
const DESCRIPTORS_PER_PAGE: u16 = 256;

/// The receive buffers of one runtime.
pub(crate) struct Pool {
    /// Descriptors first, then, on a page border, the buffers.
    memory: Mapping,
    buffers_offset: usize,
    size: PoolSize,
    /// Whether the kernel picks the buffers.
    provided: bool,
    tail: Cell<u16>,
    /// Buffers published since the start, wrapping; the driver counts those that were taken.
    published: Cell<u32>,
    free: RefCell<Vec<u16>>,
    /// An empty list, whose room the next receive of several datagrams uses.
    list: Cell<Vec<ManagedBuf>>,
    exhausted: Cell<u64>,
}

impl Pool {
    /// Makes the pool of `driver`, and registers it where the kernel can pick buffers.
    ///
    /// # Errors
    ///
    /// No memory, or no locked memory left for this user, in a sentence that says what to raise.
    pub(crate) fn new(driver: &Driver, size: PoolSize) -> io::Result<Rc<Self>> {
        let pool = Rc::new(Self::registered(driver, size)?);
        driver.set_buffers(Rc::clone(&pool) as Rc<dyn Any>);
        Ok(pool)
    }

    fn registered(driver: &Driver, size: PoolSize) -> io::Result<Self> {
        let provided = driver.features().buffer_ring;
        let mut size = size;
        size.buffer_count = size.buffer_count.clamp(1, 1 << 15).next_power_of_two();
        loop {
            let pool = Self::mapped(size, provided)?;
            if !provided {
                pool.free.borrow_mut().extend((0..size.buffer_count).rev());
                return Ok(pool);
            }
            (0..size.buffer_count).for_each(|id| pool.publish(id));
            // SAFETY: the descriptors are at the start of a mapping, page-aligned. The driver
            // keeps the pool until the ring is gone, and leaks it when the ring could not be
            // drained.
            let registered = unsafe {
                driver.register_buffer_ring(pool.memory.as_ptr(), size.buffer_count, GROUP)
            };
            match registered {
                Ok(()) => return Ok(pool),
                Err(error)
                    if error.raw_os_error() == Some(sys::errno::ENOMEM)
                        && size.buffer_count > DESCRIPTORS_PER_PAGE =>
                {
                    size.buffer_count /= 2;
                }
                Err(error) => return Err(DriverError::from_ring_error(error)),
            }
        }
    }

    fn mapped(size: PoolSize, provided: bool) -> io::Result<Self> {
        const PAGE: usize = 4096;
        let descriptors = usize::from(size.buffer_count) * size_of::<Descriptor>();
        let buffers_offset = descriptors.next_multiple_of(PAGE);
        let buffers = usize::from(size.buffer_count) * size.buffer_bytes as usize;
        Ok(Self {
            // The kernel locks the descriptors. It writes to the buffers as a system call of this
            // process does, so that a forked child has a copy of received bytes.
            memory: Mapping::new(
                buffers_offset + buffers.next_multiple_of(PAGE),
                buffers_offset,
            )?,
            buffers_offset,
            size,
            provided,
            tail: Cell::new(0),
            published: Cell::new(0),
            free: RefCell::new(Vec::new()),
            list: Cell::default(),
            exhausted: Cell::new(0),
        })
    }

    #[inline]
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.size.buffer_bytes as usize
    }

    /// Whether the kernel has a buffer to pick, as far as this thread has seen.
    pub(crate) fn has_published(&self, driver: &Driver) -> bool {
        self.published_count(driver) > 0
    }

    /// Whether so few buffers are left that parked bytes should leave theirs.
    pub(crate) fn is_low(&self, driver: &Driver) -> bool {
        self.provided && self.published_count(driver) < u32::from(self.size.buffer_count) / 4
    }

    fn published_count(&self, driver: &Driver) -> u32 {
        self.published.get().wrapping_sub(driver.buffers_taken())
    }

    /// How many buffers there are, and how many of them are free.
    pub(crate) fn counts(&self, driver: &Driver) -> (u64, u64) {
        let free = if self.provided {
            u64::from(self.published_count(driver))
        } else {
            self.free.borrow().len() as u64
        };
        (u64::from(self.size.buffer_count), free)
    }

    /// Times that a receive had to bring memory of its own.
    pub(crate) fn exhausted(&self) -> u64 {
        self.exhausted.get()
    }

    pub(crate) fn count_exhausted(&self) {
        self.exhausted.set(self.exhausted.get() + 1);
    }

    /// The buffer that a completion names, with what was received. The caller passes each
    /// completion here once at most: it hands the buffer's ownership over.
    #[inline]
    pub(crate) fn received(self: &Rc<Self>, completion: Completion) -> Option<ManagedBuf> {
        let id = completion.buffer_id()?;
        let len = u32::try_from(completion.res)
            .unwrap_or(0)
            .min(self.size.buffer_bytes);
        Some(ManagedBuf::pooled(Rc::clone(self), id, len))
    }

    /// A copy of what a completion brought, whose buffer is published again.
    pub(crate) fn copy_out(&self, completion: Completion) -> Option<Box<[u8]>> {
        let id = completion.buffer_id()?;
        let len = usize::try_from(completion.res)
            .unwrap_or(0)
            .min(self.buffer_bytes());
        // SAFETY: the completion handed the buffer over, and `len` bytes of it were written.
        let bytes = unsafe { std::slice::from_raw_parts(self.buffer(id), len) }.into();
        self.give(id);
        Some(bytes)
    }

    /// Gives back what a completion brought, unseen.
    pub(crate) fn discard(&self, completion: Completion) {
        if let Some(id) = completion.buffer_id() {
            self.give(id);
        }
    }

    /// A buffer for a plain receive, or memory of its own when there is none.
    #[inline]
    pub(crate) fn take(self: &Rc<Self>) -> ManagedBuf {
        // Published buffers belong to the kernel, so a pool that it picks from has none to take.
        let id = if self.provided {
            None
        } else {
            self.free.borrow_mut().pop()
        };
        match id {
            Some(id) => ManagedBuf::pooled(Rc::clone(self), id, 0),
            None => ManagedBuf::own(Vec::with_capacity(self.buffer_bytes())),
        }
    }

    /// An empty list for buffers, which goes back by [`keep_list`](Self::keep_list).
    pub(crate) fn take_list(&self) -> Vec<ManagedBuf> {
        self.list.take()
    }

    /// Keeps the room of a list. The buffers in it are given back.
    pub(crate) fn keep_list(&self, mut list: Vec<ManagedBuf>) {
        list.clear();
        self.list.set(list);
    }

    /// The address of buffer `id`.
    #[inline]
    fn buffer(&self, id: u16) -> *mut u8 {
        assert!(
            id < self.size.buffer_count,
            "the kernel names buffers that it was given"
        );
        let offset = self.buffers_offset + usize::from(id) * self.size.buffer_bytes as usize;
        self.memory.as_ptr().wrapping_add(offset)
    }

    /// Takes a held buffer back.
    #[inline]
    fn give(&self, id: u16) {
        if self.provided {
            self.publish(id);
        } else {
            self.free.borrow_mut().push(id);
        }
    }

    #[inline]
    fn publish(&self, id: u16) {
        let tail = self.tail.get();
        let index = usize::from(tail & (self.size.buffer_count - 1));
        let descriptor = self
            .memory
            .as_ptr()
            .wrapping_add(index * size_of::<Descriptor>());
        let field = |offset| descriptor.wrapping_add(offset);
        // The tail shares the first descriptor's memory, so fields are written one by one.
        // SAFETY: the index is below the count, and what lies at or behind the tail is ours to
        // write until the tail moves on.
        unsafe {
            field(offset_of!(Descriptor, addr))
                .cast::<u64>()
                .write(self.buffer(id) as u64)
        };
        // SAFETY: as above.
        unsafe {
            field(offset_of!(Descriptor, len))
                .cast::<u32>()
                .write(self.size.buffer_bytes)
        };
        // SAFETY: as above.
        unsafe { field(offset_of!(Descriptor, id)).cast::<u16>().write(id) };
        let tail = tail.wrapping_add(1);
        self.tail.set(tail);
        self.published.set(self.published.get().wrapping_add(1));
        let word = self
            .memory
            .as_ptr()
            .wrapping_add(offset_of!(Descriptor, tail))
            .cast::<u16>();
        // SAFETY: the tail is an aligned 16-bit word of the mapping, which the kernel only reads.
        let shared = unsafe { AtomicU16::from_ptr(word) };
        shared.store(tail, Ordering::Release);
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// The receive buffers of `driver`, which are those of its runtime.
pub(crate) fn of(driver: &Driver) -> Rc<Pool> {
    let buffers = Rc::clone(driver.buffers());
    buffers.downcast().expect("a driver's buffers are a pool")
}
