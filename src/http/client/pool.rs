//! The connections of one client.
//!
//! A connection is in one of these places, and its [`Lease`] goes with it: in the hands of an
//! exchange; idle, in a slot of the pool, with a receive armed that wakes the pool's keeper (once
//! that has had its turn) when the server closes it or sends something; or in the hands of a waiter
//! whom it was granted and who was not polled yet. A request that is dropped in any place closes
//! its connection, gives its lease back, and so lets the next waiter open one. Only
//! [`Pool::release`] makes a connection idle, and it is called for one reason: an exchange is over,
//! and both sides have said that the connection stays open.

pub(crate) mod connection;
mod keeper;
pub(crate) mod state;

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    fmt,
    rc::{Rc, Weak},
    task::Context,
    time::{Duration, Instant},
};

use crate::{
    driver::{self, Driver},
    sync::oneshot,
    task::IndexWakes,
    time, unwind,
};
use connection::Connection;
use state::{HostState, PoolState};

/// The index that wakes the keeper and stands for no connection.
const KEEPER_INDEX: u32 = 0;

#[derive(Debug, Clone)]
pub(crate) struct PoolLimits {
    /// Connections of one host, idle ones included.
    pub(crate) connections_per_host_max: usize,
    pub(crate) idle_per_host_max: usize,
    pub(crate) idle_timeout: Duration,
    /// Requests that wait for a connection of one host.
    pub(crate) waiting_per_host_max: usize,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            connections_per_host_max: 64,
            idle_per_host_max: 32,
            idle_timeout: Duration::from_secs(15),
            waiting_per_host_max: 16 << 10,
        }
    }
}

/// The connections of one client.
pub(crate) struct Pool {
    limits: PoolLimits,
    hosts: RefCell<HashMap<Box<str>, Rc<Host>>>,
    /// The host that was asked for last, and is most likely asked for next. It is among `hosts`.
    last: RefCell<Option<Rc<Host>>>,
    /// Idle connections. A slot's number is the index that its receive wakes; one that is empty is
    /// being looked at.
    slots: RefCell<slab::Slab<Option<Idle>>>,
    wakes: IndexWakes,
    idle_count: Cell<usize>,
    keeper: RefCell<Option<keeper::Handle>>,
    /// Slots that were filled since the keeper has looked: it has yet to be told of what happens to
    /// their connections. Most are empty again before it comes to that.
    unwatched: RefCell<Vec<u32>>,
    is_closed: Cell<bool>,
    opened: Cell<u64>,
    reused: Cell<u64>,
    died: Cell<u64>,
}

struct Idle {
    connection: Box<Connection>,
    expires: Instant,
}

/// The connections and waiters of one origin, or of one proxy.
pub(crate) struct Host {
    key: Box<str>,
    /// Number of leases.
    open: Cell<usize>,
    /// Slots of idle connections; the last one was used last.
    idle: RefCell<VecDeque<u32>>,
    waiting: RefCell<VecDeque<oneshot::Sender<Granted>>>,
}

/// The right to have one connection open.
pub(crate) struct Lease {
    host: Rc<Host>,
    pool: Rc<Pool>,
}

/// A connection for a request, or leave to open one.
#[derive(Debug)]
pub(crate) enum Acquired {
    Idle(Box<Connection>),
    /// A connection may be opened.
    Fresh(Lease),
}

/// The queue of a host is full.
pub(crate) struct QueueFull;

/// The connection or leave that was given to a waiter. A waiter that never takes it gives it back.
struct Granted(Option<Acquired>);

impl Drop for Granted {
    fn drop(&mut self) {
        if let Some(Acquired::Idle(connection)) = self.0.take() {
            let pool = Rc::clone(&connection.lease.pool);
            pool.release(connection, pool.limits.idle_timeout, time::now());
        }
    }
}

impl Pool {
    pub(crate) fn new(limits: PoolLimits) -> Rc<Self> {
        let mut slots = slab::Slab::new();
        let keeper = slots.insert(None);
        debug_assert_eq!(keeper, KEEPER_INDEX as usize);
        Rc::new(Self {
            limits,
            hosts: RefCell::default(),
            last: RefCell::default(),
            slots: RefCell::new(slots),
            wakes: IndexWakes::new(),
            idle_count: Cell::new(0),
            keeper: RefCell::new(None),
            unwatched: RefCell::default(),
            is_closed: Cell::new(false),
            opened: Cell::new(0),
            reused: Cell::new(0),
            died: Cell::new(0),
        })
    }

    /// The idle connection that was used last and is still good: nothing has come to it, as far as
    /// the kernel knows (RFC 9112, section 9.2). `now` may be a little old.
    pub(crate) fn take(&self, key: &str, now: Instant) -> Option<Box<Connection>> {
        let host = self.known_host(key)?;
        loop {
            let slot = host.idle.borrow_mut().pop_back()?;
            let idle = self.empty(slot)?;
            let is_in_time = idle.expires > now;
            if is_in_time && idle.connection.is_good_at(now) {
                self.reused.set(self.reused.get() + 1);
                return Some(idle.connection);
            }
            self.died.set(self.died.get() + u64::from(is_in_time));
        }
    }

    /// The right to open a connection, or one that another request has left, for which it may wait.
    /// `fresh` asks for the former in any case.
    pub(crate) async fn acquire(
        self: &Rc<Self>,
        key: &str,
        fresh: bool,
    ) -> Result<Acquired, QueueFull> {
        let host = self.host(key);
        if host.open.get() >= self.limits.connections_per_host_max {
            // Only one who wants no used connection comes here while there are idle ones.
            let oldest = host.idle.borrow_mut().pop_front();
            drop(oldest.map(|slot| self.empty(slot)));
        }
        if host.open.get() < self.limits.connections_per_host_max {
            return Ok(Acquired::Fresh(Lease::new(&host, self)));
        }
        let granted = self.enqueue(&host)?;
        let mut granted = granted.await.map_err(|_| QueueFull)?;
        let connection = match granted.0.take().expect("it is taken once") {
            Acquired::Idle(connection) => connection,
            lease => return Ok(lease),
        };
        if fresh {
            return Ok(Acquired::Fresh(connection.lease));
        }
        // It was good when it was handed over, and other tasks may have run for long since.
        if !connection.is_good_at(time::now()) {
            self.died.set(self.died.get() + 1);
            return Ok(Acquired::Fresh(connection.lease));
        }
        self.reused.set(self.reused.get() + 1);
        Ok(Acquired::Idle(connection))
    }

    fn enqueue(&self, host: &Rc<Host>) -> Result<oneshot::Receiver<Granted>, QueueFull> {
        if host.waiting.borrow().len() >= self.limits.waiting_per_host_max {
            host.forget_gone();
            if host.waiting.borrow().len() >= self.limits.waiting_per_host_max {
                return Err(QueueFull);
            }
        }
        let (sender, receiver) = oneshot::channel();
        host.waiting.borrow_mut().push_back(sender);
        Ok(receiver)
    }

    fn known_host(&self, key: &str) -> Option<Rc<Host>> {
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|last| *last.key != *key) {
            *last = Some(Rc::clone(self.hosts.borrow().get(key)?));
        }
        last.clone()
    }

    fn host(&self, key: &str) -> Rc<Host> {
        if let Some(host) = self.known_host(key) {
            return host;
        }
        let host = Rc::new(Host {
            key: key.into(),
            open: Cell::new(0),
            idle: RefCell::default(),
            waiting: RefCell::default(),
        });
        let mut hosts = self.hosts.borrow_mut();
        hosts.insert(host.key.clone(), Rc::clone(&host));
        host
    }

    /// Empties a slot that its host no longer lists.
    fn empty(&self, slot: u32) -> Option<Idle> {
        let idle = self.slots.borrow_mut().try_remove(slot as usize).flatten();
        if idle.is_some() {
            self.idle_count.set(self.idle_count.get() - 1);
        }
        idle
    }

    /// Takes back a connection that may be used again within `idle_timeout`: a waiter gets it, or
    /// it becomes idle, or it is closed.
    pub(crate) fn release(
        self: &Rc<Self>,
        mut connection: Box<Connection>,
        idle_timeout: Duration,
        now: Instant,
    ) {
        let host = Rc::clone(&connection.lease.host);
        let Ok(driver) = driver::current() else {
            return;
        };
        if self.is_closed.get() || idle_timeout.is_zero() {
            return;
        }
        connection.is_reused = true;
        if host.has_waiters() {
            // One that has died meanwhile gives its place to the waiter by being dropped.
            if connection.is_good_now() {
                self.hand_over(&host, connection);
            } else {
                self.died.set(self.died.get() + 1);
            }
            return;
        }
        if host.idle.borrow().len() >= self.limits.idle_per_host_max {
            return;
        }
        if !connection.is_good_now() {
            self.died.set(self.died.get() + 1);
            return;
        }
        let idle_timeout = idle_timeout.min(self.limits.idle_timeout);
        let expires = now + idle_timeout;
        let slot = self.slots.borrow_mut().insert(Some(Idle {
            connection,
            expires,
        }));
        let slot_index = u32::try_from(slot).expect("there are fewer connections than descriptors");
        self.unwatched.borrow_mut().push(slot_index);
        self.idle_count.set(self.idle_count.get() + 1);
        host.idle.borrow_mut().push_back(slot_index);
        self.see_to_keeper(&driver);
    }

    /// Gives a connection to the one who has waited longest.
    fn hand_over(&self, host: &Host, connection: Box<Connection>) {
        if let Some(waiter) = host.next_waiter() {
            let _ = waiter.send(Granted(Some(Acquired::Idle(connection))));
        }
    }

    fn see_to_keeper(self: &Rc<Self>, driver: &Rc<Driver>) {
        let is_here = |keeper: &keeper::Handle| keeper.is_of(driver);
        if !self.keeper.borrow().as_ref().is_some_and(is_here) {
            // One in another runtime does not run while this one does.
            let keeper = keeper::start(self, driver);
            let before = self.keeper.replace(keeper);
            if let Some(before) = before {
                before.abort();
            }
        } else if self.unwatched.borrow().len() == 1 {
            self.wakes.waker(KEEPER_INDEX).wake();
        }
    }

    /// Begins to watch over the connections that have become idle and still are.
    pub(crate) fn watch(&self) {
        let mut unwatched = self.unwatched.take();
        unwind::each(unwatched.drain(..), |slot_index| self.look_at(slot_index));
        // It is empty but for what was dropped meanwhile.
        let more = self.unwatched.replace(unwatched);
        self.unwatched.borrow_mut().extend(more);
    }

    /// The keeper is gone, and with it the runtime that the idle connections belong to.
    pub(crate) fn keeper_ended(&self, home: &Weak<Driver>) {
        let is_last = |keeper: &keeper::Handle| keeper.home.ptr_eq(home);
        if !self.keeper.borrow().as_ref().is_some_and(is_last) {
            return;
        }
        let keeper = self.keeper.take();
        drop(keeper);
        self.close_idle();
    }

    pub(crate) fn wakes(&self) -> &IndexWakes {
        &self.wakes
    }

    /// Looks after a connection that was woken while it is idle.
    pub(crate) fn look_at(&self, slot_index: u32) {
        let Some(slot) = self
            .slots
            .borrow_mut()
            .get_mut(slot_index as usize)
            .and_then(Option::take)
        else {
            return;
        };
        let waker = self.wakes.waker(slot_index);
        if slot.connection.is_good(&mut Context::from_waker(&waker)) {
            // Nothing ran meanwhile: an empty slot is not used for another.
            self.slots.borrow_mut()[slot_index as usize] = Some(slot);
            return;
        }
        self.died.set(self.died.get() + 1);
        self.slots.borrow_mut().remove(slot_index as usize);
        self.idle_count.set(self.idle_count.get() - 1);
        slot.connection.lease.host.unlist(slot_index);
    }

    /// Closes the connections whose time is over. Returns whether others are left.
    pub(crate) fn sweep(&self) -> bool {
        if self.idle_count.get() == 0 {
            return false;
        }
        let now = time::now();
        let over: Vec<u32> = {
            let slots = self.slots.borrow();
            let is_over =
                |idle: &Option<Idle>| idle.as_ref().is_some_and(|idle| idle.expires <= now);
            slots
                .iter()
                .filter(|(_, idle)| is_over(idle))
                .map(|(slot, _)| slot as u32)
                .collect()
        };
        unwind::each(over, |slot_index| self.close_slot(slot_index));
        self.idle_count.get() > 0
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        let idle: Vec<u32> = {
            let slots = self.slots.borrow();
            let idle = slots.iter().filter(|(_, idle)| idle.is_some());
            idle.map(|(slot, _)| slot as u32).collect()
        };
        unwind::each(idle, |slot_index| self.close_slot(slot_index));
    }

    /// Closes the connection of a slot. A request that waited for its place is told, by a waker of
    /// the user's.
    fn close_slot(&self, slot_index: u32) {
        if let Some(idle) = self.empty(slot_index) {
            idle.connection.lease.host.unlist(slot_index);
        }
    }

    /// Closes the pool, which no client asks for connections any more: idle ones are closed now,
    /// and those in use when they are done.
    pub(crate) fn close(&self) {
        self.is_closed.set(true);
        self.close_idle();
        let keeper = self.keeper.take();
        if let Some(keeper) = keeper {
            keeper.abort();
        }
    }

    pub(crate) fn count_opened(&self) {
        self.opened.set(self.opened.get() + 1);
    }

    pub(crate) fn state(&self) -> PoolState {
        let hosts = self.hosts.borrow();
        let mut hosts: Vec<HostState> = hosts
            .values()
            .map(|host| {
                let idle = host.idle.borrow().len();
                HostState {
                    origin: host.key.clone().into(),
                    idle,
                    busy: host.open.get() - idle,
                    waiting: host
                        .waiting
                        .borrow()
                        .iter()
                        .filter(|waiter| !waiter.is_closed())
                        .count(),
                }
            })
            .collect();
        hosts.sort_by(|a, b| a.origin.cmp(&b.origin));
        PoolState {
            hosts,
            opened: self.opened.get(),
            reused: self.reused.get(),
            died: self.died.get(),
        }
    }

    /// Forgets a host that has nothing any more.
    fn forget(&self, host: &Rc<Host>) {
        let is_same = |found: &Rc<Host>| Rc::ptr_eq(found, host);
        if self.last.borrow().as_ref().is_some_and(is_same) {
            self.last.take();
        }
        let mut hosts = self.hosts.borrow_mut();
        if hosts.get(&host.key).is_some_and(is_same) {
            hosts.remove(&host.key);
        }
    }
}

impl Host {
    /// Removes a slot from the idle ones.
    fn unlist(&self, slot_index: u32) {
        self.idle.borrow_mut().retain(|&other| other != slot_index);
    }

    /// Whether a request waits whose future was not dropped.
    fn has_waiters(&self) -> bool {
        self.waiting
            .borrow()
            .iter()
            .any(|waiter| !waiter.is_closed())
    }

    fn next_waiter(&self) -> Option<oneshot::Sender<Granted>> {
        loop {
            let waiter = self.waiting.borrow_mut().pop_front()?;
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
    }

    fn forget_gone(&self) {
        let waiting = self.waiting.take();
        let waiting = waiting
            .into_iter()
            .filter(|waiter| !waiter.is_closed())
            .collect();
        *self.waiting.borrow_mut() = waiting;
    }
}

impl Lease {
    fn new(host: &Rc<Host>, pool: &Rc<Pool>) -> Self {
        host.open.set(host.open.get() + 1);
        Self {
            host: Rc::clone(host),
            pool: Rc::clone(pool),
        }
    }

    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.host.open.set(self.host.open.get() - 1);
        if let Some(waiter) = self.host.next_waiter() {
            let lease = Self::new(&self.host, &self.pool);
            let _ = waiter.send(Granted(Some(Acquired::Fresh(lease))));
        } else if self.host.open.get() == 0 {
            self.pool.forget(&self.host);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("host", &self.host.key)
            .finish_non_exhaustive()
    }
}
