//! The task that looks after a client's idle connections.
//!
//! There is one for each client that has had an idle connection in this runtime. It is woken when
//! connections become idle, by the receives of those that are, and once a second while there are
//! any, for their deadlines.
//! When the runtime ends it is dropped, and takes the idle connections along.

use std::{
    future::poll_fn,
    iter, ptr,
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use super::Pool;
use crate::{
    driver::Driver,
    http::alarm::Alarm,
    task::{self, AbortHandle},
    time, unwind,
};

/// How long an idle connection may outlive its time. One that is asked for is looked at anyway.
const SWEEP_PERIOD: Duration = Duration::from_secs(1);

struct Keeper {
    pool: Weak<Pool>,
    /// The driver of its runtime.
    home: Weak<Driver>,
    clock: Alarm,
}

/// A keeper, as its pool knows it.
pub(crate) struct Handle {
    task: AbortHandle,
    pub(crate) home: Weak<Driver>,
}

impl Handle {
    /// Whether its runtime is that of `driver`.
    pub(crate) fn is_of(&self, driver: &Rc<Driver>) -> bool {
        ptr::eq(self.home.as_ptr(), Rc::as_ptr(driver))
    }

    pub(crate) fn abort(&self) {
        self.task.abort();
    }
}

/// Starts the keeper of `pool` in the runtime of `driver`, which is current; none when that is
/// about to end.
pub(crate) fn start(pool: &Rc<Pool>, driver: &Rc<Driver>) -> Option<Handle> {
    let home = Rc::downgrade(driver);
    let mut keeper = Keeper {
        pool: Rc::downgrade(pool),
        home: Weak::clone(&home),
        clock: Alarm::default(),
    };
    let task = task::Builder::new()
        .name("http client")
        .spawn(async move { poll_fn(|context| keeper.poll(context)).await });
    (!task.is_finished()).then(|| Handle {
        task: task.abort_handle(),
        home,
    })
}

impl Keeper {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pool) = self.pool.upgrade() else {
            return Poll::Ready(());
        };
        loop {
            // A request that waits is told of a place by its waker, which is the user's. Its panic
            // must not end the keeper, and with it all idle connections.
            unwind::swallow(|| pool.watch());
            let woken = iter::from_fn(|| pool.wakes().pop());
            unwind::swallow(|| unwind::each(woken, |index| pool.look_at(index)));
            if pool.wakes().poll_ready(context).is_pending() {
                break;
            }
        }
        loop {
            ready!(self.clock.poll(context));
            if unwind::caught(|| pool.sweep()) == Some(false) {
                return Poll::Pending;
            }
            self.clock.set(time::now() + SWEEP_PERIOD);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.keeper_ended(&self.home);
        }
    }
}
