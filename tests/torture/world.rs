//! The state of a run: runtimes that do not run, handles, futures that have begun.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use annulus::{
    DriverKind, ManagedBuf, Runtime,
    fs::File,
    net::{Detached, TcpListener, TcpStream, UnixStream},
    task::JoinHandle,
};

use crate::{bombs, forks, runtime, steps, support::random::Random, watch};

pub(crate) type Call = Pin<Box<dyn Future<Output = ()>>>;

/// A list whose elements are taken out before anything is done with them.
pub(crate) struct Bag<T>(RefCell<Vec<T>>);

impl<T> Default for Bag<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T> Bag<T> {
    /// Adds a thing; beyond a limit, another one is given back.
    pub(crate) fn put(&self, thing: T, limit: usize, random: &RefCell<Random>) -> Option<T> {
        self.0.borrow_mut().push(thing);
        if self.len() > limit {
            self.take(random)
        } else {
            None
        }
    }

    pub(crate) fn take(&self, random: &RefCell<Random>) -> Option<T> {
        let mut things = self.0.borrow_mut();
        if things.is_empty() {
            return None;
        }
        let index = random.borrow_mut().below(things.len());
        Some(things.swap_remove(index))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}

impl<T: Clone> Bag<T> {
    pub(crate) fn look(&self, random: &RefCell<Random>) -> Option<T> {
        let things = self.0.borrow();
        if things.is_empty() {
            return None;
        }
        Some(things[random.borrow_mut().below(things.len())].clone())
    }
}

pub(crate) struct World {
    pub(crate) kind: DriverKind,
    pub(crate) random: RefCell<Random>,
    pub(crate) folder: PathBuf,
    pub(crate) runtimes: Bag<Runtime>,
    pub(crate) tcp: Bag<Rc<TcpStream>>,
    pub(crate) unix: Bag<Rc<UnixStream>>,
    pub(crate) listeners: Bag<(Rc<TcpListener>, SocketAddr)>,
    pub(crate) files: Bag<Rc<File>>,
    pub(crate) detached: Bag<Detached>,
    pub(crate) received: Bag<ManagedBuf>,
    pub(crate) calls: Bag<Call>,
    pub(crate) tasks: Bag<JoinHandle<()>>,
    runtimes_made: Cell<u64>,
    steps: Cell<u64>,
    forks: Cell<u64>,
    planned: Cell<u64>,
}

impl World {
    pub(crate) fn new(kind: DriverKind, seed: u64, folder: PathBuf) -> Rc<Self> {
        Rc::new(Self {
            kind,
            random: RefCell::new(Random::new(seed)),
            folder,
            runtimes: Bag::default(),
            tcp: Bag::default(),
            unix: Bag::default(),
            listeners: Bag::default(),
            files: Bag::default(),
            detached: Bag::default(),
            received: Bag::default(),
            calls: Bag::default(),
            tasks: Bag::default(),
            runtimes_made: Cell::new(0),
            steps: Cell::new(0),
            forks: Cell::new(0),
            planned: Cell::new(0),
        })
    }

    pub(crate) fn below(&self, end: usize) -> usize {
        self.random.borrow_mut().below(end)
    }

    pub(crate) fn one_in(&self, count: usize) -> bool {
        self.random.borrow_mut().one_in(count)
    }

    pub(crate) fn count_step(&self) {
        self.steps.set(self.steps.get() + 1);
        watch::step();
    }

    pub(crate) fn counts(&self) -> String {
        format!(
            "{} runtimes, {} steps, {} forks, {} panics of a runtime",
            self.runtimes_made.get(),
            self.steps.get(),
            self.forks.get(),
            self.planned.get()
        )
    }

    pub(crate) fn make_runtime(&self) -> Runtime {
        self.runtimes_made.set(self.runtimes_made.get() + 1);
        runtime(self.kind, &mut self.random.borrow_mut())
    }

    /// Runs a runtime, a new one or one that has run before, and ends it or keeps it.
    pub(crate) fn one_runtime(self: &Rc<Self>) {
        let runtime = if self.one_in(4) {
            self.runtimes.take(&self.random)
        } else {
            None
        };
        let runtime = runtime.unwrap_or_else(|| self.make_runtime());
        let step_count = self.random.borrow_mut().len(1000);
        let ran = bombs::defused(|| {
            runtime.block_on(async {
                for _ in 0..step_count {
                    steps::step(self).await;
                }
            });
        });
        self.planned
            .set(self.planned.get() + u64::from(ran.is_none()));
        // The runtime may be used again, whatever has panicked. A waker that was left behind may
        // still do so.
        let mut checked = None;
        while checked.is_none() {
            checked = bombs::defused(|| runtime.block_on(steps::works()));
        }
        if self.one_in(3) {
            self.fork();
        }
        // Outside of a runtime every call is an error or has its result.
        for _ in 0..self.below(4) {
            self.poll_call(Waker::noop());
        }
        if self.one_in(3) {
            let other = self.runtimes.put(runtime, 3, &self.random);
            bombs::defused(|| drop(other));
        } else {
            bombs::defused(|| drop(runtime));
        }
    }

    pub(crate) fn fork(self: &Rc<Self>) {
        self.forks.set(self.forks.get() + 1);
        forks::fork(|| {
            self.drop_some();
            let runtime = self.make_runtime();
            runtime.block_on(steps::works());
            bombs::defused(|| drop(runtime));
            self.drop_some();
        });
    }

    /// Polls one of the calls, and drops it when it is ready or panics.
    pub(crate) fn poll_call(&self, waker: &Waker) {
        let Some(mut call) = self.calls.take(&self.random) else {
            return;
        };
        let mut context = Context::from_waker(waker);
        match bombs::defused(|| call.as_mut().poll(&mut context)) {
            Some(Poll::Pending) => self.keep_call(call),
            Some(Poll::Ready(())) | None => {
                bombs::defused(|| drop(call));
            }
        }
    }

    pub(crate) fn keep_call(&self, call: Call) {
        let other = self.calls.put(call, 40, &self.random);
        bombs::defused(|| drop(other));
    }

    /// Drops about half of everything, in any order.
    pub(crate) fn drop_some(&self) {
        for _ in 0..60 {
            let random = &self.random;
            bombs::defused(|| match self.below(9) {
                0 => drop(self.runtimes.take(random)),
                1 => drop(self.tcp.take(random)),
                2 => drop(self.unix.take(random)),
                3 => drop(self.listeners.take(random)),
                4 => drop(self.files.take(random)),
                5 => drop(self.detached.take(random)),
                6 => drop(self.received.take(random)),
                7 => drop(self.calls.take(random)),
                _ => drop(self.tasks.take(random)),
            });
        }
    }

    /// Drops everything.
    pub(crate) fn end(&self) {
        let is_empty = || {
            let handles = self.tcp.len() + self.unix.len() + self.listeners.len();
            let others = self.files.len() + self.detached.len() + self.received.len();
            handles + others + self.calls.len() + self.tasks.len() + self.runtimes.len() == 0
        };
        while !is_empty() {
            self.drop_some();
        }
    }
}
