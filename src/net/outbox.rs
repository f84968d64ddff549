//! Writes that are left to the kernel as soon as they have begun.
//!
//! No task has to wait until an answer that is written whole was sent: its connection can wait for
//! the next request meanwhile. So its bytes go into a box that keeps them until their completion,
//! and the box is used again. A task of the runtime's sends the rest of an answer that did not go
//! out at once in one piece. An error goes to the next write, as that of any write that no task
//! waits for.

use std::{cell::Cell, rc::Rc};

use super::{
    send_queue::{InTurn, SendAll, SendQueue},
    socket::{Shared, Socket},
    turns::Ticket,
};
use crate::{
    driver::Driver,
    op::{self, InFlight, Op as _, Progress, SendBytes, Unattended},
    shrink::Spares,
    sys::{Completion, errno, opcode},
};

/// The largest buffer that is kept with one.
const KEPT_BYTES_MAX: usize = 32 * 1024;

/// Boxes for writes under way, and their buffers.
#[derive(Default)]
pub(crate) struct Outbox {
    /// Boxed, because a write under way needs its box as it is.
    spare: Spares<Box<Posted>>,
    dropped: Cell<usize>,
}

impl Outbox {
    fn take(&self) -> Box<Posted> {
        self.spare.take().unwrap_or_default()
    }

    fn put(&self, mut posted: Box<Posted>, mut bytes: Vec<u8>) {
        bytes.clear();
        bytes.shrink_to(KEPT_BYTES_MAX);
        posted.buffer = bytes;
        if self.spare.put(posted).is_err() {
            self.dropped.set(self.dropped.get() + 1);
        }
    }

    /// How many boxes were dropped since this was asked last, because there were too many.
    pub(crate) fn take_dropped(&self) -> usize {
        self.dropped.take()
    }

    /// Keeps `kept_max` boxes at most for now.
    pub(crate) fn shrink(&self, kept_max: usize) {
        drop(self.spare.shrink(kept_max));
    }
}

/// A write under way, or a box for the next.
#[derive(Default)]
struct Posted {
    sending: Option<Sending>,
    ticket: Ticket,
    /// The next write's, while there is none.
    buffer: Vec<u8>,
}

struct Sending {
    op: SendBytes<Vec<u8>>,
    shared: Rc<Shared>,
    outbox: Rc<Outbox>,
}

impl Unattended for Posted {
    type Op = SendBytes<Vec<u8>>;

    fn op(&mut self) -> &mut Self::Op {
        let sending = self.sending.as_mut();
        &mut sending.expect("it is asked for when it was set").op
    }

    fn finish(mut self: Box<Self>, completion: Completion) {
        let Some(sending) = self.sending.take() else {
            return;
        };
        let Sending {
            mut op,
            shared,
            outbox,
        } = sending;
        let progress = match completion.res {
            res if res == -errno::EINTR || res == -errno::EAGAIN => Progress::Again,
            res => op.progress(res),
        };
        let Progress::Done(result) = progress else {
            let ticket = std::mem::take(&mut self.ticket);
            let op = InFlight::new(Rc::clone(shared.driver()), op);
            return SendQueue::finish(shared, ticket, op);
        };
        let bytes = match op.complete(Completion::new(result).result()) {
            Ok((_, bytes)) => bytes,
            Err(error) => {
                SendQueue::keep_error(&shared, &error.error);
                error.buf
            }
        };
        shared.extra.send.end_unattended(&self.ticket);
        outbox.put(self, bytes);
    }
}

impl Socket {
    /// Takes `bytes` to be sent whole, if this is the cheapest way to send them and no other write
    /// would be overtaken; an empty buffer stands in their place then.
    pub(crate) fn post(&self, bytes: &mut Vec<u8>, outbox: &Rc<Outbox>) -> bool {
        let shared = self.shared();
        let (driver, queue) = (shared.driver(), &shared.extra.send);
        if !self.sends_by_entry() || driver.check_current().is_err() {
            return false;
        }
        let mut posted = outbox.take();
        queue.begin_unattended(&posted.ticket);
        let bytes = std::mem::replace(bytes, std::mem::take(&mut posted.buffer));
        posted.sending = Some(Sending {
            op: SendBytes::new(self.any_fd(), bytes, true),
            shared: Rc::clone(shared),
            outbox: Rc::clone(outbox),
        });
        op::submit_unattended(driver, posted);
        true
    }

    /// Takes `bytes` to be sent, if the same holds for them and they are answered: when they were
    /// sent as a matter of course, the answer is what wakes. The write may end short, and an error
    /// says that nothing was sent.
    pub(crate) fn write_quietly(&self, bytes: &mut Vec<u8>) -> Option<SendAll<Vec<u8>>> {
        if !self.sends_by_entry() {
            return None;
        }
        let op = SendBytes::new(self.any_fd(), std::mem::take(bytes), true).quietly();
        Some(InTurn::new(self.shared(), op))
    }

    /// Whether a write would begin now, and an entry is the cheapest way to send it.
    fn sends_by_entry(&self) -> bool {
        let shared = self.shared();
        has_entry(shared.driver()) && shared.extra.send.is_clear() && !op::sends_at_once(shared)
    }

    /// Whether a write is under way.
    pub(crate) fn is_sending(&self) -> bool {
        !self.shared().extra.send.is_free()
    }
}

/// Whether a send that has to wait can be an entry.
#[inline]
fn has_entry(driver: &Driver) -> bool {
    let features = driver.features();
    driver.uses_ring() && features.fast_poll && features.supports(opcode::SEND)
}

#[cfg(test)]
mod tests {
    use std::{
        io::{ErrorKind, Read as _, Write as _},
        net::{Shutdown, TcpListener, TcpStream},
    };

    use super::*;
    use crate::{DriverKind, Runtime, driver, net, shrink::SPARE_MAX, skip, task};

    /// More completions at once than plain sends are cheaper for.
    const COUNT: usize = 10;
    /// More than goes out at once to a peer that does not read.
    const MUCH: usize = 8 << 20;

    /// Calls `test` with each of many sockets and its peer, in a turn in which all of them have
    /// received: there a send is an entry, if there is a ring at all.
    fn with_sockets(test: impl AsyncFn(Socket, TcpStream, &Rc<Outbox>) + Copy + 'static) {
        let runtime = Runtime::builder().build().unwrap();
        if runtime.driver_kind() != DriverKind::Ring {
            return;
        }
        if !runtime.block_on(async { has_entry(&driver::current().unwrap()) }) {
            skip::leave_out("on this kernel a send that has to wait is no entry");
            return;
        }
        let outbox = Rc::new(Outbox::default());
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (mut peers, mut tasks) = (Vec::new(), Vec::new());
            for _ in 0..COUNT {
                let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let stream = net::TcpStream::from_std(listener.accept().unwrap().0).unwrap();
                let socket = stream.into_socket();
                peers.push(peer.try_clone().unwrap());
                let outbox = Rc::clone(&outbox);
                tasks.push(task::spawn(async move {
                    assert_eq!(&*socket.recv().await.unwrap(), b"go");
                    test(socket, peer, &outbox).await;
                }));
            }
            task::yield_now().await;
            for mut peer in peers {
                peer.write_all(b"go").unwrap();
            }
            for task in tasks {
                task.await.unwrap();
            }
        });
    }

    fn read(peer: &mut TcpStream, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        peer.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads what comes, beside the runtime.
    fn read_beside(mut peer: TcpStream) -> std::thread::JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            peer.read_to_end(&mut bytes).unwrap();
            bytes
        })
    }

    #[test]
    fn what_is_no_entry_or_cheaper_without_is_left_to_its_caller() {
        // A kernel or a driver without such an entry refuses it, and so does a quiet thread.
        crate::run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let stream = net::TcpStream::from_std(listener.accept().unwrap().0).unwrap();
            let mut bytes = b"not sent".to_vec();
            let outbox = Rc::new(Outbox::default());
            assert!(!stream.into_socket().post(&mut bytes, &outbox));
            assert_eq!(bytes, b"not sent");
        });
    }

    #[test]
    fn writes_stand_in_their_order_and_boxes_are_used_again() {
        with_sockets(async |socket, mut peer, outbox| {
            let mut bytes = b"first, ".to_vec();
            assert!(socket.post(&mut bytes, outbox) && bytes.is_empty());
            assert!(socket.is_sending());
            // Behind a write it is not the cheapest way.
            let mut bytes = b"not sent".to_vec();
            assert!(!socket.post(&mut bytes, outbox) && bytes == b"not sent");
            socket.write_all(b"second").await.unwrap();
            assert!(!socket.is_sending());
            assert_eq!(read(&mut peer, 13), b"first, second");
            let kept = outbox.spare.take().expect("a box is back");
            assert!(kept.buffer.is_empty() && kept.buffer.capacity() >= 7);
        });
    }

    #[test]
    fn a_write_is_finished_when_its_socket_is_gone() {
        with_sockets(async |socket, peer, outbox| {
            assert!(socket.post(&mut vec![b'x'; MUCH], outbox));
            drop(socket);
            let reader = read_beside(peer);
            while !reader.is_finished() {
                task::yield_now().await;
            }
            assert_eq!(reader.join().unwrap().len(), MUCH);
        });
    }

    #[test]
    fn an_error_goes_to_the_next_write() {
        with_sockets(async |socket, peer, outbox| {
            assert!(socket.post(&mut vec![b'x'; MUCH], outbox));
            assert!(socket.is_sending());
            // With bytes unread, that is a reset.
            peer.shutdown(Shutdown::Both).unwrap();
            drop(peer);
            let error = socket.write_all(b"next").await.unwrap_err();
            let kind = error.error.kind();
            let is_gone = matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
            assert!(is_gone, "{error:?}");
        });
    }

    #[test]
    fn a_short_send_goes_on() {
        with_sockets(async |socket, mut peer, outbox| {
            // The part that a kernel without MSG_WAITALL for sends leaves to us.
            let mut posted = outbox.take();
            let shared = Rc::clone(socket.shared());
            shared.extra.send.begin_unattended(&posted.ticket);
            posted.sending = Some(Sending {
                op: SendBytes::new(socket.any_fd(), b"--rest".to_vec(), true),
                shared,
                outbox: Rc::clone(outbox),
            });
            Unattended::finish(posted, Completion::new(2));
            socket.flush().await.unwrap();
            assert_eq!(read(&mut peer, 4), b"rest");
        });
    }

    #[test]
    fn a_quiet_send_ends_short_and_one_that_sends_all_goes_on() {
        with_sockets(async |socket, _peer, _outbox| {
            let quiet = || SendBytes::new(socket.any_fd(), b"much".to_vec(), true).quietly();
            let mut op = quiet();
            assert_eq!(op.quiet_result(), Some(4));
            let Progress::Done(result) = op.progress(3) else {
                panic!("an error behind it would say that nothing was sent");
            };
            let (sent, _) = op.complete(Completion::new(result).result()).unwrap();
            assert_eq!(sent, 3);
            let mut op = quiet();
            op.send_all();
            assert!(matches!(op.progress(3), Progress::Again));
            assert_eq!(op.quiet_result(), None);
        });
    }

    #[test]
    fn boxes_beyond_the_limit_are_dropped_and_counted() {
        let outbox = Outbox::default();
        for _ in 0..SPARE_MAX + 3 {
            outbox.put(Box::default(), vec![0; 2 * KEPT_BYTES_MAX]);
        }
        assert_eq!((outbox.take_dropped(), outbox.take_dropped()), (3, 0));
        let kept = outbox.spare.shrink(2);
        assert_eq!((kept.len(), outbox.spare.len()), (SPARE_MAX - 2, 2));
        let largest = kept.iter().map(|posted| posted.buffer.capacity()).max();
        assert!(largest.unwrap() <= KEPT_BYTES_MAX);
    }
}
