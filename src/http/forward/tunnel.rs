//! The bytes of a connection that has changed its protocol, both ways.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::Poll,
};

use crate::http::Upgraded;

/// Carries bytes both ways until both directions have ended, or one has failed.
pub(super) async fn join(near: Upgraded, far: Upgraded) {
    let mut there = pin!(carry(&near, &far));
    let mut back = pin!(carry(&far, &near));
    let (mut has_ended_there, mut has_ended_back) = (false, false);
    poll_fn(|context| {
        if !has_ended_there {
            match there.as_mut().poll(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                polled => has_ended_there = polled.is_ready(),
            }
        }
        if !has_ended_back {
            match back.as_mut().poll(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                polled => has_ended_back = polled.is_ready(),
            }
        }
        if has_ended_there && has_ended_back {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

async fn carry(from: &Upgraded, to: &Upgraded) -> io::Result<()> {
    loop {
        let bytes = from.recv().await?;
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(bytes).await?;
    }
}
