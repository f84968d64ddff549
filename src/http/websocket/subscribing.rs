//! A connection as a subscriber of topics.
//!
//! Messages that are published go to the kernel at once, without a turn of the connection. Bytes
//! that the kernel does not take wait among the frames that are to be written. As long as there are
//! such bytes, further messages wait with the topics, under their rules.

use std::{
    net::SocketAddr,
    rc::{Rc, Weak},
};

use bytes::Bytes;

use super::{
    CloseCode, Compression, Message, Peer, Sender, WebSocket,
    connection::{Connection, End},
};
use crate::http::{
    topics::{self, Outlet, Piece, Published, Subscription, Topics},
    transport::Transport,
    ws::{Data, Decoder, Event, FrameHeader, Limits, MessageKind, Opcode, Role},
};

/// The reason in the close frame of a subscriber that is too slow.
const SLOW_REASON: &str = "messages are taken too slowly";

impl Connection {
    /// Subscribes to a topic. `outlet` is this connection.
    fn subscribe(
        &self,
        topics: &Topics,
        name: &str,
        outlet: impl FnOnce() -> Weak<dyn Outlet>,
    ) -> Subscription {
        let subscription = self.feed().subscribe(topics, name, None, outlet);
        if self.check_open().is_err() {
            self.feed().end();
        }
        subscription
    }

    fn subscribe_alone(self: &Rc<Self>, topics: &Topics, name: &str) -> Subscription {
        self.subscribe(topics, name, || {
            let connection: Weak<Self> = Rc::downgrade(self);
            connection
        })
    }

    /// Masks the frames of a client, each with a key of its own.
    fn push_masked(&self, frames: &[u8]) {
        let mut frames = frames.to_vec();
        let mut rest = &mut *frames;
        let mut decoder = Decoder::new(Role::Client, true);
        let limits = Limits {
            message_bytes_max: u64::MAX,
            ..Limits::default()
        };
        while let Ok(step) = decoder.decode(rest, &limits) {
            if let Some(Event::Data(Data { payload, .. })) = step.event {
                self.push_payload(payload);
            }
            let consumed = step.consumed;
            rest = &mut rest[consumed..];
            if rest.is_empty() {
                return;
            }
        }
    }
}

impl Outlet for Connection {
    fn has_room(&self) -> bool {
        self.check_open().is_ok() && self.is_written()
    }

    fn form<'a>(&self, published: &'a Published) -> &'a Bytes {
        let message = published.message();
        let bytes_min = self.settings().compressed_bytes_min;
        if let Some(agreed) = self
            .deflate()
            .filter(|_| message.as_bytes().len() >= bytes_min)
        {
            let (window_bits, frame) = published.deflated.get_or_init(|| {
                let deflated = Compression::deflate(message.as_bytes(), agreed);
                let frame = deflated.map(|deflated| frame(message.kind(), true, &deflated));
                (agreed.window_bits, frame)
            });
            // One that has agreed on a smaller window gets the plain frame.
            if let Some(frame) = frame
                .as_ref()
                .filter(|_| *window_bits <= agreed.window_bits)
            {
                return frame;
            }
        }
        published
            .frame
            .get_or_init(|| frame(message.kind(), false, message.as_bytes()))
    }

    fn send(&self, piece: Piece<'_>) {
        if let End::Client(_) = self.end() {
            return self.push_masked(piece.as_slice());
        }
        let bytes = piece.as_slice();
        let sent = self.with_stream(|stream| stream.try_write(bytes));
        // An error is found by the connection itself.
        let sent = sent.and_then(Result::ok).unwrap_or(0);
        if sent < bytes.len() {
            self.push_encoded(piece.keep_from(sent));
        }
    }

    fn close_slow(&self) {
        self.start_close(CloseCode::TRY_AGAIN_LATER, SLOW_REASON);
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.with_stream(Transport::peer_addr)?
    }
}

/// A whole message in a frame of a server.
fn frame(kind: MessageKind, is_compressed: bool, payload: &[u8]) -> Bytes {
    let header = FrameHeader {
        opcode: match kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        },
        is_final: true,
        is_compressed,
        len: payload.len() as u64,
        key: None,
    };
    [header.to_bytes().as_slice(), payload].concat().into()
}

impl WebSocket {
    /// Subscribes the connection to a topic, whose messages are sent from now on, after those that
    /// the topic keeps. A connection that is subscribed already stays so.
    ///
    /// The function of the connection does not see these messages, and has no part in sending
    /// them. One that waits in [`recv`](Self::recv) needs nothing else. The subscription ends with
    /// the connection, or by [`Subscription::unsubscribe`].
    ///
    /// A connection that is closed gets no messages.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{Request, Response, topics::Topics, websocket::WebSocket};
    ///
    /// async fn chat(request: Request, topics: Topics) -> Response {
    ///     request.websocket(async move |mut socket: WebSocket| {
    ///         socket.subscribe(&topics, "lobby");
    ///         while let Some(message) = socket.recv().await? {
    ///             topics.publish("lobby", message);
    ///         }
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn subscribe(&self, topics: &Topics, topic: &str) -> Subscription {
        self.connection().subscribe_alone(topics, topic)
    }
}

impl<D: 'static> Peer<D> {
    /// Subscribes the connection to a topic: see [`WebSocket::subscribe`].
    ///
    /// The handler object does not see the messages of the topic.
    ///
    /// # Examples
    ///
    /// ```
    /// use annulus::http::{self, WebSocketHandler, topics::Topics, websocket::{Message, Peer}};
    ///
    /// struct Chat {
    ///     topics: Topics,
    /// }
    ///
    /// impl WebSocketHandler for Chat {
    ///     type Data = ();
    ///
    ///     async fn open(&self, peer: &Peer) -> http::Result<()> {
    ///         peer.subscribe(&self.topics, "lobby");
    ///         Ok(())
    ///     }
    ///
    ///     async fn message(&self, _: &Peer, message: Message) -> http::Result<()> {
    ///         self.topics.publish("lobby", message);
    ///         Ok(())
    ///     }
    /// }
    /// ```
    pub fn subscribe(&self, topics: &Topics, topic: &str) -> Subscription {
        let outlet = || self.outlet();
        self.connection().subscribe(topics, topic, outlet)
    }
}

impl Sender {
    /// Subscribes the connection to a topic: see [`WebSocket::subscribe`].
    pub fn subscribe(&self, topics: &Topics, topic: &str) -> Subscription {
        self.connection().subscribe_alone(topics, topic)
    }
}

/// A message that has come may be published as it is.
impl From<Message> for topics::Message {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::text(text),
            Message::Binary(bytes) => Self::binary(bytes),
        }
    }
}
