//! The receiving side of a UDP socket: it receives by itself, and futures wait for it.
//!
//! # States
//!
//! - `Idle`: nothing is asked of the kernel. The next future that waits starts a receive.
//! - `Multi`: the kernel receives into buffers that it picks (6.0). Datagrams that it brought wait
//!   in the driver's slot until they are taken.
//! - `Ready`: a wait for readiness, after which plain receives take what is there, several by one
//!   call. On the poll driver, on kernels without multishot receives, for datagrams that are longer
//!   than the buffers, and when the buffers have run out.
//!
//! Datagrams that a plain receive brought after the first are *parked*. One future at a time has
//! the turn; the others queue in [`Turns`]. The state outlives them all: dropping a future leaves
//! it as it is, and the next one goes on from there. An error is told once, and ends nothing.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    datagram::Datagram,
    turns::{Ticket, Turns},
    udp_socket::Shared,
};
use crate::{
    budget,
    buf::IoBufMut as _,
    driver::{Driver, Item, Key},
    op::{self, AbandonedRecv, AnyFd},
    pool::{self, ManagedBuf, Pool},
    sys::{BATCH_MAX, DatagramLayout, PollEvents, errno},
};

/// The longest datagram that has room by default, when the receive buffers have it.
pub(super) const DATAGRAM_BYTES_DEFAULT: usize = 2048;

/// No datagram is longer, also none that was received as one of several.
pub(super) const DATAGRAM_BYTES_MAX: usize = 65_535;

/// How many datagrams a plain receive asks for at first. It is twice as many each time that all of
/// them came, up to [`BATCH_MAX`], and half as many when a quarter did.
const BATCH_MIN: usize = 2;

/// With fewer bytes than this a datagram is copied out of the memory for the longest ones.
const KEPT_BYTES_MIN: usize = 16 * 1024;

#[derive(Clone, Copy)]
enum State {
    Idle,
    Multi(Key, DatagramLayout),
    Ready(Key),
}

/// The state that a UDP socket keeps for its receives.
pub(super) struct UdpReceive {
    /// Invariant: that of the socket's driver.
    pool: Rc<Pool>,
    state: Cell<State>,
    /// Datagrams that were received and not taken.
    parked: RefCell<VecDeque<Datagram>>,
    /// That of the receives that begin.
    layout: Cell<DatagramLayout>,
    datagram_bytes_max: Cell<usize>,
    /// Whether the kernel may make one of several datagrams.
    joins: Cell<bool>,
    /// How many datagrams the next plain receive asks for.
    batch: Cell<usize>,
    /// Whether the last plain receive has left something in the socket, as far as is known.
    has_more: Cell<bool>,
    /// Memory for the longest datagrams, kept while there is more to receive.
    long: Cell<Option<ManagedBuf>>,
    turns: Turns,
}

/// The result of one step of receiving.
enum Step {
    Datagram(Datagram),
    Error(i32),
    /// Nothing came, but the state has changed: go round again.
    Again,
    /// As `Again`, and there was no provided buffer: wait for readiness this time.
    NoBuffer,
    Pending,
}

impl UdpReceive {
    pub(super) fn new(driver: &Driver) -> Self {
        Self {
            pool: pool::of(driver),
            state: Cell::new(State::Idle),
            parked: RefCell::default(),
            layout: Cell::new(DatagramLayout::PLAIN),
            datagram_bytes_max: Cell::new(DATAGRAM_BYTES_DEFAULT),
            joins: Cell::new(false),
            batch: Cell::new(BATCH_MIN),
            has_more: Cell::new(false),
            long: Cell::new(None),
            turns: Turns::default(),
        }
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Has room for control messages from now on, or has none.
    pub(super) fn set_layout(&self, driver: &Driver, layout: DatagramLayout) {
        if self.layout.replace(layout) != layout {
            self.begin_anew(driver);
        }
    }

    /// Has room for datagrams of so many bytes from now on.
    pub(super) fn set_datagram_bytes_max(&self, driver: &Driver, bytes: usize) {
        let bytes = bytes.clamp(1, DATAGRAM_BYTES_MAX);
        if self.datagram_bytes_max.replace(bytes) != bytes {
            self.begin_anew(driver);
        }
    }

    /// Has room for several datagrams as one from now on, or has none.
    pub(super) fn set_joins(&self, driver: &Driver, joins: bool) {
        if self.joins.replace(joins) != joins {
            self.begin_anew(driver);
        }
    }

    /// The longest payload that has room in any case.
    fn payload_bytes(&self) -> usize {
        if self.joins.get() {
            DATAGRAM_BYTES_MAX
        } else {
            self.datagram_bytes_max.get()
        }
    }

    /// Ends a receive that goes on by itself. The next one is as this socket is now.
    fn begin_anew(&self, driver: &Driver) {
        if let State::Multi(key, _) = self.state.get() {
            driver.cancel_multi(key);
        }
    }

    /// Whether the pool's buffers are too small.
    fn is_long(&self) -> bool {
        let room = self.pool.buffer_bytes();
        room < self.layout.get().payload_start() + self.payload_bytes()
    }

    /// The next datagram. The caller has the turn.
    pub(super) fn poll_next(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
    ) -> Poll<io::Result<Datagram>> {
        let driver = shared.driver();
        driver.check_current()?;
        if let Some(datagram) = self.take_parked() {
            return Poll::Ready(Ok(datagram));
        }
        let mut without_buffer = false;
        loop {
            let step = match self.state.get() {
                State::Idle => self.start(shared, context, without_buffer)?,
                State::Multi(key, layout) => match driver.poll_multi(key, context) {
                    Poll::Ready(item) => self.take(item, layout),
                    Poll::Pending => Step::Pending,
                },
                State::Ready(key) => match driver.poll_op(key, context) {
                    Poll::Ready(_) => {
                        self.state.set(State::Idle);
                        self.attempt(shared)
                    }
                    Poll::Pending => Step::Pending,
                },
            };
            match step {
                Step::Datagram(datagram) => return Poll::Ready(Ok(datagram)),
                Step::Error(errno) => {
                    return Poll::Ready(Err(io::Error::from_raw_os_error(errno)));
                }
                Step::Again => without_buffer = false,
                Step::NoBuffer => without_buffer = true,
                Step::Pending => return Poll::Pending,
            }
        }
    }

    /// Asks the kernel for datagrams, in the best way that there is. `Pending` leaves the context's
    /// waker with the driver.
    fn start(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        without_buffer: bool,
    ) -> io::Result<Step> {
        let driver = shared.driver();
        if !without_buffer && self.can_multi(driver) {
            let waker = context.waker().clone();
            if self.has_begun() {
                return Ok(Step::Again);
            }
            let layout = self.layout.get();
            let key = op::recvmsg_multi(driver, shared.raw(), layout, waker)?;
            self.state.set(State::Multi(key, layout));
            return Ok(Step::Pending);
        }
        let is_worth_a_try = if driver.uses_ring() {
            self.has_more.get()
        } else {
            driver.maybe_ready(shared.source(), PollEvents::READ)
        };
        if is_worth_a_try {
            match self.attempt(shared) {
                Step::Again => {}
                step => return Ok(step),
            }
        }
        let (raw, source) = (shared.raw(), shared.source());
        let waker = context.waker().clone();
        if self.has_begun() {
            return Ok(Step::Again);
        }
        let key = driver.submit_ready(raw, source, PollEvents::READ, waker)?;
        self.state.set(State::Ready(key));
        Ok(Step::Pending)
    }

    /// Whether a receive was started by a waker that was cloned for one: that is the user's code,
    /// and may poll the same socket.
    fn has_begun(&self) -> bool {
        !matches!(self.state.get(), State::Idle)
    }

    /// Whether the kernel can receive into buffers that it picks, and has some.
    fn can_multi(&self, driver: &Driver) -> bool {
        driver.features().multishot_recv && !self.is_long() && self.pool.has_published(driver)
    }

    /// Makes sense of one completion of the kernel's receive.
    fn take(&self, item: Item, layout: DatagramLayout) -> Step {
        if !item.completion().more() {
            self.state.set(State::Idle);
        }
        let bytes = match item {
            Item::Copied(copied) => Some(ManagedBuf::own(copied.1.into_vec())),
            Item::Raw(completion) if completion.res >= 0 => self.pool.received(completion),
            Item::Raw(completion) => {
                self.pool.discard(completion);
                return match -completion.res {
                    errno::ENOBUFS => Step::NoBuffer,
                    errno::ECANCELED | errno::EINTR | errno::EAGAIN => Step::Again,
                    errno => Step::Error(errno),
                };
            }
        };
        match bytes.and_then(|bytes| Datagram::new(bytes, layout)) {
            Some(datagram) => Step::Datagram(datagram),
            None => Step::Again,
        }
    }

    /// Takes what is there by a plain receive, and parks all but the first.
    fn attempt(&self, shared: &Rc<Shared>) -> Step {
        let is_long = self.is_long();
        let mut bufs = self.pool.take_list();
        self.take_bufs(is_long, &mut bufs);
        let step = self.receive_into(shared, &mut bufs, is_long);
        self.pool.keep_list(bufs);
        step
    }

    /// Takes as many datagrams as there are and `bufs` has room for, and parks all but the first.
    fn receive_into(&self, shared: &Rc<Shared>, bufs: &mut Vec<ManagedBuf>, is_long: bool) -> Step {
        let layout = self.layout.get();
        let result = self.receive_now(shared, bufs, layout);
        let asked = bufs.len();
        let Ok(count) = usize::try_from(result) else {
            self.has_more.set(false);
            return match -result {
                errno::EAGAIN => Step::Again,
                errno => Step::Error(errno),
            };
        };
        self.has_more.set(count == asked);
        if count < asked {
            let source = shared.source();
            shared.driver().not_ready(source, PollEvents::READ, true);
        }
        self.adapt_batch(asked, count);
        let mut datagrams = bufs.drain(..count).filter_map(|bytes| {
            let bytes = if is_long { self.fit(bytes) } else { bytes };
            Datagram::new(bytes, layout)
        });
        let first = datagrams.next();
        self.parked.borrow_mut().extend(datagrams);
        first.map_or(Step::Again, Step::Datagram)
    }

    /// Receives without waiting: the number of datagrams, or minus the errno.
    fn receive_now(
        &self,
        shared: &Rc<Shared>,
        bufs: &mut [ManagedBuf],
        layout: DatagramLayout,
    ) -> i32 {
        let driver = shared.driver();
        loop {
            driver.count_attempt();
            match op::recv_datagrams_now(shared.raw(), bufs, layout) {
                result if result == -errno::EINTR => {}
                result => {
                    if result == -errno::EAGAIN {
                        driver.not_ready(shared.source(), PollEvents::READ, false);
                    }
                    return result;
                }
            }
        }
    }

    /// Adds memory for the next plain receive to `bufs`: one piece for long datagrams, otherwise as
    /// many of the pool's buffers as datagrams are expected, or one piece when it has none.
    fn take_bufs(&self, is_long: bool, bufs: &mut Vec<ManagedBuf>) {
        if is_long {
            let len = self.layout.get().payload_start() + self.payload_bytes();
            let kept = self.long.take().filter(|kept| kept.capacity() >= len);
            bufs.push(kept.unwrap_or_else(|| ManagedBuf::own(Vec::with_capacity(len))));
            return;
        }
        let first = self.pool.take();
        if first.is_own() {
            self.pool.count_exhausted();
            bufs.push(first);
            return;
        }
        bufs.push(first);
        while bufs.len() < self.batch.get() {
            match self.pool.take() {
                more if more.is_own() => break,
                more => bufs.push(more),
            }
        }
    }

    /// A datagram that was received into memory for the longest ones, in memory of its own size.
    fn fit(&self, bytes: ManagedBuf) -> ManagedBuf {
        if bytes.len() >= KEPT_BYTES_MIN {
            return bytes;
        }
        let fitting = ManagedBuf::own(bytes.to_vec());
        if self.has_more.get() {
            self.long.set(Some(bytes));
        }
        fitting
    }

    fn adapt_batch(&self, asked: usize, count: usize) {
        let batch = self.batch.get();
        if count == batch {
            self.batch.set((2 * batch).min(BATCH_MAX));
        } else if asked == batch && count <= batch / 4 {
            self.batch.set((batch / 2).max(BATCH_MIN));
        }
    }

    fn take_parked(&self) -> Option<Datagram> {
        self.parked.borrow_mut().pop_front()
    }

    /// Puts a datagram in front of what comes next.
    pub(super) fn put_back(&self, datagram: Datagram) {
        self.parked.borrow_mut().push_front(datagram);
    }

    /// Takes a datagram that is here already, or fails with `WouldBlock`.
    pub(super) fn try_next(&self, shared: &Rc<Shared>) -> io::Result<Datagram> {
        shared.driver().check_current()?;
        let ticket = Ticket::new();
        if !self.turns.try_take(&ticket) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let result = self.try_next_in_turn(shared);
        self.turns.leave(&ticket);
        result
    }

    fn try_next_in_turn(&self, shared: &Rc<Shared>) -> io::Result<Datagram> {
        loop {
            if let Some(datagram) = self.take_parked() {
                return Ok(datagram);
            }
            let step = match self.state.get() {
                State::Multi(key, layout) => match shared.driver().try_multi(key) {
                    Some(item) => self.take(item, layout),
                    None => Step::Pending,
                },
                // No datagram is under way that could be overtaken, only a wait for one. That is
                // left to those who will wait again.
                State::Idle | State::Ready(_) => match self.attempt(shared) {
                    Step::Again => Step::Pending,
                    step => step,
                },
            };
            return match step {
                Step::Datagram(datagram) => Ok(datagram),
                Step::Error(errno) => Err(io::Error::from_raw_os_error(errno)),
                Step::Again | Step::NoBuffer => continue,
                Step::Pending => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
    }

    /// Waits until the kernel does nothing for this socket any more, and takes what it brings. The
    /// caller has the turn.
    pub(super) fn poll_stop(
        &self,
        shared: &Rc<Shared>,
        context: &Context<'_>,
        datagrams: &mut Vec<Datagram>,
    ) -> Poll<io::Result<()>> {
        let driver = shared.driver();
        driver.check_current()?;
        datagrams.extend(self.parked.take());
        loop {
            match self.state.get() {
                State::Multi(key, layout) => {
                    driver.cancel_multi(key);
                    let item = ready!(driver.poll_multi(key, context));
                    if let Step::Datagram(datagram) = self.take(item, layout) {
                        datagrams.push(datagram);
                    }
                }
                State::Ready(key) => {
                    self.state.set(State::Idle);
                    op::abandon_wait(driver, key, Rc::clone(shared));
                }
                State::Idle => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ends what the kernel does for a socket whose handle is gone. `fd` is kept until the kernel
    /// is done with it.
    pub(super) fn abandon(&self, driver: &Driver, fd: AnyFd) {
        match self.state.replace(State::Idle) {
            State::Multi(key, _) => {
                let pool = Rc::clone(&self.pool);
                driver.abandon_multi(key, Box::new(AbandonedRecv { fd, pool }));
            }
            State::Ready(key) => op::abandon_wait(driver, key, fd),
            State::Idle => {}
        }
        drop(self.parked.take());
    }
}

/// The future of a receive.
pub(super) struct RecvDatagram<'a> {
    shared: &'a Rc<Shared>,
    ticket: Ticket,
}

impl<'a> RecvDatagram<'a> {
    pub(super) fn new(shared: &'a Rc<Shared>) -> Self {
        Self {
            shared,
            ticket: Ticket::new(),
        }
    }
}

impl Future for RecvDatagram<'_> {
    type Output = io::Result<Datagram>;

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

impl Drop for RecvDatagram<'_> {
    fn drop(&mut self) {
        self.shared.extra.receive.turns.leave(&self.ticket);
    }
}
