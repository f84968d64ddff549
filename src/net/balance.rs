//! One acceptor for several workers, which hands each connection to the least loaded of them.
//!
//! Each worker has a listener with a [`Part`], which has a place in the [`Balance`] of all: a
//! mailbox for the connections that are handed to it. Each part has a task, too, and one of the
//! tasks at a time is the acceptor. When its listener is dropped, the task of another worker takes
//! over.
//!
//! The acceptor takes connections one by one, and none while every worker has left [`HANDED_MAX`]
//! untaken: these wait in the kernel. A connection is counted as load of its worker from when it is
//! handed over until its socket is closed or taken out ([`Counted`]).

use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io, mem,
    num::NonZeroU16,
    os::fd::OwnedFd,
    rc::{Rc, Weak},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::acceptor::Acceptor;
use crate::{
    mailbox::Mailbox,
    task::{self, JoinHandle},
    time,
    unwind::{self, lock},
};

/// Connections that were handed to a worker and that it has not taken.
pub(crate) const HANDED_MAX: usize = 64;
/// Connections that are handed over before the other tasks of the acceptor's worker have a turn.
const HANDED_PER_TURN: usize = 64;

/// How long the first acceptor waits until each worker has its listener, where some may never have
/// one.
pub(crate) const JOIN_TIMEOUT: Duration = Duration::from_millis(100);

/// How long the acceptor rests after an error, which most likely comes again at once.
const FAILED_PAUSE: Duration = Duration::from_millis(100);

/// Tells how loaded the worker of a number is.
pub(crate) type LoadFigure = Arc<dyn Fn(usize) -> u64 + Send + Sync>;

/// The loads of the workers of a set, for all their listeners.
pub(crate) struct Loads {
    connections: Box<[Arc<AtomicUsize>]>,
    figure: Option<LoadFigure>,
}

/// A connection among the load of its worker, for as long as this is there. Its socket has a
/// [`Seat`] in the place of it.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Loads {
    /// The loads of `count` workers. Of two with the same figure the one with fewer connections is
    /// less loaded.
    pub(crate) fn new(count: usize, figure: Option<LoadFigure>) -> Arc<Self> {
        Arc::new(Self {
            connections: (0..count).map(|_| Arc::default()).collect(),
            figure,
        })
    }

    fn of(&self, index: usize) -> (u64, usize) {
        // It is the user's. Should it panic, the worker counts as the most loaded.
        let figure = |figure: &LoadFigure| unwind::caught(|| figure(index)).unwrap_or(u64::MAX);
        let figure = self.figure.as_ref().map_or(0, figure);
        (figure, self.connections[index].load(Ordering::Relaxed))
    }

    fn count(&self, index: usize) -> Counted {
        let count = &self.connections[index];
        count.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A count that sockets of this thread are among.
struct Count {
    connections: Arc<AtomicUsize>,
    sockets: usize,
}

thread_local! {
    /// By the number of a [`Seat`]. None where there are no sockets.
    static COUNTS: RefCell<Vec<Option<Count>>> = const { RefCell::new(Vec::new()) };
}

/// A [`Counted`] in the state of a socket, which has two bytes for it: the number of its count in
/// this thread's list, from one on.
pub(super) struct Seat(NonZeroU16);

impl Seat {
    /// Takes the part of `counted`. None when this thread has more counts than there are numbers:
    /// the socket is no load then.
    pub(super) fn take(counted: &Counted) -> Option<Self> {
        COUNTS.with_borrow_mut(|counts| {
            let is_same = |count: &Count| Arc::ptr_eq(&count.connections, &counted.0);
            let place = |wanted: &dyn Fn(&Option<Count>) -> bool| counts.iter().position(wanted);
            let place = place(&|count| count.as_ref().is_some_and(is_same))
                .or_else(|| place(&Option::is_none))
                .unwrap_or(counts.len());
            let number = u16::try_from(place + 1).ok().and_then(NonZeroU16::new)?;
            if place == counts.len() {
                counts.push(None);
            }
            let count = counts[place].get_or_insert_with(|| Count {
                connections: Arc::clone(&counted.0),
                sockets: 0,
            });
            count.sockets += 1;
            count.connections.fetch_add(1, Ordering::Relaxed);
            Some(Self(number))
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The list goes with the thread, whose worker gets no more connections then.
        let _ = COUNTS.try_with(|counts| {
            let place = &mut counts.borrow_mut()[usize::from(self.0.get()) - 1];
            let Some(count) = place else {
                return;
            };
            count.connections.fetch_sub(1, Ordering::Relaxed);
            count.sockets -= 1;
            if count.sockets == 0 {
                *place = None;
            }
        });
    }
}

/// A connection for a worker, or the errno of an accept.
type Handed = Result<(OwnedFd, Counted), i32>;

/// The parts of a listener that several workers accept from.
pub(crate) struct Balance {
    loads: Arc<Loads>,
    join_timeout: Option<Duration>,
    places: Box<[Place]>,
    role: Mutex<Role>,
    /// The acceptor waits until a worker takes something or joins.
    is_waiting: AtomicBool,
    /// The search for the least loaded worker begins here, so that equal ones take turns.
    first: AtomicUsize,
}

/// The place of one worker.
#[derive(Default)]
struct Place {
    mailbox: Mailbox<Letters>,
    /// Cleared before the mailbox is closed.
    is_open: AtomicBool,
    /// Whether it was ever open.
    has_joined: AtomicBool,
    /// How many were handed over and not taken.
    untaken: AtomicUsize,
}

#[derive(Default)]
struct Letters {
    handed: VecDeque<Handed>,
    is_open: bool,
}

struct Role {
    acceptor: Option<usize>,
    /// The tasks that wait for the role, and the acceptor when it waits for a worker.
    wakers: Box<[Option<Waker>]>,
}

impl Balance {
    /// For as many workers as there are loads. The first acceptor waits for all of them, or for so
    /// long, so that connections which have waited for the start do not all go to the worker that
    /// is first.
    pub(crate) fn new(loads: Arc<Loads>, join_timeout: Option<Duration>) -> Arc<Self> {
        let count = loads.connections.len();
        Arc::new(Self {
            loads,
            join_timeout,
            places: (0..count).map(|_| Place::default()).collect(),
            role: Mutex::new(Role {
                acceptor: None,
                wakers: vec![None; count].into(),
            }),
            is_waiting: AtomicBool::new(false),
            first: AtomicUsize::new(0),
        })
    }

    /// How many connections each worker has.
    pub(crate) fn connections(&self) -> Vec<usize> {
        let counts = self.loads.connections.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).collect()
    }

    fn open(&self, index: usize) -> io::Result<()> {
        let place = self.places.get(index);
        let Some(place) = place.filter(|place| !place.is_open.swap(true, Ordering::SeqCst)) else {
            let text = format!(
                "worker {index} has its part of the listener already, or is none of these workers"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        place.untaken.store(0, Ordering::SeqCst);
        place.mailbox.put(|letters| letters.is_open = true);
        place.has_joined.store(true, Ordering::SeqCst);
        self.tell_acceptor();
        Ok(())
    }

    /// Closes a place, and returns what was handed to it.
    fn close(&self, index: usize) -> VecDeque<Handed> {
        let place = &self.places[index];
        place.is_open.store(false, Ordering::SeqCst);
        let mut handed = VecDeque::new();
        let owner = place.mailbox.change(|letters| {
            letters.is_open = false;
            handed = mem::take(&mut letters.handed);
        });
        drop(owner);
        let old = place.mailbox.set_owner(None);
        let mut wakers = Vec::new();
        let mut role = lock(&self.role);
        if role.acceptor == Some(index) {
            role.acceptor = None;
            wakers.extend(role.wakers.iter_mut().filter_map(Option::take));
        }
        role.wakers[index] = None;
        drop(role);
        wakers.into_iter().for_each(Waker::wake);
        unwind::swallow(|| drop(old));
        handed
    }

    /// Ready when worker `index` is the acceptor.
    fn poll_role(&self, index: usize, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut role = lock(&self.role);
        if *role.acceptor.get_or_insert(index) == index {
            return Poll::Ready(());
        }
        role.wakers[index] = Some(waker);
        Poll::Pending
    }

    /// Ready when each worker has joined.
    fn poll_all_joined(&self, index: usize, context: &Context<'_>) -> Poll<()> {
        let has_joined = |place: &Place| place.has_joined.load(Ordering::SeqCst);
        self.poll_until(index, context, || self.places.iter().all(has_joined))
    }

    /// Ready when some worker has room for a connection.
    fn poll_room(&self, index: usize, context: &Context<'_>) -> Poll<()> {
        self.poll_until(index, context, || self.has_room())
    }

    /// Waits, as the acceptor, until a worker that takes something or joins makes `condition` hold.
    fn poll_until(
        &self,
        index: usize,
        context: &Context<'_>,
        condition: impl Fn() -> bool,
    ) -> Poll<()> {
        if condition() {
            return Poll::Ready(());
        }
        lock(&self.role).wakers[index] = Some(context.waker().clone());
        self.is_waiting.store(true, Ordering::SeqCst);
        // It may hold since before the other worker could see that.
        if condition() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn has_room(&self) -> bool {
        let mut places = self.places.iter();
        places.any(|place| place.is_open() && !place.is_full())
    }

    fn note_taken(&self, index: usize) {
        self.places[index].untaken.fetch_sub(1, Ordering::SeqCst);
        self.tell_acceptor();
    }

    /// Wakes the acceptor if it waits for what has changed.
    fn tell_acceptor(&self) {
        if self.is_waiting.load(Ordering::SeqCst) && self.is_waiting.swap(false, Ordering::SeqCst) {
            let mut role = lock(&self.role);
            let acceptor = role.acceptor.and_then(|index| role.wakers[index].take());
            drop(role);
            acceptor.into_iter().for_each(Waker::wake);
        }
    }

    /// The least loaded worker. One without room is chosen only if the others have none.
    fn least_loaded(&self) -> Option<usize> {
        let count = self.places.len();
        let first = self.first.fetch_add(1, Ordering::Relaxed);
        let indices = (0..count).map(|index| (first.wrapping_add(index)) % count);
        indices
            .filter(|&index| self.places[index].is_open())
            .min_by_key(|&index| (self.places[index].is_full(), self.loads.of(index)))
    }

    /// Hands a connection to the least loaded worker. Without any it is closed.
    fn hand(&self, mut fd: OwnedFd) {
        while let Some(index) = self.least_loaded() {
            match self.put(index, Ok((fd, self.loads.count(index)))) {
                // The worker has gone meanwhile.
                Err(Ok((back, _))) => fd = back,
                Ok(()) | Err(Err(_)) => return,
            }
        }
    }

    /// Tells the acceptor's worker of an error, unless it has one to hear already.
    fn fail(&self, index: usize, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(0);
        drop(self.put(index, Err(errno)));
    }

    fn put(&self, index: usize, handed: Handed) -> Result<(), Handed> {
        let place = &self.places[index];
        let mut handed = Some(handed);
        let owner = place.mailbox.change(|letters| {
            let knows = matches!(handed, Some(Err(_))) && letters.handed.iter().any(Result::is_err);
            if letters.is_open && !knows {
                // Under the lock, so that the worker does not take it before it is counted.
                place.untaken.fetch_add(1, Ordering::SeqCst);
                letters.handed.extend(handed.take());
            }
        });
        owner.wake();
        handed.map_or(Ok(()), Err)
    }
}

impl Place {
    fn is_open(&self) -> bool {
        self.is_open.load(Ordering::SeqCst)
    }

    fn is_full(&self) -> bool {
        self.untaken.load(Ordering::SeqCst) >= HANDED_MAX
    }
}

impl fmt::Debug for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// The part of one worker in a listener.
pub(super) struct Part {
    balance: Arc<Balance>,
    index: usize,
    /// Taken out of the mailbox.
    taken: RefCell<VecDeque<Handed>>,
    /// The waker that the mailbox has.
    waker: RefCell<Waker>,
    /// The listening socket, for when this is the acceptor. None when it accepts no more.
    acceptor: RefCell<Option<Rc<Acceptor>>>,
    accepting: JoinHandle<()>,
}

impl Part {
    /// Takes the place of worker `index`.
    ///
    /// # Errors
    ///
    /// When it is taken, or there is no such worker.
    pub(super) fn join(
        balance: &Arc<Balance>,
        index: usize,
        acceptor: Acceptor,
    ) -> io::Result<Self> {
        balance.open(index)?;
        acceptor.take_one_by_one();
        let acceptor = Rc::new(acceptor);
        let accepting = accept_for_all(Arc::clone(balance), index, Rc::downgrade(&acceptor));
        Ok(Self {
            balance: Arc::clone(balance),
            index,
            taken: RefCell::default(),
            waker: RefCell::new(Waker::noop().clone()),
            acceptor: RefCell::new(Some(acceptor)),
            accepting: task::spawn(accepting),
        })
    }

    /// The next connection that was handed to this worker, or an error if this is the acceptor.
    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Handed> {
        if let Some(next) = self.take_next() {
            return Poll::Ready(next);
        }
        self.register(context);
        let mailbox = &self.balance.places[self.index].mailbox;
        mailbox.take(|letters| mem::swap(&mut letters.handed, &mut *self.taken.borrow_mut()));
        self.take_next().map_or(Poll::Pending, Poll::Ready)
    }

    fn take_next(&self) -> Option<Handed> {
        let next = self.taken.borrow_mut().pop_front();
        if next.is_some() && self.is_open() {
            self.balance.note_taken(self.index);
        }
        next
    }

    fn is_open(&self) -> bool {
        self.acceptor.borrow().is_some()
    }

    fn register(&self, context: &Context<'_>) {
        if self.waker.borrow().will_wake(context.waker()) {
            return;
        }
        // Both are cloned first: the mailbox has the right one also when a clone panics.
        let (ours, theirs) = (context.waker().clone(), context.waker().clone());
        let old = self.waker.replace(ours);
        let mailbox = &self.balance.places[self.index].mailbox;
        let theirs_old = mailbox.set_owner(Some(theirs));
        unwind::then(|| drop(old), || drop(theirs_old));
    }

    /// Gives the place up, and returns the next of what was handed to it until then.
    pub(super) fn stop_next(&self) -> Option<(OwnedFd, Counted)> {
        self.close();
        let mut taken = self.taken.borrow_mut();
        while let Some(next) = taken.pop_front() {
            if let Ok(connection) = next {
                return Some(connection);
            }
        }
        None
    }

    fn close(&self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.accepting.abort();
        drop(acceptor);
        let handed = self.balance.close(self.index);
        self.taken.borrow_mut().extend(handed);
    }
}

impl Drop for Part {
    /// Hands to the others what this worker has not taken.
    fn drop(&mut self) {
        while let Some((fd, counted)) = self.stop_next() {
            drop(counted);
            self.balance.hand(fd);
        }
    }
}

/// The task of a part.
async fn accept_for_all(balance: Arc<Balance>, index: usize, acceptor: Weak<Acceptor>) {
    poll_fn(|context| balance.poll_role(index, context)).await;
    let all_joined = poll_fn(|context| balance.poll_all_joined(index, context));
    match balance.join_timeout {
        Some(timeout) => drop(time::timeout(timeout, all_joined).await),
        None => all_joined.await,
    }
    loop {
        for _ in 0..HANDED_PER_TURN {
            poll_fn(|context| balance.poll_room(index, context)).await;
            let accepted = poll_fn(|context| match acceptor.upgrade() {
                Some(acceptor) => acceptor.poll_accept(context).map(Some),
                None => Poll::Ready(None),
            });
            match accepted.await {
                Some(Ok(socket)) => socket.into_fd().into_iter().for_each(|fd| balance.hand(fd)),
                Some(Err(error)) => {
                    balance.fail(index, &error);
                    time::sleep(FAILED_PAUSE).await;
                }
                // The listener was dropped, which aborts this task.
                None => return,
            }
        }
        task::yield_now().await;
    }
}
