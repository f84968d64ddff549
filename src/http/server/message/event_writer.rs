//! The messages of a topic, written as a body, where the connection is another server's, or has
//! other streams.
//!
//! Feature: `http2` or `tower`.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::SocketAddr,
    rc::{Rc, Weak},
};

use bytes::Bytes;

use super::{
    body_writer::BodyWriter,
    event_stream::{self, EventStart},
    response_body::MakeProducer,
};
use crate::{
    future::race,
    http::topics::{FeedHandle, Outlet, Piece, Published},
    sync::Notify,
    time,
};

/// The events that are to be written next.
#[derive(Default)]
struct Queue {
    feed: FeedHandle,
    pieces: RefCell<VecDeque<Bytes>>,
    is_slow: Cell<bool>,
    changed: Notify,
}

impl EventStart {
    /// Makes the body of an answer that another server sends.
    pub(crate) fn into_producer(self: Box<Self>) -> Box<MakeProducer> {
        Box::new(move |out| Box::pin(write(*self, out)))
    }
}

async fn write(start: EventStart, mut out: BodyWriter) -> crate::http::Result<()> {
    let queue = Rc::new(Queue::default());
    let outlet = || {
        let queue: Weak<Queue> = Rc::downgrade(&queue);
        queue as Weak<dyn Outlet>
    };
    let subscription = queue
        .feed
        .subscribe(&start.topics, &start.topic, start.after, outlet);
    drop(subscription);
    let silence = start.topics.heartbeat_interval(&start.topic);
    loop {
        let next = race(time::timeout(silence, queue.next()), async {
            out.stopping().await;
            Ok(None)
        });
        let piece = match next.await.into_inner() {
            Ok(Some(piece)) => piece,
            Ok(None) => return Ok(()),
            Err(_) => Bytes::from_static(event_stream::COMMENT),
        };
        out.write(piece).await?;
        out.flush().await?;
        queue.feed.note_room();
    }
}

impl Queue {
    /// The next piece; none when the client is too slow.
    async fn next(&self) -> Option<Bytes> {
        loop {
            if self.is_slow.get() {
                return None;
            }
            let piece = self.pieces.borrow_mut().pop_front();
            if piece.is_some() {
                return piece;
            }
            self.changed.notified().await;
        }
    }
}

impl Outlet for Queue {
    fn has_room(&self) -> bool {
        self.pieces.borrow().is_empty()
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        event_stream::event(published)
    }

    fn send(&self, piece: Piece<'_>) {
        self.pieces.borrow_mut().push_back(piece.keep_from(0));
        self.changed.notify_waiters();
    }

    fn close_slow(&self) {
        self.is_slow.set(true);
        self.changed.notify_waiters();
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}
