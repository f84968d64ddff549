//! A call on a helper thread, on either driver: for what an entry of the ring does no better.
//!
//! The kernel hands `RENAMEAT`, `UNLINKAT`, `MKDIRAT`, `SYMLINKAT`, `LINKAT` and `STATX` to worker
//! threads of its own, always. So they are threads and a wake either way, while a call is the same
//! on every kernel, can be several system calls, and returns any value.

use std::{io, sync::Arc};

use super::{AnyFd, Op, WithoutRing};
use crate::{
    primitives::{Mutex, lock},
    sys::{Entry, errno, opcode},
};

type Work<T> = Box<dyn FnOnce() -> io::Result<T> + Send>;

pub(crate) struct Call<T> {
    /// The descriptors that it works on by their numbers.
    kept: Vec<AnyFd>,
    work: Option<Work<T>>,
    output: Arc<Mutex<Option<io::Result<T>>>>,
}

impl<T> Call<T> {
    /// A call that may use the descriptors in `kept`, which stay open until it has ended.
    pub(crate) fn new(
        kept: Vec<AnyFd>,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Self {
        Self {
            kept,
            work: Some(Box::new(work)),
            output: Arc::new(Mutex::new(None)),
        }
    }
}

// SAFETY: there is no entry, and the thread's call owns all that it touches but for descriptors,
// which the operation keeps open until `complete`.
unsafe impl<T: Send + 'static> Op for Call<T> {
    type Output = io::Result<T>;

    /// No kernel supports it, so there is no entry.
    const OPCODE: u8 = opcode::HELPER;

    /// It is made once.
    const RETRIES: bool = false;

    fn entry(&mut self) -> Entry {
        unreachable!("no kernel has an entry for a call")
    }

    fn without_ring(&mut self) -> WithoutRing {
        let work = self.work.take();
        let output = Arc::clone(&self.output);
        WithoutRing::Thread(Box::new(move || match work {
            Some(work) => {
                let result = work();
                *lock(&output) = Some(result);
                0
            }
            None => -errno::EINVAL,
        }))
    }

    fn fd(&self) -> Option<&AnyFd> {
        self.kept.first()
    }

    fn complete(self, result: io::Result<u32>) -> io::Result<T> {
        result?;
        let output = lock(&self.output).take();
        output.unwrap_or_else(|| Err(io::Error::other("a helper thread has left no output")))
    }

    fn left_behind(error: io::Error) -> Option<io::Result<T>> {
        Some(Err(error))
    }
}
