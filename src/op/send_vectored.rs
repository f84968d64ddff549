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
    /// The bytes that the header names no more; none before it names anything.
    passed: Option<usize>,
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
            passed: None,
            all,
        }
    }

    /// From now on a short send is not the end.
    pub(crate) fn send_all(&mut self) {
        self.all = true;
    }

    /// Names the parts that are still to be sent. They are listed once, so that many parts, of
    /// which a call takes a thousand, take no longer each than few.
    fn name_rest(&mut self) {
        let header = self.header.get_mut();
        if self.passed.is_none() {
            let add = &mut |start, len| header.add_part(start, len);
            self.bufs.get().for_each(add);
        }
        header.advance(self.sent - self.passed.unwrap_or(0));
        self.passed = Some(self.sent);
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
        // SAFETY: the parts are the buffers', initialized, and no code writes them.
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

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io::Read as _, net::TcpListener, rc::Rc};

    use super::*;
    use crate::net::TcpStream;

    /// Parts that count how often they are looked at.
    struct Counted {
        parts: Vec<Vec<u8>>,
        looks: Rc<Cell<usize>>,
    }

    // SAFETY: as a vector of buffers, which it is.
    unsafe impl IoVectored for Counted {
        fn for_each(&self, each: &mut dyn FnMut(*const u8, usize)) {
            self.looks.set(self.looks.get() + self.parts.len());
            self.parts.for_each(each);
        }
    }

    #[test]
    fn each_of_many_parts_is_listed_once() {
        const COUNT: usize = 50_000;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            accepted.read_to_end(&mut bytes).unwrap();
            bytes
        });
        // Of different lengths, so that a send ends within a part, and some of them empty.
        let parts: Vec<Vec<u8>> = (0..COUNT)
            .map(|number| vec![number as u8; number % 700])
            .collect();
        let expected = parts.concat();
        let looks = Rc::new(Cell::new(0));
        let counted = Counted {
            parts,
            looks: Rc::clone(&looks),
        };
        crate::run(async move {
            let stream = TcpStream::from_std(peer).unwrap();
            let sent = stream.write_all_vectored(counted).await.unwrap();
            assert_eq!(sent.parts.len(), COUNT);
        });
        assert!(reader.join().unwrap() == expected);
        // For the length of all, and for the list.
        assert!(looks.get() <= 2 * COUNT, "{} looks", looks.get());
    }
}
