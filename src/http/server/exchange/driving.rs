//! Polls the futures of a handler, and watches the client meanwhile.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll},
};

use super::{Exchange, Gone, sending::FIRST_PIECE_BYTES_MAX};
use crate::{
    budget,
    http::server::{end_reason::EndReason, settings::WhenGone},
    net::GoneWait,
    task, unwind,
};

/// Times that a handler's output is sent before the other connections get their turn: a client that
/// takes everything at once would keep them from it for as long as the answer is.
const SENDS_PER_TURN: u32 = 16;

/// The bytes that the sends of one turn may have together: with so many, the other connections have
/// their turn after fewer sends.
const SENT_BYTES_PER_TURN: usize = 1024 * 1024;

/// The end of a future that was driven.
pub(crate) enum Driven<T> {
    Done(T),
    Panicked,
}

impl Exchange {
    /// Polls a future of the user's, and catches its panic. True when it has ended, by which
    /// `driven` is told.
    #[inline]
    pub(crate) fn poll_inside<F: Future + ?Sized>(
        &self,
        future: Pin<&mut F>,
        context: &mut Context<'_>,
        driven: &mut Option<Driven<F::Output>>,
    ) -> bool {
        let polled = self.line.inside(|| {
            unwind::caught(|| match future.poll(context) {
                Poll::Ready(output) => {
                    *driven = Some(Driven::Done(output));
                    true
                }
                Poll::Pending => false,
            })
        });
        polled.unwrap_or_else(|| {
            *driven = Some(Driven::Panicked);
            true
        })
    }

    /// Polls `future` to its end. The output that gathers is sent whenever the future waits; when
    /// the client is gone meanwhile, the future is left.
    pub(crate) async fn drive<F: Future + ?Sized>(
        &self,
        future: Pin<&mut F>,
    ) -> Result<Driven<F::Output>, Gone> {
        enum Event {
            Driven,
            HasOutput,
            Gone,
        }
        let mut future = future;
        let mut driven = None;
        let mut wait = GoneWait::default();
        let (mut send_count, mut sent_bytes) = (0, 0);
        let mut sent_max = FIRST_PIECE_BYTES_MAX;
        loop {
            let event = poll_fn(|context| {
                if self.poll_inside(future.as_mut(), context, &mut driven) {
                    return Poll::Ready(Event::Driven);
                }
                if !self.outgoing.is_empty() {
                    return Poll::Ready(Event::HasOutput);
                }
                self.poll_gone(context, &mut wait).map(|()| Event::Gone)
            });
            match event.await {
                Event::Driven => return Ok(driven.expect("it is there when the future has ended")),
                Event::Gone => return Err(Gone(EndReason::ClientGone)),
                Event::HasOutput => {
                    self.incoming.copy_out();
                    sent_bytes += self.outgoing.len();
                    send_count += 1;
                    self.flush().await?;
                    let is_much = sent_bytes >= sent_max || self.shared.is_turn_over();
                    if send_count >= SENDS_PER_TURN || is_much {
                        (send_count, sent_bytes) = (0, 0);
                        sent_max = SENT_BYTES_PER_TURN;
                        budget::exhaust();
                        task::yield_now().await;
                    }
                }
            }
        }
    }

    /// Waits for what a handler may be left for, and for what others tell the exchange.
    fn poll_gone(&self, context: &mut Context<'_>, wait: &mut GoneWait) -> Poll<()> {
        self.incoming.copy_out();
        self.line.register(context);
        // A task that pulls the body sees the end itself, and the socket wakes one task only.
        if self.when_gone.get() == WhenGone::GoOn || self.incoming.is_waited_for() {
            return Poll::Pending;
        }
        let half_close = self.when_gone.get() != WhenGone::Reset;
        self.line.poll_gone(context, wait, half_close)
    }
}
