//! Receiving a flood: more at once, from a peer that sends as fast as it is taken.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Receive, Shared, State, Step, WhenIdle};
use crate::{
    budget,
    pool::ManagedBuf,
    sys::{self, PollEvents, option},
};

/// When so many more receives have filled their buffer than have not, a `read` receives into the
/// caller's memory.
const FULL_RECEIVES_BEFORE_BULK: u8 = 4;

/// A buffer of fewer receive buffers than this is filled faster by copying: a receive of its own
/// costs an enter, which has to bring that much.
const BULK_RECEIVE_BUFFERS_MIN: usize = 4;

/// Plain receives of a flood, of `BULK_BYTES_MAX` each, before the other tasks get their turn: the
/// peer may send as fast as they take, so that they never have to wait.
const BULK_RECEIVES_PER_TURN: u8 = 8;

/// The bytes of one receive from a peer that sends as fast as it is taken. From 128 KiB on the C
/// library maps each piece anew.
///
/// It is no multiple of a page, on purpose. On the processor that this was measured on, an AMD
/// EPYC, the kernel's copy (`rep movsb`) is several times slower where its target begins up to 15
/// bytes behind its source, counted within a page: receives ran at 2 to 4 GB/s instead of 14.5. A
/// full receive of whole pages begins the next one at the same place, and a peer that is received
/// from slowly has sent enough for a full one.
pub(crate) const BULK_BYTES_MAX: usize = 121_872;

/// The sizes by which a flood is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flood {
    /// The most that one receive takes.
    pub(crate) bytes_max: u32,
    /// The bytes that end a wait; one and less for anything. A peer may wait for us before it sends
    /// so many, so that the caller asks again for fewer after some time.
    pub(crate) gather_bytes: u32,
}

impl Flood {
    /// All that is there, in large pieces.
    pub(in crate::net) const ANYTHING: Self = Self {
        bytes_max: BULK_BYTES_MAX as u32,
        gather_bytes: 0,
    };
}

impl Receive {
    /// As `poll_next`, by larger receives while the peer sends a flood.
    pub(in crate::net) fn poll_next_up_to(
        &self,
        flood: Flood,
        shared: &Rc<Shared>,
        context: &Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        if !self.wants_bulk(flood.bytes_max as usize) {
            return self.poll_next(shared, context);
        }
        if let State::Multi(key) = self.state.get() {
            // Bytes that it still brings are taken first; its last completion leaves us idle.
            shared.driver().cancel_multi(key);
        }
        if self.has_had_its_turn(context) {
            return Poll::Pending;
        }
        let many = WhenIdle::AskForMany(&flood);
        let received = ready!(self.poll_next_or_idle(shared, context, many)?);
        Poll::Ready(Ok(received.expect("it was not asked to stop when idle")))
    }

    /// Whether the other tasks come before the next receive of a flood. The context's task is woken
    /// then, and queues with them.
    pub(super) fn has_had_its_turn(&self, context: &Context<'_>) -> bool {
        if self.bulk_receives.get() < BULK_RECEIVES_PER_TURN {
            return false;
        }
        self.bulk_receives.set(0);
        budget::exhaust();
        context.waker().wake_by_ref();
        true
    }

    /// Takes what is there of a flood, and waits for readiness when that is nothing.
    pub(super) fn start_bulk(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        flood: &Flood,
    ) -> io::Result<Step> {
        if self.may_have_more(shared) {
            match self.attempt_bulk(shared, flood.bytes_max as usize) {
                Step::Again => {}
                step => return Ok(step),
            }
        }
        if self.gather_bytes.get() != flood.gather_bytes {
            self.set_gather_bytes(flood.gather_bytes, shared);
        }
        self.start_ready(shared, context)
    }

    /// Whether a receive is worth its call, which may find nothing.
    pub(super) fn may_have_more(&self, shared: &Rc<Shared>) -> bool {
        let driver = shared.driver();
        if driver.uses_ring() {
            !self.drained.replace(false)
        } else {
            driver.maybe_ready(shared.source(), PollEvents::READ)
        }
    }

    /// Lowers the amount that the kernel waits for to `bytes`, if it would wait for more.
    pub(super) fn gather_at_most(&self, bytes: u32, shared: &Shared) {
        if self.gather_bytes.get() > bytes {
            self.set_gather_bytes(bytes, shared);
        }
    }

    pub(in crate::net) fn is_gathering(&self) -> bool {
        self.gather_bytes.get() > 1
    }

    #[cold]
    fn set_gather_bytes(&self, bytes: u32, shared: &Shared) {
        let value = i32::try_from(bytes).unwrap_or(i32::MAX).max(1);
        let (level, name) = (option::SOL_SOCKET, option::SO_RCVLOWAT);
        // A kernel that refuses says so whenever there is anything.
        if sys::set_int_option(shared.raw(), level, name, value).is_ok() {
            self.gather_bytes.set(bytes);
        }
    }

    /// Takes up to `bytes_max` bytes by a plain receive into memory of their own.
    pub(super) fn attempt_bulk(&self, shared: &Rc<Shared>, bytes_max: usize) -> Step {
        let mut bytes = Vec::with_capacity(bytes_max);
        let count = match self.receive_now(shared, &mut bytes) {
            Ok(count) => count,
            Err(step) => return step,
        };
        self.count_receive(count, bytes_max);
        // A caller that keeps the bytes keeps no more memory than they need.
        bytes.shrink_to_fit();
        Step::Bytes(ManagedBuf::own(bytes))
    }

    /// Counts a plain receive of a flood, which has brought `count` of at most `bytes_max` bytes.
    pub(super) fn count_receive(&self, count: usize, bytes_max: usize) {
        let pieces = count
            .div_ceil(BULK_BYTES_MAX)
            .min(BULK_RECEIVES_PER_TURN.into());
        self.bulk_receives
            .set(self.bulk_receives.get() + pieces as u8);
        self.drained.set(count < bytes_max);
        self.count_full(count >= self.pool.buffer_bytes());
    }

    /// Counts a receive, which was `full` if it has filled its buffer. A peer whose messages are
    /// large sends a flood, too: the end of each is a small receive. So only several of them say
    /// that a flood is over.
    pub(super) fn count_full(&self, full: bool) {
        let count = self.full_receives.get();
        self.full_receives.set(if full {
            count.saturating_add(1).min(2 * FULL_RECEIVES_BEFORE_BULK)
        } else {
            count.saturating_sub(1)
        });
    }

    pub(super) fn wants_bulk(&self, capacity: usize) -> bool {
        self.is_flooded() && self.is_much(capacity)
    }

    /// Whether the peer sends as fast as it is taken.
    pub(super) fn is_flooded(&self) -> bool {
        self.full_receives.get() >= FULL_RECEIVES_BEFORE_BULK
    }

    fn is_much(&self, bytes: usize) -> bool {
        bytes >= BULK_RECEIVE_BUFFERS_MIN * self.pool.buffer_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::{
        super::tests::{pair, run},
        Flood,
    };
    use crate::net::{TcpStream, socket::Socket};

    const FLOOD: Flood = Flood {
        bytes_max: 64 * 1024,
        gather_bytes: 64 * 1024,
    };

    /// A socket that waits for more of a flood than there is.
    async fn gathering() -> (Socket, TcpStream) {
        let (near, far) = pair().await;
        while !near.is_gathering() {
            far.write_all(vec![b'x'; 64 * 1024]).await.unwrap();
            let mut left = 64 * 1024;
            while left > 0 {
                let received = poll_fn(|context| {
                    near.poll_recv_up_to(
                        Flood {
                            gather_bytes: 0,
                            ..FLOOD
                        },
                        context,
                    )
                });
                left -= received.await.unwrap().len();
            }
            poll_fn(|context| {
                assert!(near.poll_recv_up_to(FLOOD, context).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        (near, far)
    }

    #[test]
    fn a_receive_of_anything_does_not_wait_for_as_much_as_one_of_a_flood() {
        run(|| async {
            let (near, far) = gathering().await;
            far.write_all("a").await.unwrap();
            let received = poll_fn(|context| near.poll_recv(context)).await;
            assert_eq!(&*received.unwrap(), b"a");
            far.write_all("b").await.unwrap();
            assert_eq!(&*near.recv().await.unwrap(), b"b");
        });
    }

    #[test]
    fn a_receive_of_a_flood_that_asks_for_less_ends_the_wait_for_more() {
        run(|| async {
            let (near, far) = gathering().await;
            far.write_all("a").await.unwrap();
            let anything = Flood {
                gather_bytes: 0,
                ..FLOOD
            };
            let received = poll_fn(|context| near.poll_recv_up_to(anything, context)).await;
            assert_eq!(&*received.unwrap(), b"a");
        });
    }

    #[test]
    fn a_descriptor_that_is_taken_out_tells_of_anything() {
        run(|| async {
            let (near, far) = gathering().await;
            far.write_all("a").await.unwrap();
            let (fd, bytes, _) = near.detach().await.unwrap();
            assert!(bytes.is_empty() || bytes == b"a");
            let option = crate::sys::socket_option(
                std::os::fd::AsRawFd::as_raw_fd(&fd),
                crate::sys::option::SOL_SOCKET,
                crate::sys::option::SO_RCVLOWAT,
            );
            assert_eq!(option.unwrap(), 1);
        });
    }

    #[test]
    fn the_end_of_a_flood_is_told_without_the_rest_of_it() {
        run(|| async {
            let (near, far) = gathering().await;
            far.write_all("a").await.unwrap();
            drop(far);
            let mut received = Vec::new();
            loop {
                let piece = poll_fn(|context| near.poll_recv_up_to(FLOOD, context))
                    .await
                    .unwrap();
                if piece.is_empty() {
                    break;
                }
                received.extend_from_slice(&piece);
            }
            assert_eq!(received, b"a");
        });
    }
}
