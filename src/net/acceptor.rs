//! The core of every listening socket below its public type: accepts that go on by themselves.
//!
//! After the first `accept`, the kernel accepts ahead where it can; the connections that it brought
//! wait in the driver's slot. One future at a time has the turn, and the state outlives them all:
//! dropping one leaves it as it is.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io,
    os::fd::{AsRawFd as _, OwnedFd},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    balance::{Balance, HANDED_MAX, Part},
    socket::{Family, Socket},
    turns::{Ticket, Turns},
};
use crate::{
    budget,
    driver::{self, Driver, Item, Key},
    op::{self, AbandonedAccept, AnyFd, Descriptor, Owner},
    sys::{self, PollEvents, errno},
    time::{self, Sleep},
};

/// How long a listener rests after an accept that would fail again at once, as when this process
/// has run out of descriptors: any of them may be closed meanwhile, also by code that this crate
/// does not see.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// How many connections the kernel keeps for a listener until they are accepted; it takes at most
/// `net.core.somaxconn`.
pub(super) const BACKLOG_DEFAULT: u32 = 4096;

/// A listening socket of any family.
pub(crate) struct Acceptor {
    shared: Rc<Descriptor<Accept>>,
}

/// The state that a listener keeps for its accepts.
struct Accept {
    family: Family,
    state: Cell<State>,
    /// Connections are waited for by readiness and then taken one by one; the socket does not
    /// block.
    one_by_one: Cell<bool>,
    turns: Turns,
    /// The rest after an accept that would fail again at once.
    pause: RefCell<Option<Pin<Box<Sleep>>>>,
    /// The part in a listener of several workers.
    part: Option<Part>,
}

impl Owner for Accept {}

#[derive(Clone, Copy)]
enum State {
    /// Nothing is asked of the kernel.
    Idle,
    /// The kernel accepts; what it brought waits in the driver's slot.
    Multi(Key),
    /// Waiting for readiness.
    Ready(Key),
    /// The acceptor of another worker, or of this one, hands connections to `part`.
    Handed,
}

impl Acceptor {
    /// Takes over a listening socket in blocking mode.
    ///
    /// The mode belongs to all who share the socket: it may leave that mode here and never comes
    /// back to it, since one of the others may be about to accept what must not block.
    pub(super) fn from_fd(
        socket: OwnedFd,
        family: Family,
        driver: &Rc<Driver>,
    ) -> io::Result<Self> {
        // An accept that is waited for by readiness must not block; a ring waits by itself.
        let waits = driver.uses_ring() && driver.features().fast_poll;
        if !waits {
            sys::set_nonblocking(socket.as_raw_fd(), true)?;
        }
        let accept = Accept {
            family,
            state: Cell::new(State::Idle),
            one_by_one: Cell::new(!waits),
            turns: Turns::default(),
            pause: RefCell::new(None),
            part: None,
        };
        let driver = Rc::clone(driver);
        Ok(Self {
            shared: Descriptor::new(socket, driver, accept),
        })
    }

    /// Takes the part of worker `index` in a listening socket, of which each worker has a
    /// descriptor.
    pub(super) fn balanced(
        socket: OwnedFd,
        family: Family,
        balance: &Arc<Balance>,
        index: usize,
    ) -> io::Result<Self> {
        let driver = driver::current()?;
        let acceptor = Self::from_fd(socket.try_clone()?, family, &driver)?;
        let accept = Accept {
            family,
            state: Cell::new(State::Handed),
            one_by_one: Cell::new(true),
            turns: Turns::default(),
            pause: RefCell::new(None),
            part: Some(Part::join(balance, index, acceptor)?),
        };
        Ok(Self {
            shared: Descriptor::new(socket, driver, accept),
        })
    }

    /// As [`balanced`](Self::balanced), of a TCP socket.
    pub(crate) fn balanced_tcp(
        listener: std::net::TcpListener,
        balance: &Arc<Balance>,
        index: usize,
    ) -> io::Result<Self> {
        Self::balanced(listener.into(), Family::Tcp, balance, index)
    }

    /// As [`balanced`](Self::balanced), of a Unix socket.
    pub(crate) fn balanced_unix(
        listener: std::os::unix::net::UnixListener,
        balance: &Arc<Balance>,
        index: usize,
    ) -> io::Result<Self> {
        Self::balanced(listener.into(), Family::Unix, balance, index)
    }

    /// As [`from_fd`](Self::from_fd), for a socket that several runtimes may share.
    pub(crate) fn from_tcp(listener: std::net::TcpListener) -> io::Result<Self> {
        Self::from_fd(listener.into(), Family::Tcp, &driver::current()?)
    }

    /// As [`from_tcp`](Self::from_tcp), for a Unix socket.
    pub(crate) fn from_unix(listener: std::os::unix::net::UnixListener) -> io::Result<Self> {
        Self::from_fd(listener.into(), Family::Unix, &driver::current()?)
    }

    pub(super) fn raw(&self) -> i32 {
        self.shared.raw()
    }

    /// The next connection, in the order of asking.
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        let turn = Turn {
            accept: &self.shared.extra,
            ticket: Ticket::new(),
        };
        poll_fn(|context| {
            let (turns, driver) = (&self.shared.extra.turns, self.shared.driver());
            ready!(turns.poll_counted(driver, &turn.ticket, context))?;
            let accepted = ready!(self.poll_accept(context));
            budget::spend();
            Poll::Ready(accepted)
        })
        .await
    }

    pub(super) fn turns(&self) -> &Turns {
        &self.shared.extra.turns
    }

    pub(super) fn driver(&self) -> &Driver {
        self.shared.driver()
    }

    /// The next connection. The caller has the turn.
    pub(crate) fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Socket>> {
        let driver = self.shared.driver();
        driver.check_current()?;
        let accept = &self.shared.extra;
        loop {
            match accept.state.get() {
                State::Idle => {
                    if self.poll_pause(context).is_pending() {
                        return Poll::Pending;
                    }
                    if let Some(stream) = self.start(context)? {
                        return Poll::Ready(Ok(stream));
                    }
                }
                State::Multi(key) => {
                    let Poll::Ready(item) = driver.poll_multi(key, context) else {
                        return Poll::Pending;
                    };
                    let Item::Raw(completion) = item else {
                        unreachable!("a connection is in no buffer")
                    };
                    if !completion.more() {
                        accept.state.set(State::Idle);
                    }
                    match op::accepted(completion) {
                        Ok(fd) => {
                            return Poll::Ready(Ok(Socket::from_fd(fd, accept.family, driver)));
                        }
                        // Another process that has this socket, too, does not want it to block. The
                        // kernel does not wait for us then.
                        Err(errno::EAGAIN) => accept.one_by_one.set(true),
                        Err(errno) => self.refused(errno)?,
                    }
                }
                State::Ready(key) => {
                    if driver.poll_op(key, context).is_pending() {
                        return Poll::Pending;
                    }
                    accept.state.set(State::Idle);
                    if let Some(stream) = self.attempt()? {
                        return Poll::Ready(Ok(stream));
                    }
                }
                State::Handed => return self.poll_handed(context),
            }
        }
    }

    /// The next connection that was handed to this worker.
    #[cold]
    fn poll_handed(&self, context: &Context<'_>) -> Poll<io::Result<Socket>> {
        let accept = &self.shared.extra;
        let part = accept.part.as_ref().expect("such a listener has a part");
        let handed = ready!(part.poll_next(context));
        Poll::Ready(match handed {
            Ok((fd, counted)) => {
                let driver = self.shared.driver();
                Ok(Socket::from_handed(fd, &counted, accept.family, driver))
            }
            Err(errno) => Err(io::Error::from_raw_os_error(errno)),
        })
    }

    /// How many connections the kernel may accept at once, before anything can stop it: all that
    /// fit the backlog.
    pub(crate) fn burst_max(&self) -> usize {
        if self.shared.extra.part.is_some() {
            return HANDED_MAX;
        }
        if !self.shared.driver().features().multishot_accept {
            return 1;
        }
        let backlog = sys::backlog_max(self.raw());
        backlog.unwrap_or(BACKLOG_DEFAULT as usize)
    }

    /// Takes connections one by one from now on, where the kernel accepts ahead otherwise: none
    /// that was not asked for. Connections that it has accepted are there as before.
    pub(crate) fn take_one_by_one(&self) {
        let accept = &self.shared.extra;
        if accept.one_by_one.get() || sys::set_nonblocking(self.raw(), true).is_err() {
            return;
        }
        accept.one_by_one.set(true);
        if let State::Multi(key) = accept.state.get() {
            self.shared.driver().cancel_multi(key);
        }
    }

    /// Ends accepting: the connections that the kernel has ready, one after the other, and then
    /// none. To be dropped at once then, before more of them come. The caller has the turn.
    pub(crate) fn poll_stop(&self, context: &mut Context<'_>) -> Poll<Option<Socket>> {
        let driver = self.shared.driver();
        if !driver.is_current() {
            return Poll::Ready(None);
        }
        let accept = &self.shared.extra;
        loop {
            let accepted = match accept.state.get() {
                State::Multi(key) => {
                    driver.cancel_multi(key);
                    let Poll::Ready(item) = driver.poll_multi(key, context) else {
                        return Poll::Pending;
                    };
                    let Item::Raw(completion) = item else {
                        unreachable!("a connection is in no buffer")
                    };
                    if !completion.more() {
                        accept.state.set(State::Idle);
                    }
                    op::accepted(completion).ok()
                }
                State::Ready(key) => {
                    accept.state.set(State::Idle);
                    op::abandon_wait(driver, key, Rc::clone(&self.shared) as AnyFd);
                    None
                }
                State::Handed => {
                    let part = accept.part.as_ref().expect("such a listener has a part");
                    if let Some((fd, counted)) = part.stop_next() {
                        let socket = Socket::from_handed(fd, &counted, accept.family, driver);
                        return Poll::Ready(Some(socket));
                    }
                    accept.state.set(State::Idle);
                    None
                }
                State::Idle => {
                    // Connections in the backlog are asked for by calls that must not wait.
                    if sys::set_nonblocking(self.shared.raw(), true).is_err() {
                        return Poll::Ready(None);
                    }
                    match op::accept_now(self.shared.raw()) {
                        Ok(fd) => Some(fd),
                        Err(errno)
                            if errno != errno::EAGAIN && refusal(errno) == Refusal::Passed =>
                        {
                            None
                        }
                        Err(_) => return Poll::Ready(None),
                    }
                }
            };
            if let Some(fd) = accepted {
                return Poll::Ready(Some(Socket::from_fd(fd, accept.family, driver)));
            }
        }
    }

    /// Asks the kernel for connections, in the best way that there is.
    fn start(&self, context: &Context<'_>) -> io::Result<Option<Socket>> {
        let driver = self.shared.driver();
        let (raw, source) = (self.shared.raw(), self.shared.source());
        if !self.shared.extra.one_by_one.get() {
            let key = op::accept_multi(driver, raw, Some(context.waker().clone()))?;
            self.shared.extra.state.set(State::Multi(key));
            return Ok(None);
        }
        if driver.maybe_ready(source, PollEvents::READ) {
            if let Some(stream) = self.attempt()? {
                return Ok(Some(stream));
            }
        }
        let waker = context.waker().clone();
        let key = driver.submit_ready(raw, source, PollEvents::READ, waker)?;
        self.shared.extra.state.set(State::Ready(key));
        Ok(None)
    }

    fn attempt(&self) -> io::Result<Option<Socket>> {
        let driver = self.shared.driver();
        loop {
            driver.count_attempt();
            match op::accept_now(self.shared.raw()) {
                Ok(fd) => return Ok(Some(Socket::from_fd(fd, self.shared.extra.family, driver))),
                Err(errno::EAGAIN) => {
                    driver.not_ready(self.shared.source(), PollEvents::READ, false);
                    return Ok(None);
                }
                Err(errno) => self.refused(errno)?,
            }
        }
    }

    /// Decides whether an errno is this listener's or only one connection's.
    fn refused(&self, errno: i32) -> io::Result<()> {
        match refusal(errno) {
            Refusal::Passed => Ok(()),
            Refusal::Rest => {
                let pause = Box::pin(time::sleep(REFUSED_PAUSE));
                drop(self.shared.extra.pause.replace(Some(pause)));
                Err(io::Error::from_raw_os_error(errno))
            }
            Refusal::Failed => Err(io::Error::from_raw_os_error(errno)),
        }
    }

    fn poll_pause(&self, context: &mut Context<'_>) -> Poll<()> {
        let pause = &self.shared.extra.pause;
        let Some(mut sleep) = pause.take() else {
            return Poll::Ready(());
        };
        let result = sleep.as_mut().poll(context);
        if result.is_pending() {
            drop(pause.replace(Some(sleep)));
        }
        result
    }
}

/// The meaning of an accept's errno for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// A connection ended before it was accepted, or there was none. The accept goes on without a
    /// word.
    Passed,
    /// It is told, and the next accept waits a while: at once it would most likely fail again.
    Rest,
    Failed,
}

fn refusal(errno: i32) -> Refusal {
    match errno {
        errno::ECONNABORTED | errno::EINTR | errno::EAGAIN | errno::ECANCELED => Refusal::Passed,
        // accept(2) passes on what the network had to say about the new connection.
        errno::ENETDOWN
        | errno::EPROTO
        | errno::ENOPROTOOPT
        | errno::EHOSTDOWN
        | errno::ENONET
        | errno::EHOSTUNREACH
        | errno::ENETUNREACH
        | errno::ETIMEDOUT => Refusal::Passed,
        // These two can be about the connection, and about a listener that will never accept: to
        // go on at once would be an endless loop then.
        errno::EPERM | errno::EOPNOTSUPP => Refusal::Rest,
        errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM => Refusal::Rest,
        _ => Refusal::Failed,
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("fd", &self.shared.raw())
            .finish_non_exhaustive()
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        let driver = self.shared.driver();
        let fd = Rc::clone(&self.shared) as AnyFd;
        match self.shared.extra.state.replace(State::Idle) {
            State::Multi(key) => driver.abandon_multi(key, Box::new(AbandonedAccept(fd))),
            State::Ready(key) => op::abandon_wait(driver, key, fd),
            State::Idle | State::Handed => {}
        }
    }
}

/// Leaves the queue when an accept ends, however it ends.
struct Turn<'a> {
    accept: &'a Accept,
    ticket: Ticket,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.accept.turns.leave(&self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_one_connection_died_of_is_not_the_listeners_error() {
        for errno in [errno::ECONNABORTED, errno::ENETDOWN, errno::EHOSTUNREACH] {
            assert_eq!(refusal(errno), Refusal::Passed);
        }
        for errno in [errno::EMFILE, errno::ENOMEM, errno::EPERM] {
            assert_eq!(refusal(errno), Refusal::Rest);
        }
        assert_eq!(refusal(errno::EINVAL), Refusal::Failed);
    }
}
