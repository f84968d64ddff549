//! A TCP socket that accepts connections.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;

use super::{
    TcpStream, ToAddrs,
    turns::{Ticket, Turns},
};
use crate::{
    driver::{self, Driver, Item, Key},
    op::{self, AbandonedAccept, AnyFd, Descriptor, OnDrop},
    sys::{self, PollEvents, SocketAddress, errno, option},
    time::{self, Sleep},
};

/// How long a listener rests after an accept that would fail again at once, as when this process
/// has run out of descriptors: any of them may be closed meanwhile, also by code that this crate
/// does not see.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// How many connections the kernel keeps for a listener until they are accepted; it takes at most
/// `net.core.somaxconn`.
const BACKLOG_DEFAULT: u32 = 4096;

/// Options of a listening socket. Made by [`TcpListener::options`].
#[derive(Clone, Debug)]
pub struct ListenOptions {
    backlog: u32,
    reuse_port: bool,
    only_v6: Option<bool>,
    nodelay: bool,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: BACKLOG_DEFAULT,
            reuse_port: false,
            only_v6: None,
            nodelay: true,
        }
    }
}

impl ListenOptions {
    /// How many connections the kernel keeps until they are accepted. 4096 by default, and at most
    /// `net.core.somaxconn`.
    #[must_use]
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether several sockets may listen on one address (`SO_REUSEPORT`); the kernel deals the
    /// connections out among them. Off by default.
    #[must_use]
    pub fn reuse_port(mut self, reuse_port: bool) -> Self {
        self.reuse_port = reuse_port;
        self
    }

    /// Whether an IPv6 socket leaves IPv4 alone (`IPV6_V6ONLY`). The system decides by default.
    #[must_use]
    pub fn only_v6(mut self, only_v6: bool) -> Self {
        self.only_v6 = Some(only_v6);
        self
    }

    /// Whether accepted connections send small writes at once (`TCP_NODELAY`). On by default.
    #[must_use]
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Listens on the first of `addrs` that can be bound.
    ///
    /// # Errors
    ///
    /// The last address's error when none can: `EADDRINUSE`, `EACCES` and others.
    pub async fn bind(&self, addrs: impl ToAddrs) -> io::Result<TcpListener> {
        let driver = driver::current()?;
        let mut failed = None;
        for addr in addrs.to_addrs().await? {
            match self.bind_one(addr, &driver) {
                Ok(listener) => return Ok(listener),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected an address, found none",
            )
        }))
    }

    fn bind_one(&self, addr: SocketAddr, driver: &Rc<Driver>) -> io::Result<TcpListener> {
        TcpListener::from_fd(self.listen(addr)?.into(), driver)
    }

    /// Listens on `addr` with a socket of std's, outside of any runtime: to be made into a listener
    /// of a worker's by [`TcpListener::from_std`].
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES` and others.
    pub fn listen(&self, addr: SocketAddr) -> io::Result<std::net::TcpListener> {
        let address = SocketAddress::from(addr);
        let socket = sys::new_socket(address.family(), false)?;
        let fd = socket.as_raw_fd();
        let set = |level, name, on| sys::set_int_option(fd, level, name, i32::from(on));
        set(option::SOL_SOCKET, option::SO_REUSEADDR, true)?;
        if self.reuse_port {
            set(option::SOL_SOCKET, option::SO_REUSEPORT, true)?;
        }
        if let (Some(only_v6), true) = (self.only_v6, addr.is_ipv6()) {
            set(option::IPPROTO_IPV6, option::IPV6_V6ONLY, only_v6)?;
        }
        // Accepted sockets inherit it, which saves a call for each.
        set(option::IPPROTO_TCP, option::TCP_NODELAY, self.nodelay)?;
        sys::listen(fd, &address, self.backlog)?;
        Ok(socket.into())
    }
}

/// A TCP socket that accepts connections.
///
/// Once somebody has called [`accept`](Self::accept), the kernel accepts ahead where it can (5.19):
/// about sixteen connections wait in the listener, the others in the kernel's backlog. Dropping the
/// listener closes those that wait.
///
/// # Examples
///
/// ```no_run
/// use annulus::net::TcpListener;
///
/// # fn main() -> std::io::Result<()> {
/// annulus::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     println!("listening on {}", listener.local_addr()?);
///     let (stream, peer) = listener.accept().await?;
///     stream.write_all(format!("hello, {peer}")).await?;
///     Ok(())
/// })
/// # }
/// ```
pub struct TcpListener {
    shared: Rc<Descriptor<Accept>>,
}

/// What a listener keeps for its accepts.
struct Accept {
    state: Cell<State>,
    turns: Turns,
    /// The rest after an accept that would fail again at once.
    pause: RefCell<Option<Pin<Box<Sleep>>>>,
}

#[derive(Clone, Copy)]
enum State {
    /// Nothing is asked of the kernel.
    Idle,
    /// The kernel accepts; what it brought waits in the driver's slot.
    Multi(Key),
    /// Waiting for readiness.
    Ready(Key),
}

impl TcpListener {
    /// Listens on the first of `addrs` that can be bound, with the default options.
    ///
    /// # Errors
    ///
    /// `EADDRINUSE`, `EACCES` and others.
    pub async fn bind(addrs: impl ToAddrs) -> io::Result<Self> {
        Self::options().bind(addrs).await
    }

    /// Options for [`ListenOptions::bind`].
    #[must_use]
    pub fn options() -> ListenOptions {
        ListenOptions::default()
    }

    /// Takes over a listening socket of std's.
    ///
    /// # Errors
    ///
    /// Outside a runtime.
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<Self> {
        Self::from_fd(listener.into(), &driver::current()?)
    }

    fn from_fd(socket: OwnedFd, driver: &Rc<Driver>) -> io::Result<Self> {
        // An accept that is waited for by readiness must not block; a ring waits by itself.
        let waits = driver.uses_ring() && driver.features().fast_poll;
        sys::set_nonblocking(socket.as_raw_fd(), !waits)?;
        let accept = Accept {
            state: Cell::new(State::Idle),
            turns: Turns::default(),
            pause: RefCell::new(None),
        };
        let driver = Rc::clone(driver);
        Ok(Self {
            shared: Descriptor::new(socket, OnDrop::Close, driver, accept),
        })
    }

    /// Accepts the next connection. Several callers are served in the order of asking.
    ///
    /// # Errors
    ///
    /// `EMFILE` and `ENFILE` mean that this process or the system is out of descriptors. The
    /// connection stays queued: close something, or simply call again, which waits for a tenth of
    /// a second before it tries.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a connection that the kernel accepts after the future is dropped stays in
    /// the listener, and the next accept returns it.
    ///
    /// # Kernel
    ///
    /// One operation serves many connections from 5.19 on.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            let stream = self.accept_stream().await?;
            // A peer that is gone already has no address, and nothing to say either.
            if let Ok(peer) = stream.peer_addr() {
                return Ok((stream, peer));
            }
        }
    }

    /// As [`accept`](Self::accept), without asking for the peer's address, which is a system call.
    pub(crate) async fn accept_stream(&self) -> io::Result<TcpStream> {
        let turn = Turn {
            accept: &self.shared.extra,
            ticket: Ticket::new(),
        };
        poll_fn(|context| {
            if !self.shared.extra.turns.poll(&turn.ticket, context) {
                return Poll::Pending;
            }
            self.poll_accept(context)
        })
        .await
    }

    /// The connections as a stream that never ends.
    #[must_use]
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming {
            listener: self,
            ticket: Ticket::new(),
        }
    }

    /// The address that it listens on, with the port that the system chose for port 0.
    ///
    /// # Errors
    ///
    /// Those of getsockname(2).
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        sys::local_addr(self.shared.raw())
    }

    /// The next connection, for a future of this crate's own that alone accepts here.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "the HTTP server uses it")
    )]
    pub(crate) fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        self.poll_accept(context)
    }

    /// Ends accepting: the connections that the kernel has ready, one after the other, and then
    /// none. To be dropped at once then, before more of them come. The caller has the turn.
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "the HTTP server uses it")
    )]
    pub(crate) fn poll_stop(&self, context: &mut Context<'_>) -> Poll<Option<TcpStream>> {
        let driver = self.shared.driver();
        let accept = &self.shared.extra;
        loop {
            match accept.state.get() {
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
                    if let Ok(fd) = op::accepted(completion) {
                        return Poll::Ready(Some(TcpStream::from_fd(fd, driver)));
                    }
                }
                State::Ready(key) => {
                    accept.state.set(State::Idle);
                    op::abandon_wait(driver, key, Rc::clone(&self.shared) as AnyFd);
                }
                State::Idle => {
                    // What is in the backlog is asked for by calls that must not wait.
                    if sys::set_nonblocking(self.shared.raw(), true).is_err() {
                        return Poll::Ready(None);
                    }
                    match op::accept_now(self.shared.raw()) {
                        Ok(fd) => return Poll::Ready(Some(TcpStream::from_fd(fd, driver))),
                        Err(errno::EAGAIN) => return Poll::Ready(None),
                        Err(errno) if refusal(errno) == Refusal::Passed => {}
                        Err(_) => return Poll::Ready(None),
                    }
                }
            }
        }
    }

    /// The next connection. The caller has the turn.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
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
                        Ok(fd) => return Poll::Ready(Ok(TcpStream::from_fd(fd, driver))),
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
            }
        }
    }

    /// Asks the kernel for connections, in the best way that there is.
    fn start(&self, context: &Context<'_>) -> io::Result<Option<TcpStream>> {
        let driver = self.shared.driver();
        let (raw, source) = (self.shared.raw(), self.shared.source());
        if driver.uses_ring() && driver.features().fast_poll {
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

    fn attempt(&self) -> io::Result<Option<TcpStream>> {
        let driver = self.shared.driver();
        loop {
            driver.count_attempt();
            match op::accept_now(self.shared.raw()) {
                Ok(fd) => return Ok(Some(TcpStream::from_fd(fd, driver))),
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

/// What an errno of an accept means for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// A connection that ended before it was accepted, which concerns nobody, or nothing at all.
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

impl Drop for TcpListener {
    fn drop(&mut self) {
        let driver = self.shared.driver();
        let fd = Rc::clone(&self.shared) as AnyFd;
        match self.shared.extra.state.replace(State::Idle) {
            State::Multi(key) => driver.abandon_multi(key, Box::new(AbandonedAccept(fd))),
            State::Ready(key) => op::abandon_wait(driver, key, fd),
            State::Idle => {}
        }
    }
}

impl std::os::fd::AsRawFd for TcpListener {
    fn as_raw_fd(&self) -> RawFd {
        self.shared.raw()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("fd", &self.shared.raw())
            .finish_non_exhaustive()
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

/// Connections, one after the other. Made by [`TcpListener::incoming`].
///
/// Dropping it loses none: those that wait stay in the listener.
pub struct Incoming<'a> {
    listener: &'a TcpListener,
    ticket: Ticket,
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let turns = &self.listener.shared.extra.turns;
        if !turns.poll(&self.ticket, context) {
            return Poll::Pending;
        }
        let Poll::Ready(result) = self.listener.poll_accept(context) else {
            return Poll::Pending;
        };
        turns.leave(&self.ticket);
        Poll::Ready(Some(result))
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        self.listener.shared.extra.turns.leave(&self.ticket);
    }
}

impl fmt::Debug for Incoming<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("listener", self.listener)
            .finish_non_exhaustive()
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
