//! The receiving side of a stream: it receives by itself, and futures wait for it.
//!
//! # States
//!
//! - `Idle`: nothing is asked of the kernel. The next future that waits starts a receive.
//! - `Multi`: the kernel receives into buffers that it picks (6.0), or does so once (5.19). Bytes
//!   that it brought wait in the driver's slot until they are taken. An end that the kernel fails
//!   to report is found by the driver, which then cancels the receive (`driver/silent.rs`).
//! - `Ready`: a wait for readiness, after which a plain receive takes what is there. On the poll
//!   driver, on kernels without provided buffers, and when the buffers have run out.
//! - `Ended`: end of stream or error, told once everything before it was taken.
//!
//! When more receives have filled their buffers than have not, by several, `read` receives straight
//! into the caller's memory: from `Idle`, by an operation that the future owns (*bulk*). Dropped in
//! flight, it keeps its turn in a task of the runtime's until the kernel has let go of the memory,
//! and what it received is parked. The polls do so by plain receives, so that nothing is in flight
//! when they return: `poll_next_up_to` into memory of its own, and `poll_next_into` into the
//! caller's. Waits of the former may last until some amount has gathered (`SO_RCVLOWAT`): a receive
//! that does not ask for that takes it back first.
//!
//! One future at a time has the turn; the others queue in [`Turns`]. The state outlives them all:
//! dropping a future leaves it as it is, and the next one goes on from there.

mod bulk;
mod gone;
mod into;
mod read;
mod try_next;

#[cfg(test)]
mod tests;

use std::{
    cell::Cell,
    future::Future,
    io,
    num::NonZeroI32,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use super::{
    socket::Shared,
    turns::{Ticket, Turns},
};
pub(crate) use bulk::{BULK_BYTES_MAX, Flood};
pub(crate) use gone::{Gone, GoneWait};
pub(super) use read::Read;

use crate::{
    budget,
    buf::IoBufMut,
    driver::{Driver, Item, Key},
    op::{self, AbandonedRecv, AnyFd},
    pool::{self, ManagedBuf, Pool},
    sys::{PollEvents, errno},
};

#[derive(Clone, Copy)]
enum State {
    Idle,
    Multi(Key),
    Ready(Key),
    Ended,
}

/// The state that a stream keeps for its receives.
pub(super) struct Receive {
    /// Invariant: that of the socket's driver.
    pool: Rc<Pool>,
    state: Cell<State>,
    /// Bytes that were received and only partly taken. Their room is made when it is first needed,
    /// since most sockets never do, and kept.
    parked: Cell<Option<Box<Option<ManagedBuf>>>>,
    /// The errno to tell, once, behind the bytes.
    error: Cell<Option<NonZeroI32>>,
    /// By how many more receives have filled their buffers than have not, lately.
    full_receives: Cell<u8>,
    /// Plain receives of a flood since the others had their turn.
    bulk_receives: Cell<u8>,
    /// The last of them seems to have left nothing in the socket.
    drained: Cell<bool>,
    /// The bytes below which the kernel reports nothing (`SO_RCVLOWAT`); 0 when that was not set.
    gather_bytes: Cell<u32>,
    /// Whether one receive may serve for good.
    multishot: bool,
    turns: Turns,
}

/// The wish of a task that receives, for when nothing is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WhenIdle<'a> {
    /// That the kernel is asked for bytes.
    Ask,
    /// That many bytes at once, of a flood.
    AskForMany(&'a Flood),
    /// That it stays so: the task receives by itself.
    Stop,
}

impl WhenIdle<'_> {
    fn gather_bytes(self) -> u32 {
        match self {
            Self::AskForMany(flood) => flood.gather_bytes,
            Self::Ask | Self::Stop => 0,
        }
    }
}

/// Whether a receive into buffers that the kernel picks was started.
enum Started {
    Now,
    /// By a poll of the same socket, in the clone of the waker that this one is for.
    Meanwhile,
    Not,
}

/// The result of one step of receiving.
enum Step {
    Bytes(ManagedBuf),
    /// Nothing more will come; `Ended` is set.
    End,
    /// Nothing came, but the state has changed: go round again.
    Again,
    /// As `Again`, and there was no provided buffer: wait for readiness this time.
    NoBuffer,
    Pending,
}

/// Whether an errno ends the kernel's receive, and not the stream.
fn says_go_on(errno: i32) -> bool {
    matches!(
        errno,
        errno::ENOBUFS | errno::ECANCELED | errno::EINTR | errno::EAGAIN
    )
}

impl Receive {
    /// The receiving side of a socket of `driver`.
    pub(super) fn new(driver: &Driver, multishot: bool) -> Self {
        Self {
            multishot,
            pool: pool::of(driver),
            state: Cell::new(State::Idle),
            parked: Cell::new(None),
            error: Cell::new(None),
            full_receives: Cell::new(0),
            bulk_receives: Cell::new(0),
            drained: Cell::new(false),
            gather_bytes: Cell::new(0),
            turns: Turns::default(),
        }
    }

    /// The next bytes; empty at the end of the stream. The caller has the turn.
    pub(super) fn poll_next(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
    ) -> Poll<io::Result<ManagedBuf>> {
        let received = ready!(self.poll_next_or_idle(shared, context, WhenIdle::Ask)?);
        Poll::Ready(Ok(received.expect("it was not asked to stop when idle")))
    }

    /// The next bytes, if they are all that has come of a receive that goes on. The context's waker
    /// is registered then, as if the next poll had found nothing. The caller has the turn.
    #[inline]
    pub(super) fn take_and_watch(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
    ) -> Option<ManagedBuf> {
        let State::Multi(key) = self.state.get() else {
            return None;
        };
        // A flood is received otherwise.
        if self.full_receives.get() > 0 || self.has_front() {
            return None;
        }
        match self.take(shared.driver().take_and_watch(key, context)?) {
            Step::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Whether nothing has come, neither bytes nor an end, and a receive waits for it. It may
    /// forget whom to wake. The caller has the turn.
    pub(super) fn is_silent(&self, shared: &Rc<Shared>) -> bool {
        match self.state.get() {
            State::Multi(key) if shared.driver().multi_is_silent(key) => !self.has_front(),
            _ => {
                let nobody = Context::from_waker(Waker::noop());
                self.poll_next(shared, &nobody).is_pending()
            }
        }
    }

    /// The next bytes, or `None` when nothing is under way any more and `when_idle` says not to
    /// start anything.
    fn poll_next_or_idle(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        when_idle: WhenIdle<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        let driver = shared.driver();
        driver.check_current()?;
        if let Some(bytes) = self.take_front() {
            return Poll::Ready(Ok(Some(bytes)));
        }
        let mut without_buffer = false;
        loop {
            let step = match self.state.get() {
                State::Idle => match when_idle {
                    WhenIdle::Stop => {
                        self.gather_at_most(0, shared);
                        return Poll::Ready(Ok(None));
                    }
                    WhenIdle::Ask => self.start(shared, context, without_buffer)?,
                    WhenIdle::AskForMany(flood) => self.start_bulk(shared, context, flood)?,
                },
                State::Multi(key) => match driver.poll_multi(key, context) {
                    Poll::Ready(item) => self.take(item),
                    Poll::Pending => Step::Pending,
                },
                State::Ready(key) => match driver.poll_op(key, context) {
                    Poll::Ready(_) => {
                        self.state.set(State::Idle);
                        match when_idle {
                            WhenIdle::AskForMany(flood) => {
                                self.attempt_bulk(shared, flood.bytes_max as usize)
                            }
                            WhenIdle::Ask => self.attempt(shared),
                            WhenIdle::Stop => Step::Again,
                        }
                    }
                    Poll::Pending => {
                        // The kernel reports the bytes that are there, when they are enough now.
                        self.gather_at_most(when_idle.gather_bytes(), shared);
                        Step::Pending
                    }
                },
                State::Ended => Step::End,
            };
            match step {
                Step::Bytes(bytes) => return Poll::Ready(Ok(Some(bytes))),
                Step::End => return Poll::Ready(self.tell_end().map(Some)),
                Step::Again => without_buffer = false,
                Step::NoBuffer => without_buffer = true,
                Step::Pending => return Poll::Pending,
            }
        }
    }

    /// Asks the kernel for bytes, in the best way that there is. `Pending` leaves the context's
    /// waker with the driver.
    fn start(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        without_buffer: bool,
    ) -> io::Result<Step> {
        self.gather_at_most(0, shared);
        let driver = shared.driver();
        let features = driver.features();
        if features.buffer_ring {
            if !without_buffer {
                match self.start_multi(shared, context)? {
                    Started::Now => return Ok(Step::Pending),
                    Started::Meanwhile => return Ok(Step::Again),
                    Started::Not => {}
                }
            }
        } else if !driver.uses_ring() && driver.maybe_ready(shared.source(), PollEvents::READ) {
            // Epoll said that there is something, or was never asked; a ring kernel that has no
            // buffers to pick is waited for first, since most sockets are idle most of the time.
            match self.attempt(shared) {
                Step::Again => {}
                step => return Ok(step),
            }
        }
        self.start_ready(shared, context)
    }

    fn start_ready(&self, shared: &Rc<Shared>, context: &Context<'_>) -> io::Result<Step> {
        let (raw, source) = (shared.raw(), shared.source());
        let waker = context.waker().clone();
        if self.has_begun() {
            return Ok(Step::Again);
        }
        let driver = shared.driver();
        // The others have their turn meanwhile.
        self.bulk_receives.set(0);
        let key = driver.submit_ready(raw, source, PollEvents::READ, waker)?;
        self.state.set(State::Ready(key));
        Ok(Step::Pending)
    }

    /// Whether a receive was started by a waker that was cloned for one: that is the user's code,
    /// and may poll the same socket.
    fn has_begun(&self) -> bool {
        !matches!(self.state.get(), State::Idle)
    }

    /// Starts a receive into buffers that the kernel picks, if it can and there are some.
    fn start_multi(&self, shared: &Rc<Shared>, context: &Context<'_>) -> io::Result<Started> {
        let driver = shared.driver();
        let features = driver.features();
        if !features.buffer_ring || !self.pool.has_published(driver) {
            return Ok(Started::Not);
        }
        self.gather_at_most(0, shared);
        let waker = Some(context.waker().clone());
        if self.has_begun() {
            return Ok(Started::Meanwhile);
        }
        let key = if features.multishot_recv && self.multishot {
            op::recv_multi(driver, shared.raw(), waker)?
        } else {
            op::recv_one(driver, shared.raw(), &self.pool, waker)?
        };
        self.state.set(State::Multi(key));
        Ok(Started::Now)
    }

    /// Takes what is there by a plain receive.
    fn attempt(&self, shared: &Rc<Shared>) -> Step {
        let mut bytes = self.pool.take();
        let capacity = bytes.capacity();
        let count = match self.receive_now(shared, &mut bytes) {
            Ok(count) => count,
            Err(step) => return step,
        };
        self.count_full(count == capacity);
        if bytes.is_own() {
            self.pool.count_exhausted();
        }
        Step::Bytes(bytes)
    }

    /// Receives without waiting; what came instead of bytes otherwise.
    fn receive_now<B: IoBufMut>(&self, shared: &Rc<Shared>, buf: &mut B) -> Result<usize, Step> {
        self.receive_by(shared, buf.capacity(), |raw| op::recv_now(raw, buf))
    }

    /// As `receive_now`, by a call that receives up to `capacity` bytes.
    fn receive_by(
        &self,
        shared: &Rc<Shared>,
        capacity: usize,
        mut recv: impl FnMut(i32) -> i32,
    ) -> Result<usize, Step> {
        let driver = shared.driver();
        driver.count_attempt();
        loop {
            return match recv(shared.raw()) {
                0 => Err(self.end(None)),
                result if result > 0 => {
                    let count = result as usize;
                    if count < capacity && shared.extra.short_receive_takes_all() {
                        driver.not_ready(shared.source(), PollEvents::READ, true);
                    }
                    Ok(count)
                }
                result if result == -errno::EINTR => continue,
                result if result == -errno::EAGAIN => {
                    driver.not_ready(shared.source(), PollEvents::READ, false);
                    Err(Step::Again)
                }
                result => Err(self.end(Some(-result))),
            };
        }
    }

    /// Makes sense of one completion of the kernel's receive.
    fn take(&self, item: Item) -> Step {
        if !item.completion().more() {
            self.state.set(State::Idle);
        }
        let completion = match item {
            Item::Copied(copied) => return Step::Bytes(ManagedBuf::own(copied.1.into_vec())),
            Item::Raw(completion) => completion,
        };
        let pool = &self.pool;
        match completion.res {
            res if res > 0 => match pool.received(completion) {
                Some(bytes) => {
                    self.count_full(bytes.byte_count() == pool.buffer_bytes());
                    Step::Bytes(bytes)
                }
                None => Step::Again,
            },
            0 => {
                pool.discard(completion);
                self.end(None)
            }
            res => {
                pool.discard(completion);
                match -res {
                    errno::ENOBUFS => Step::NoBuffer,
                    errno if says_go_on(errno) => Step::Again,
                    errno => self.end(Some(errno)),
                }
            }
        }
    }

    fn end(&self, errno: Option<i32>) -> Step {
        self.state.set(State::Ended);
        self.error.set(errno.and_then(NonZeroI32::new));
        Step::End
    }

    /// Takes bytes that have been received already, without asking the kernel for more.
    fn take_parked(&self, driver: &Driver) -> Option<Step> {
        if let Some(bytes) = self.take_front() {
            return Some(Step::Bytes(bytes));
        }
        match self.state.get() {
            State::Multi(key) => driver.try_multi(key).map(|item| self.take(item)),
            State::Ended => Some(Step::End),
            _ => None,
        }
    }

    fn has_front(&self) -> bool {
        let room = self.parked.take();
        let has_front = room.as_ref().is_some_and(|room| room.is_some());
        self.parked.set(room);
        has_front
    }

    fn take_front(&self) -> Option<ManagedBuf> {
        let mut room = self.parked.take()?;
        let bytes = room.take();
        self.parked.set(Some(room));
        bytes
    }

    /// Puts bytes in front of what a new stream will receive.
    pub(super) fn unread(&self, bytes: ManagedBuf) {
        self.put_back(bytes);
    }

    /// Puts bytes back in front of what comes next.
    fn put_back(&self, bytes: ManagedBuf) {
        if !bytes.is_empty() {
            let mut room = self.parked.take().unwrap_or_default();
            let before = room.replace(bytes);
            self.parked.set(Some(room));
            debug_assert!(
                before.is_none(),
                "the front was taken before it is put back"
            );
        }
    }

    /// Whether the end of the stream, or an error, is known.
    pub(super) fn has_ended(&self, driver: &Driver) -> bool {
        match self.state.get() {
            State::Ended => true,
            // It also ends because of us, and a receive of one message ends with that.
            State::Multi(key) => driver.multi_end(key).is_some_and(|last| match -last.res {
                0 => true,
                errno => errno > 0 && !says_go_on(errno),
            }),
            _ => false,
        }
    }

    /// Makes sure that an end of the connection is reported, after something else on it has failed.
    pub(super) fn look(&self, driver: &Driver) {
        if let (State::Multi(key), false) = (self.state.get(), driver.is_closed()) {
            driver.look_at_multi(key);
        }
    }

    /// Ends what the kernel does for a stream whose last handle is gone. `fd` is kept until the
    /// kernel is done with it.
    pub(super) fn abandon(&self, driver: &Driver, fd: AnyFd) {
        match self.state.replace(State::Ended) {
            State::Multi(key) => {
                let pool = Rc::clone(&self.pool);
                driver.abandon_multi(key, Box::new(AbandonedRecv { fd, pool }));
            }
            State::Ready(key) => op::abandon_wait(driver, key, fd),
            State::Idle | State::Ended => {}
        }
        drop(self.parked.take());
    }

    /// Waits until the kernel does nothing for this stream any more, and parks what it brings
    /// in `bytes`. The caller has the turn.
    pub(super) fn poll_stop(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        bytes: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        let driver = shared.driver();
        driver.check_current()?;
        self.gather_at_most(0, shared);
        loop {
            match self.state.get() {
                State::Multi(key) => driver.cancel_multi(key),
                State::Ready(key) => {
                    self.state.set(State::Idle);
                    op::abandon_wait(driver, key, Rc::clone(shared));
                }
                State::Idle | State::Ended => {}
            }
            let step = match (self.take_parked(driver), self.state.get()) {
                (Some(step), _) => step,
                (None, State::Multi(key)) => match driver.poll_multi(key, context) {
                    Poll::Ready(item) => self.take(item),
                    Poll::Pending => return Poll::Pending,
                },
                (None, _) => Step::End,
            };
            match step {
                Step::Bytes(more) => bytes.extend_from_slice(&more),
                Step::End => return Poll::Ready(Ok(())),
                Step::Again | Step::NoBuffer | Step::Pending => {}
            }
        }
    }

    /// Takes the result of a receive at the end: the error, once, and no bytes from then on.
    fn tell_end(&self) -> io::Result<ManagedBuf> {
        match self.take_error() {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => Ok(ManagedBuf::empty()),
        }
    }

    /// The error that was met and not told yet.
    pub(super) fn take_error(&self) -> Option<i32> {
        self.error.take().map(NonZeroI32::get)
    }

    /// Makes a new stream end with `errno`, behind the bytes that were put in front of it.
    pub(super) fn end_with(&self, errno: i32) {
        drop(self.end(Some(errno)));
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }
}

/// The future of [`TcpStream::recv`](super::TcpStream::recv).
pub(super) struct Recv<'a> {
    shared: &'a Rc<Shared>,
    ticket: Ticket,
}

impl<'a> Recv<'a> {
    pub(super) fn new(shared: &'a Rc<Shared>) -> Self {
        Self {
            shared,
            ticket: Ticket::new(),
        }
    }
}

impl Future for Recv<'_> {
    type Output = io::Result<ManagedBuf>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receive = &self.shared.extra.receive;
        let driver = self.shared.driver();
        ready!(receive.turns.poll_counted(driver, &self.ticket, context))?;
        let Poll::Ready(result) = receive.poll_next(self.shared, context) else {
            return Poll::Pending;
        };
        budget::spend();
        receive.turns.leave(&self.ticket);
        Poll::Ready(result)
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        self.shared.extra.receive.turns.leave(&self.ticket);
    }
}
