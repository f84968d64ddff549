//! Receiving into memory that a caller lends for one poll.

use std::{
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{Flood, Receive, Shared, State, Step, WhenIdle};
use crate::{buf::Room, op, pool::ManagedBuf};

impl Receive {
    /// As `poll_next_up_to`. A flood goes into `room` when that is large, without a copy of ours,
    /// and the result is `None` then. Nothing is in flight into `room` when this returns.
    pub(in crate::net) fn poll_next_into(
        &self,
        room: &mut Room<'_>,
        shared: &Rc<Shared>,
        context: &Context<'_>,
    ) -> Poll<io::Result<Option<ManagedBuf>>> {
        if !self.is_flooded() {
            return self.poll_next_or_idle(shared, context, WhenIdle::Ask);
        }
        let bytes_max = room.remaining();
        // A small room is filled faster by copying from a large piece.
        if !self.wants_bulk(bytes_max) {
            let received = self.poll_next_up_to(Flood::ANYTHING, shared, context);
            return received.map_ok(Some);
        }
        if let State::Multi(key) = self.state.get() {
            // Bytes that it still brings are taken first; its last completion leaves us idle.
            shared.driver().cancel_multi(key);
        }
        if self.has_had_its_turn(context) {
            return Poll::Pending;
        }
        if let Some(bytes) = ready!(self.poll_next_or_idle(shared, context, WhenIdle::Stop)?) {
            return Poll::Ready(Ok(Some(bytes)));
        }
        if self.may_have_more(shared) {
            match self.receive_by(shared, bytes_max, |raw| op::recv_into(raw, room)) {
                Ok(count) => {
                    self.count_receive(count, bytes_max);
                    return Poll::Ready(Ok(None));
                }
                Err(Step::End) => return Poll::Ready(self.tell_end().map(Some)),
                Err(_) => {}
            }
        }
        self.start_ready(shared, context)?;
        Poll::Pending
    }
}
