//! HTTP/2 frame by frame, for a client that may break every rule.

use annulus::{
    DriverKind, Runtime,
    http::{Connection, Handler},
    io::{ByteRead as _, ByteStream, ByteWrite as _, duplex},
    spawn, time,
};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// Error codes (section 7).
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or a GOAWAY.
    pub(crate) fn code(&self) -> Option<u32> {
        let at = match self.kind {
            RST_STREAM => 0,
            GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().unwrap()))
    }

    pub(crate) fn is_end(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }
}

/// A frame to send.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

pub(crate) fn headers(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(fields))
}

/// A whole GET, or the head of a POST.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    headers(END_STREAM | END_HEADERS, stream, &request("GET", path))
}

pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    headers(END_HEADERS, stream, &request("POST", path))
}

pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
    ]
}

pub(crate) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (id, value) in pairs {
        payload.extend_from_slice(&id.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Fields as literals without indexing and without Huffman's code (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        for text in [name, value] {
            length(&mut out, text.len());
            out.extend_from_slice(text.as_bytes());
        }
    }
    out
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(out: &mut Vec<u8>, len: usize) {
    if len < 127 {
        return out.push(len as u8);
    }
    out.push(127);
    let mut rest = len - 127;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

/// Runs a test with a stopped clock, on a runtime of each driver.
pub(crate) fn stopped_each(test: impl AsyncFn()) {
    for kind in [DriverKind::Auto, DriverKind::Poll] {
        let runtime = Runtime::builder().driver(kind).build().unwrap();
        runtime.block_on(async {
            time::pause();
            test().await;
        });
    }
}

/// A client.
pub(crate) struct Peer {
    near: Box<dyn ByteStream>,
    unread: Vec<u8>,
}

impl Peer {
    /// A client on a connection that others serve.
    pub(crate) fn on(near: impl ByteStream + 'static) -> Self {
        Self {
            near: Box::new(near),
            unread: Vec::new(),
        }
    }

    /// A client, in memory, that has sent nothing.
    pub(crate) fn silent(connection: Connection, handler: impl Handler) -> Self {
        let (near, far) = duplex(1 << 20);
        drop(spawn(connection.serve(far, handler)));
        Self::on(near)
    }

    /// A client that has sent the preface and `settings`, and had the server's.
    pub(crate) async fn greeted(
        connection: Connection,
        settings: &[(u16, u32)],
        handler: impl Handler,
    ) -> Self {
        let mut peer = Self::silent(connection, handler);
        peer.greet(settings).await;
        peer
    }

    /// Sends the preface and `settings`, and takes the server's.
    pub(crate) async fn greet(&mut self, settings: &[(u16, u32)]) {
        let peer = self;
        peer.send(PREFACE).await;
        peer.send(self::settings(settings)).await;
        let first = peer.frame().await.expect("a server begins with settings");
        assert_eq!((first.kind, first.flags), (SETTINGS, 0), "{first:?}");
        peer.send(frame(SETTINGS, ACK, 0, b"")).await;
        let ack = peer.until(|frame| frame.kind == SETTINGS).await;
        assert_eq!(ack.last().map(|frame| frame.flags), Some(ACK));
    }

    /// As [`greeted`](Self::greeted), with the default settings on both sides.
    pub(crate) async fn new(handler: impl Handler) -> Self {
        Self::greeted(Connection::new(), &[], handler).await
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has closed does not read it.
        let _ = self.near.write_all(bytes.as_ref()).await;
    }

    /// Whether the server has ended the stream as its protocol wants it, and not just gone.
    pub(crate) async fn has_finished(&mut self) -> bool {
        let end = self.near.recv().await;
        end.is_ok_and(|end| end.is_empty())
    }

    /// The next frame; none at the end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(header) = self.unread.first_chunk::<9>() {
                let len = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
                let (kind, flags) = (header[3], header[4]);
                let stream = u32::from_be_bytes(header[5..].try_into().unwrap());
                if self.unread.len() >= 9 + len {
                    let payload = self.unread[9..9 + len].to_vec();
                    self.unread.drain(..9 + len);
                    return Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    });
                }
            }
            let more = self.near.recv().await.ok();
            let more = more.filter(|more| !more.is_empty())?;
            self.unread.extend_from_slice(&more);
        }
    }

    /// The frames up to the first that is wanted, or to the end.
    pub(crate) async fn until(&mut self, is_wanted: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            let is_last = is_wanted(&frame);
            frames.push(frame);
            if is_last {
                break;
            }
        }
        frames
    }

    /// The frames up to the answer of a ping, or to the end.
    pub(crate) async fn ping(&mut self) -> Vec<Frame> {
        self.send(frame(PING, 0, 0, b"a probe!")).await;
        self.until(|frame| frame.kind == PING && frame.payload == b"a probe!")
            .await
    }

    /// The body of the answer on a stream, and whether it came to an end.
    pub(crate) async fn body(&mut self, stream: u32) -> (Vec<u8>, bool) {
        let frames = self
            .until(|frame| {
                frame.stream == stream && (frame.is_end() || frame.kind == RST_STREAM)
                    || frame.kind == GOAWAY && frame.code() != Some(NO_ERROR)
            })
            .await;
        let is_whole = frames.last().is_some_and(Frame::is_end);
        let data = frames
            .into_iter()
            .filter(|frame| frame.kind == DATA && frame.stream == stream)
            .flat_map(|frame| frame.payload)
            .collect();
        (data, is_whole)
    }
}
