//! The life of a connection at a server that a handler object serves.

use std::{
    any::Any,
    io,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    WebSocketEndpoint, WebSocketHandler,
    endpoint::Served,
    turn::{Call, Turn},
};
use crate::{
    http::{
        error::Result,
        tick::Tick,
        transport::{
            Transport,
            tunnelled::{Departed, Left, Tunnelled},
        },
        websocket::{
            Error, Options, Peer,
            serving::{Agreed, Connection, connection_of_server},
        },
    },
    net::Outbox,
    unwind,
};

/// Lets the handler of an endpoint serve a connection with this data.
pub(super) fn attend<H: WebSocketHandler>(
    endpoint: &WebSocketEndpoint<H>,
    data: H::Data,
) -> impl FnOnce(Departed, Agreed, Options) -> Box<dyn Tunnelled> + 'static {
    let served = Rc::clone(&endpoint.served);
    move |departed, agreed, options| {
        let peer = Peer::new(connection_of_server(departed, agreed, options), data);
        let turn = served.take_turn();
        turn.begin(peer.clone(), Call::Open);
        Box::new(Attended {
            peer,
            served,
            turn: Some(turn),
        })
    }
}

/// A connection that a handler object serves, and its driver.
struct Attended<H: WebSocketHandler> {
    peer: Peer<H::Data>,
    served: Rc<Served<H>>,
    /// The call that is under way.
    turn: Option<Box<Turn<H>>>,
}

impl<H: WebSocketHandler> Attended<H> {
    fn connection(&self) -> &Connection {
        self.peer.connection()
    }

    /// Makes the calls for everything that has come. Ready when no further message counts.
    fn call(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            // It begins before it hears of the stop.
            let is_opening = self.turn.as_ref().is_some_and(|turn| turn.is_opening());
            if !is_opening && self.connection().take_stop() {
                self.served.handler.stopping(&self.peer);
                self.connection().start_stop();
            }
            if let Some(turn) = &mut self.turn {
                ready!(turn.poll(context))?;
                if let Some(turn) = self.turn.take() {
                    self.served.put_turn(turn);
                }
                continue;
            }
            match self.connection().next() {
                None => return Poll::Pending,
                Some(Ok(Some(message))) => {
                    let turn = self.served.take_turn();
                    turn.begin(self.peer.clone(), Call::Message(message));
                    self.turn = Some(turn);
                }
                Some(Ok(None) | Err(_)) => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<H: WebSocketHandler> Tunnelled for Attended<H> {
    fn poll(&mut self, context: &mut Context<'_>, outbox: &Rc<Outbox>) -> Poll<()> {
        let peer = self.peer.clone();
        let connection = peer.connection();
        if !connection.is_left() {
            let polled = connection.drive(context, Some(outbox), |context| self.call(context));
            let returned = ready!(polled);
            connection.close_after(returned);
            connection.note_left();
        }
        connection.poll_end(context, outbox)
    }

    fn due(&self) -> Option<Tick> {
        self.connection().due()
    }

    fn stop(&mut self) {
        self.connection().note_stop();
    }

    fn take_error(&mut self) -> Option<Box<dyn Any>> {
        self.connection().take_error()
    }

    fn look(&self, call: &mut dyn FnMut(&Transport)) {
        self.connection().with_stream(call);
    }

    fn leave(self: Box<Self>, has_returned: bool) -> Left {
        let peer = self.peer.clone();
        let is_whole = unwind::caught(|| drop(self)).is_some() && has_returned;
        Left::new(is_whole, peer.connection().end_stream())
    }
}

/// The end of a connection, also when it is cut.
impl<H: WebSocketHandler> Drop for Attended<H> {
    fn drop(&mut self) {
        let turn = self.turn.take();
        // It was cut before its first poll.
        let has_not_begun =
            (turn.as_ref()).is_some_and(|turn| turn.is_opening() && turn.is_unseen());
        let end = || {
            let connection = self.peer.connection();
            connection.mute();
            if has_not_begun {
                return;
            }
            let lost = Error::Lost(io::ErrorKind::ConnectionAborted);
            let end = connection.close_info();
            let end = end.ok_or_else(|| connection.failure().unwrap_or(lost));
            self.served.handler.close(&self.peer, end);
        };
        unwind::then(|| drop(turn), end);
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn};

    use super::*;
    use crate::{
        http::websocket::{CloseInfo, Message},
        io::duplex,
        pool::ManagedBuf,
    };

    #[derive(Default)]
    struct Counting {
        opened: Cell<u32>,
        closed: Cell<u32>,
    }

    impl WebSocketHandler for Counting {
        type Data = ();

        async fn open(&self, _peer: &Peer) -> Result<()> {
            self.opened.set(self.opened.get() + 1);
            Ok(())
        }

        async fn message(&self, _peer: &Peer, _message: Message) -> Result<()> {
            Ok(())
        }

        fn close(&self, _peer: &Peer, _end: std::result::Result<&CloseInfo, Error>) {
            self.closed.set(self.closed.get() + 1);
        }
    }

    #[test]
    fn a_connection_that_is_cut_before_its_open_has_no_close() {
        crate::run(async {
            let endpoint = WebSocketEndpoint::new(Counting::default());
            let begin = || {
                let (near, far) = duplex(1000);
                let departed = Departed {
                    transport: far.into(),
                    unread: ManagedBuf::empty(),
                    stop: None,
                };
                let begin = attend(&endpoint, ());
                (near, begin(departed, Agreed::default(), Options::new()))
            };
            let counts = || {
                let handler = endpoint.handler();
                (handler.opened.get(), handler.closed.get())
            };
            let (_near, tunnel) = begin();
            drop(tunnel.leave(true));
            assert_eq!(counts(), (0, 0));
            let (_near, mut tunnel) = begin();
            let outbox = Rc::default();
            let polled = poll_fn(|context| Poll::Ready(tunnel.poll(context, &outbox))).await;
            assert!(polled.is_pending());
            drop(tunnel.leave(true));
            assert_eq!(counts(), (1, 1));
        });
    }
}
