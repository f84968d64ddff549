//! The waits of an exchange, with their time limits.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use super::{Exchange, deadline::Wait};
use crate::{
    http::client::{error::Error, phase::Phase},
    time,
};

/// How long a server may take to say that it wants the body, before it is sent anyway.
const CONTINUE_TIMEOUT: Duration = Duration::from_secs(1);

impl Exchange {
    /// Pending while there is time. Ready when something else is to be done now.
    pub(super) fn poll_watchdog(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let limits = &self.limits;
        let (phase, timeout) = if self.upload.is_held() {
            (Phase::FirstByte, Some(CONTINUE_TIMEOUT))
        } else if !self.upload.is_handed_over() {
            // Time that the body's source takes is no fault of the server's.
            let counts = !self.upload.waits_for_source();
            (Phase::Send, limits.send_timeout.filter(|_| counts))
        } else if !self.has_received {
            (Phase::FirstByte, limits.first_byte_timeout)
        } else {
            (Phase::Body, limits.read_timeout)
        };
        let wait = Wait { phase, timeout };
        let moved = std::mem::take(&mut self.moved);
        if let Some(passed) = self.passed.take() {
            // A piece begins a new wait, and no new request.
            if !moved || passed.is_of_total_time() {
                return Poll::Ready(self.end_wait(passed));
            }
        }
        let connection = self.connection.as_ref();
        let taken = || connection?.transport.bytes_taken();
        let polled =
            self.watchdog
                .poll(self.total, wait, moved, self.moments.began, taken, context);
        polled.map(|error| {
            self.ask_kernel(error);
            Ok(())
        })
    }

    /// Collects everything that the kernel has before a limit that has passed counts. The process
    /// may have been stopped, or a task have blocked the thread: bytes of that time came in time.
    #[cold]
    fn ask_kernel(&mut self, passed: Error) {
        if let Some(connection) = &self.connection {
            connection.transport.collect_now();
        }
        self.passed = Some(passed);
    }

    /// A limit has passed, and the kernel had nothing more.
    #[cold]
    fn end_wait(&mut self, passed: Error) -> Result<(), Error> {
        if !self.upload.is_held() || self.total.check(time::now()).is_some() {
            return Err(passed);
        }
        // The server does not know `Expect`, or takes its time.
        self.upload.go_on();
        self.moved = true;
        Ok(())
    }
}
