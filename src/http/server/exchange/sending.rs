//! A write that a client has to take in time.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use super::{Exchange, Gone};
use crate::{http::h1::RejectReason, time};

/// A write whose client is cut when it takes nothing for too long.
///
/// Most writes are done within a turn or two, and reading a clock or arming a timer for each would
/// cost more than the rest of them. A worker therefore looks once a second at those that are under
/// way, and only one that it finds twice counts its time.
pub(crate) struct UntilStalled<'a, W> {
    exchange: &'a Exchange,
    write: W,
    /// What the client had taken when the time began, and when it ends.
    stall: Option<(Option<u64>, Instant)>,
}

impl<'a, W> UntilStalled<'a, W> {
    pub(crate) fn new(exchange: &'a Exchange, write: W) -> Self {
        Self {
            exchange,
            write,
            stall: None,
        }
    }

    /// The time is over and the client has taken nothing.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let exchange = self.exchange;
        loop {
            let (taken, until) = match self.stall {
                Some(stall) => stall,
                None => {
                    let limit = exchange.shared.settings.timeouts.write;
                    // The deadline does not fit an `Instant`: there is no limit.
                    let Some(until) = time::now().checked_add(limit) else {
                        return Poll::Pending;
                    };
                    *self.stall.insert((exchange.bytes_taken(), until))
                }
            };
            if exchange.timer.poll(until, context).is_pending() {
                return Poll::Pending;
            }
            if taken.is_none() || exchange.bytes_taken() == taken {
                return Poll::Ready(());
            }
            self.stall = None;
        }
    }
}

impl<T, W: Future<Output = io::Result<T>> + Unpin> Future for UntilStalled<'_, W> {
    type Output = Result<T, Gone>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let exchange = this.exchange;
        if let Poll::Ready(result) = Pin::new(&mut this.write).poll(context) {
            exchange.writes_since.set(None);
            exchange.is_slow.set(false);
            return Poll::Ready(result.map_err(Gone::from));
        }
        if let (Some(now), false) = (exchange.shared.note_write(), exchange.is_slow.get()) {
            if exchange.writes_since.get().is_none() {
                exchange.writes_since.set(Some(now));
            }
            return Poll::Pending;
        }
        if this.poll_stall(context).is_pending() {
            return Poll::Pending;
        }
        // The write is dropped before the connection, and what it has begun would be finished first.
        let _ = exchange.with_transport(|transport| {
            transport.cut();
            Ok(())
        });
        exchange.shared.count_refusal(RejectReason::WriteTimeout);
        Poll::Ready(Err(Gone(RejectReason::WriteTimeout)))
    }
}
