//! Wakers, buffers and tasks that panic, on purpose.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    task::{Wake, Waker},
    thread,
};

use annulus::buf::{IoBuf, IoBufMut};

/// The payload of every planned panic.
struct Planned;

/// Panics, unless that would end the process.
pub(crate) fn panic() {
    if !thread::panicking() {
        resume_unwind(Box::new(Planned));
    }
}

/// Ends the process at a panic that was not planned: it has been printed.
pub(crate) fn check(payload: &(dyn Any + Send)) {
    if !payload.is::<Planned>() {
        eprintln!("a panic that was not planned");
        std::process::abort();
    }
}

/// Runs `code`, which may panic as planned.
pub(crate) fn defused<T>(code: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(output) => Some(output),
        Err(payload) => {
            check(&*payload);
            None
        }
    }
}

struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        panic();
    }
}

/// A waker that panics.
pub(crate) fn waker() -> Waker {
    Waker::from(Arc::new(Bomb))
}

/// A buffer that panics when it is dropped.
pub(crate) struct BombBuf(pub(crate) Vec<u8>);

impl Drop for BombBuf {
    fn drop(&mut self) {
        panic();
    }
}

// SAFETY: the bytes are the vector's, on the heap.
unsafe impl IoBuf for BombBuf {
    fn as_ptr(&self) -> *const u8 {
        self.0.as_ptr()
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

// SAFETY: as above.
unsafe impl IoBufMut for BombBuf {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }

    unsafe fn set_len(&mut self, len: usize) {
        // SAFETY: as the caller promises.
        unsafe { self.0.set_len(len) };
    }
}
