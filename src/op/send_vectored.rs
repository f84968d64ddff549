//! `IORING_OP_SENDMSG`: sends several buffers as one.

use std::io;

use super::{AnyFd, Op, Progress, WithoutRing, held::Held};
use crate::{
    buf::{BufError, BufResult, IoVectored},
    driver::Driver,
    sys::{self, Entry, MessageHeader, PollEvents, errno, opcode, option},
};

pub(crate) struct SendVectored<B: IoVectored> {
    fd: AnyFd,
    bufs: Held<B>,
    /// Boxed, because the kernel reads it until the send has completed.
    header: Held<Box<MessageHeader>>,
    total: usize,
    sent: usize,
    all: bool,
}

impl<B: IoVectored> SendVectored<B> {
    pub(crate) fn new(fd: AnyFd, bufs: B, all: bool) -> Self {
        let total = bufs.total_len();
        let header = Held::new(Box::new(MessageHeader::new()));
        Self {
            fd,
            bufs: Held::new(bufs),
            header,
            total,
            sent: 0,
            all,
        }
    }

    /// From now on a short send is not the end.
    pub(crate) fn send_all(&mut self) {
        self.all = true;
    }

    /// Names the parts that are still to be sent.
    fn name_rest(&mut self) {
        let mut skip = self.sent;
        let mut parts = Vec::new();
        self.bufs.get().for_each(&mut |start, len| {
            let skipped = skip.min(len);
            skip -= skipped;
            if skipped < len {
                parts.push((start.wrapping_add(skipped), len - skipped));
            }
        });
        self.header.get_mut().set_parts(parts.into_iter());
    }
}

// SAFETY: the entry points to the boxed header, which points to the parts; by `IoVectored` these
// stay where they are when the value moves, and `Held` keeps both untouched until `complete`.
unsafe impl<B: IoVectored> Op for SendVectored<B> {
    type Output = BufResult<usize, B>;

    const OPCODE: u8 = opcode::SENDMSG;

    fn entry(&mut self) -> Entry {
        self.name_rest();
        let wait_all = if self.all { option::MSG_WAITALL } else { 0 };
        let header = self.header.get().as_ptr();
        Entry::sendmsg(self.fd.raw(), header, option::MSG_NOSIGNAL | wait_all)
    }

    fn without_ring(&mut self) -> WithoutRing {
        WithoutRing::Ready(PollEvents::WRITE)
    }

    fn fd(&self) -> Option<&AnyFd> {
        Some(&self.fd)
    }

    fn attempt(&mut self) -> i32 {
        self.name_rest();
        // SAFETY: the parts are the buffers', initialized, and nobody writes them.
        unsafe { sys::sendmsg_now(self.fd.raw(), self.header.get()) }
    }

    fn attempts_first(&self, driver: &Driver) -> bool {
        driver.batch() <= super::send::INLINE_BATCH_MAX
    }

    fn progress(&mut self, result: i32) -> Progress {
        match usize::try_from(result) {
            Ok(count) => self.sent += count,
            Err(_) if self.sent > 0 && !self.all => {}
            Err(_) => return Progress::Done(result),
        }
        if self.all && self.sent < self.total {
            return if result == 0 {
                Progress::Done(-errno::EPIPE)
            } else {
                Progress::Again
            };
        }
        Progress::Done(0)
    }

    fn complete(self, result: io::Result<u32>) -> Self::Output {
        let bufs = self.bufs.into_inner();
        match result {
            Ok(_) => Ok((self.sent, bufs)),
            Err(error) => Err(BufError::new(error, bufs)),
        }
    }
}
