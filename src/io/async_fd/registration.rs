//! The waits of one foreign descriptor.

use std::{
    cell::Cell,
    future::Future,
    io, mem,
    os::fd::{AsRawFd as _, OwnedFd, RawFd},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use crate::{
    budget::{self, PutOff},
    driver::{self, Driver, Key, WaitBegun},
    sys::{self, PollEvents, errno},
};

/// A descriptor's number, and its place in this thread's driver.
pub(super) struct Registration {
    driver: Rc<Driver>,
    raw: RawFd,
    /// Where the poll driver remembers it.
    source: Cell<u32>,
    readable: Cell<Wait>,
    writable: Cell<Wait>,
}

/// One wait, which may have begun.
#[derive(Default)]
struct Wait {
    key: Option<Key>,
    /// An epoll of the descriptor, which is waited for in its place where a poll entry tells too
    /// much or too little.
    only: Option<OwnedFd>,
    put_off: PutOff,
}

/// The direction of a poll that has no future of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Registration {
    /// The caller keeps the descriptor open for as long as it keeps this.
    pub(super) fn new(raw: RawFd) -> io::Result<Self> {
        Ok(Self {
            driver: driver::current()?,
            raw,
            source: Cell::new(driver::NO_SOURCE),
            readable: Cell::default(),
            writable: Cell::default(),
        })
    }

    pub(super) fn check_current(&self) -> io::Result<()> {
        self.driver.check_current()
    }

    /// Those of `events` that the descriptor has now.
    pub(super) fn now(&self, events: PollEvents) -> io::Result<PollEvents> {
        self.check_current()?;
        sys::poll_now(self.raw, events)
    }

    /// Waits for `events`.
    pub(super) fn ready(&self, events: PollEvents) -> impl Future<Output = io::Result<PollEvents>> {
        Waiting {
            registration: self,
            events,
            wait: Wait::default(),
        }
    }

    /// Polls the one wait of a direction, which goes on when the future that has polled is gone.
    pub(super) fn poll_direction(
        &self,
        direction: Direction,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let (cell, events) = match direction {
            Direction::Read => (&self.readable, PollEvents::READ),
            Direction::Write => (&self.writable, PollEvents::WRITE),
        };
        /// Brings the wait back, also when a waker panics as it is cloned.
        struct Kept<'a>(&'a Registration, &'a Cell<Wait>, Wait);

        impl Drop for Kept<'_> {
            fn drop(&mut self) {
                // Empty, unless the waker has polled the same direction as it was cloned.
                self.0.give_up(self.1.replace(mem::take(&mut self.2)));
            }
        }

        let mut kept = Kept(self, cell, cell.take());
        self.poll(&mut kept.2, events, context).map_ok(drop)
    }

    fn poll(
        &self,
        wait: &mut Wait,
        events: PollEvents,
        context: &Context<'_>,
    ) -> Poll<io::Result<PollEvents>> {
        self.check_current()?;
        loop {
            let Some(key) = wait.key else {
                match self.begin(wait, events, context)? {
                    WaitBegun::Waits(key) => {
                        wait.key = Some(key);
                        return Poll::Pending;
                    }
                    WaitBegun::Ready(_) if wait.put_off.waits(context) => return Poll::Pending,
                    WaitBegun::Ready(now) => {
                        budget::spend();
                        return Poll::Ready(Ok(now));
                    }
                }
            };
            let completion = ready!(self.driver.poll_op(key, context));
            wait.key = None;
            let told = match completion.result() {
                Ok(told) => PollEvents::told(told).answering(events),
                Err(error) => self.without_wait(error, events)?,
            };
            let told = match &wait.only {
                None => told,
                Some(_) => sys::poll_now(self.raw, events)?,
            };
            if !told.is_empty() {
                wait.only = None;
                budget::spend();
                return Poll::Ready(Ok(told));
            }
            if wait.only.is_none() {
                // The ring has told that the peer has finished sending, which was not asked for.
                // It would do so again at once.
                wait.only = Some(sys::watch_only(self.raw, events)?);
            }
        }
    }

    fn begin(
        &self,
        wait: &mut Wait,
        events: PollEvents,
        context: &Context<'_>,
    ) -> io::Result<WaitBegun> {
        if wait.only.is_none() && self.driver.uses_ring() && events.meets(PollEvents::PRIORITY) {
            // A poll entry is not woken by urgent data (seen on Linux 6.18).
            match sys::watch_only(self.raw, events) {
                Ok(only) => wait.only = Some(only),
                Err(error) => return self.without_wait(error, events).map(WaitBegun::Ready),
            }
        }
        match &wait.only {
            None => self
                .driver
                .begin_wait(self.raw, &self.source, events, context),
            // Only a ring has them, and remembers no sources.
            Some(only) => {
                let source = Cell::new(driver::NO_SOURCE);
                let only = only.as_raw_fd();
                self.driver
                    .begin_wait(only, &source, PollEvents::INPUT, context)
            }
        }
    }

    /// The events of a descriptor that no kernel waits for, such as that of a file.
    fn without_wait(&self, error: io::Error, events: PollEvents) -> io::Result<PollEvents> {
        match error.raw_os_error() {
            Some(errno::EINVAL | errno::EPERM) => {}
            _ => return Err(error),
        }
        let now = sys::poll_now(self.raw, events)?;
        if now.is_empty() {
            return Err(io::Error::from_raw_os_error(errno::EPERM));
        }
        Ok(now)
    }

    fn give_up(&self, wait: Wait) {
        if let Some(key) = wait.key {
            self.driver.give_up_wait(key);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        for cell in [&self.readable, &self.writable] {
            self.give_up(cell.take());
        }
        self.driver.forget_source(self.raw, &self.source);
    }
}

/// The future of a wait.
struct Waiting<'a> {
    registration: &'a Registration,
    events: PollEvents,
    wait: Wait,
}

impl Future for Waiting<'_> {
    type Output = io::Result<PollEvents>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.registration.poll(&mut this.wait, this.events, context)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.registration.give_up(mem::take(&mut self.wait));
    }
}
