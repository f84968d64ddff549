//! The client's end of a WebSocket, which sends and expects bytes as they are on the wire.

use annulus::{
    http::{Connection, Handler, Request, Response},
    io::{ByteRead as _, ByteStream, ByteWrite as _, duplex},
    spawn, task,
};

use crate::support::pair;

pub(crate) const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x81;
pub(crate) const FIRST_TEXT: u8 = 0x01;
pub(crate) const BINARY: u8 = 0x82;
pub(crate) const CLOSE: u8 = 0x88;
pub(crate) const PING: u8 = 0x89;
pub(crate) const PONG: u8 = 0x8A;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A frame as a client sends it.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&KEY);
    let masked = payload.iter().zip(KEY.iter().cycle());
    bytes.extend(masked.map(|(byte, key)| byte ^ key));
    bytes
}

/// A close frame as a client sends it.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// The client's end of a WebSocket.
pub(crate) struct Peer {
    stream: Box<dyn ByteStream>,
    received: Vec<u8>,
    /// The pieces in which the bytes came.
    pub(crate) piece_count: usize,
    pub(crate) head: String,
    served: task::JoinHandle<()>,
}

impl Peer {
    /// Opens a connection over TCP, with further fields in the request.
    pub(crate) async fn open_with(fields: &str, handler: impl Handler) -> Self {
        let (near, far) = pair().await;
        Self::start(Box::new(near), far, fields, b"", handler).await
    }

    pub(crate) async fn open(handler: impl AsyncFn(Request) -> Response + 'static) -> Self {
        Self::open_with("", handler).await
    }

    /// Opens a connection in memory, for tests whose clock stands still.
    pub(crate) async fn in_memory(handler: impl AsyncFn(Request) -> Response + 'static) -> Self {
        let (near, far) = duplex(1 << 20);
        Self::start(Box::new(near), far, "", b"", handler).await
    }

    /// Opens a connection, and sends `ahead` together with the request.
    pub(crate) async fn start<S: ByteStream + 'static>(
        mut stream: Box<dyn ByteStream>,
        far: S,
        fields: &str,
        ahead: &[u8],
        handler: impl Handler,
    ) -> Self {
        let served = spawn(Connection::new().serve(far, handler));
        let request = [HANDSHAKE.as_bytes(), fields.as_bytes(), b"\r\n", ahead].concat();
        stream.write_all(&request).await.unwrap();
        let mut peer = Self {
            stream,
            received: Vec::new(),
            piece_count: 0,
            head: String::new(),
            served,
        };
        while !peer.received.windows(4).any(|end| end == b"\r\n\r\n") {
            assert!(peer.receive().await, "it ended inside a head");
        }
        let end = peer.received.windows(4).position(|end| end == b"\r\n\r\n");
        let head = peer.received.drain(..end.unwrap() + 4).collect();
        peer.head = String::from_utf8(head).unwrap();
        peer.piece_count = 0;
        peer
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn receive(&mut self) -> bool {
        let piece = self.stream.recv().await.unwrap();
        self.received.extend_from_slice(&piece);
        self.piece_count += 1;
        !piece.is_empty()
    }

    /// The next frame: its first byte and its payload.
    pub(crate) async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((frame, len)) = parse(&self.received) {
                self.received.drain(..len);
                return frame;
            }
            assert!(
                self.receive().await,
                "the end came before a frame: {:?}",
                self.received
            );
        }
    }

    pub(crate) async fn expect(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        let (found, bytes) = self.next().await;
        assert_eq!(
            (found, &*bytes.escape_ascii().to_string()),
            (first, &*payload.as_ref().escape_ascii().to_string())
        );
    }

    /// Expects a close frame, and returns its reason.
    pub(crate) async fn expect_close(&mut self, code: u16) -> String {
        let (first, payload) = self.next().await;
        assert_eq!(first, CLOSE, "{}", payload.escape_ascii());
        assert_eq!(
            payload[..2],
            code.to_be_bytes(),
            "{}",
            payload.escape_ascii()
        );
        String::from_utf8(payload[2..].to_vec()).unwrap()
    }

    /// Expects the end of the stream, and nothing before it.
    pub(crate) async fn expect_end(&mut self) {
        while self.receive().await {}
        assert_eq!(self.received.escape_ascii().to_string(), "");
    }

    /// Expects the end of the stream, or its reset.
    pub(crate) async fn expect_cut(&mut self) {
        while self
            .stream
            .recv()
            .await
            .is_ok_and(|piece| !piece.is_empty())
        {}
    }

    /// Drops the server's end in the middle of what it does.
    pub(crate) fn cut(&self) {
        self.served.abort();
    }

    /// Closes its side without a word.
    pub(crate) async fn leave(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

/// The first frame of `bytes`, which a server has sent, and its length.
fn parse(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert!(second < 128, "a server masks nothing");
    let (begin, len) = match second {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())),
        ),
        127 => (
            10,
            u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize,
        ),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(begin..begin + len)?;
    Some(((first, payload.to_vec()), begin + len))
}
