//! `IORING_OP_POLL_ADD`, or epoll: waits until a descriptor is ready.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use super::{AnyFd, abandon};
use crate::{
    driver::Key,
    sys::{PollEvents, errno},
};

/// Resolves when `fd` is ready for `events`.
#[derive(Debug)]
pub(crate) struct Readiness {
    fd: AnyFd,
    events: PollEvents,
    key: Option<Key>,
}

impl Readiness {
    pub(crate) fn new(fd: AnyFd, events: PollEvents) -> Self {
        Self {
            fd,
            events,
            key: None,
        }
    }
}

impl Future for Readiness {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let driver = self.fd.driver();
        driver.check_current()?;
        let key = match self.key {
            Some(key) => key,
            None => {
                let waker = context.waker().clone();
                let (raw, source) = (self.fd.raw(), self.fd.source());
                let key = driver.submit_ready(raw, source, self.events, waker)?;
                self.key = Some(key);
                key
            }
        };
        let Poll::Ready(completion) = self.fd.driver().poll_op(key, context) else {
            return Poll::Pending;
        };
        self.key = None;
        match completion.res {
            res if res == -errno::ECANCELED => Poll::Ready(completion.result().map(drop)),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            abandon::wait(self.fd.driver(), key, AnyFd::clone(&self.fd));
        }
    }
}
