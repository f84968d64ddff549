//! Random operations on both ends of a connection. Every message that was taken arrives once, whole
//! and in order, wherever futures are dropped and frames are split.
//!
//! `ANNULUS_WEBSOCKET_OPERATIONS` says how many operations there are; a failure tells its seed, and
//! `ANNULUS_WEBSOCKET_SEED` begins there.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    env,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use annulus::{
    http::{
        self, Client, Connection, Request, Response,
        websocket::{
            CloseCode, Error, Message, Options, Receiver, Sender, TrySendError, WebSocket,
        },
    },
    net::TcpStream,
    spawn,
    task::{JoinHandle, yield_now},
    time,
};

use super::{
    clients::{accept, accept_key},
    compressed::{deflate, inflate},
    peer::{BINARY, CLOSE, CONTINUATION, HANDSHAKE, PING, PONG, TEXT, frame},
};
use crate::support::{listen, pair, random::Random, run_each};

/// Operations without the variable, of all tests together.
const OPERATIONS: usize = 2_000;
/// Operations of each end of a connection.
const ROUND: usize = 250;
const FOR_EVER: Duration = Duration::from_secs(1000);
const COMPRESSED: u8 = 0x40;
const FINAL: u8 = 0x80;

/// The message that a seed stands for: most are small, and half of them are text.
fn message(seed: u64) -> Message {
    let mut random = Random::new(seed);
    let len = match random.below(1000) {
        0 => 1 << 20,
        1..8 => 64 * 1024,
        8..40 => random.len(10_000),
        _ => random.len(600) - 1,
    };
    let is_text = random.one_in(2);
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        // Runs and numbers, so that most large messages are worth compressing.
        let end = len.min(bytes.len() + random.len(3000));
        let byte = random.next() as u8;
        bytes.resize(end, if is_text { b'a' + byte % 26 } else { byte });
        let end = len.min(bytes.len() + 2);
        match random.below(3) {
            0 if is_text && end == bytes.len() + 2 => bytes.extend("\u{e9}".as_bytes()),
            _ => bytes.resize(end, b' '),
        }
    }
    if is_text {
        String::from_utf8(bytes).unwrap().into()
    } else {
        bytes.into()
    }
}

/// One direction: the seeds of the messages that were taken and have not arrived.
#[derive(Clone, Default)]
struct Lane(Rc<RefCell<VecDeque<u64>>>);

impl Lane {
    fn take(&self, seed: u64) {
        self.0.borrow_mut().push_back(seed);
    }

    fn arrive(&self, found: &Message) {
        let seed = self.0.borrow_mut().pop_front();
        let expected = message(seed.expect("a message arrives that was not sent"));
        let lens = (found.as_bytes().len(), expected.as_bytes().len());
        assert!(*found == expected, "message {seed:?}: {lens:?} bytes");
    }

    fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

/// Polls a future so many times, with a turn of the others in between, and drops it.
async fn polled<T>(future: impl Future<Output = T>, count: usize) -> Option<T> {
    let mut future = pin!(future);
    for index in 0..=count {
        let once = poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(value) = once.await {
            return Some(value);
        }
        if index < count {
            yield_now().await;
        }
    }
    None
}

/// The handles of one end.
enum Handles {
    Whole(WebSocket),
    Halves(Sender, Receiver),
}

impl Handles {
    async fn send(&self, message: Message) -> Result<(), Error> {
        match self {
            Self::Whole(socket) => socket.send(message).await,
            Self::Halves(sender, _) => sender.send(message).await,
        }
    }

    fn try_send(&self, message: Message) -> Result<(), TrySendError> {
        match self {
            Self::Whole(socket) => socket.try_send(message),
            Self::Halves(sender, _) => sender.try_send(message),
        }
    }

    async fn flush(&self) -> Result<(), Error> {
        match self {
            Self::Whole(socket) => socket.flush().await,
            Self::Halves(sender, _) => sender.flush().await,
        }
    }

    async fn recv(&mut self) -> Result<Option<Message>, Error> {
        match self {
            Self::Whole(socket) => socket.recv().await,
            Self::Halves(_, receiver) => receiver.recv().await,
        }
    }

    fn start_close(&self) {
        match self {
            Self::Whole(socket) => socket.start_close(CloseCode::NORMAL, "done"),
            Self::Halves(sender, _) => sender.start_close(CloseCode::NORMAL, "done"),
        }
    }

    fn split(self) -> Self {
        match self {
            Self::Whole(socket) => {
                let (sender, receiver) = socket.split();
                Self::Halves(sender, receiver)
            }
            halves => halves,
        }
    }
}

/// One end of ours, with its random numbers and both directions.
struct Actor {
    random: Random,
    out: Lane,
    into: Lane,
}

impl Actor {
    /// Does random operations, and receives to the end.
    async fn play(mut self, socket: WebSocket) {
        let mut handles = Handles::Whole(socket);
        let mut is_open = true;
        for _ in 0..ROUND {
            if !is_open {
                break;
            }
            note_operation();
            is_open = match self.random.below(12) {
                0..4 => self.send(&handles).await,
                4 => self.try_send(&handles),
                5 => {
                    let flushed = polled(handles.flush(), self.random.below(4)).await;
                    !matches!(flushed, Some(Err(_)))
                }
                6 => {
                    let limit = Duration::from_micros(self.random.below(300) as u64);
                    let received = time::timeout(limit, handles.recv()).await;
                    self.note(received.ok())
                }
                7 => {
                    handles = handles.split();
                    true
                }
                _ => {
                    let received = polled(handles.recv(), self.random.below(4)).await;
                    self.note(received)
                }
            };
        }
        handles.start_close();
        while self.note(Some(handles.recv().await)) {}
        assert!(self.into.is_empty(), "messages did not arrive");
    }

    async fn send(&mut self, handles: &Handles) -> bool {
        let seed = self.random.next();
        match polled(handles.send(message(seed)), self.random.below(6)).await {
            Some(Ok(())) => self.out.take(seed),
            Some(Err(error)) => {
                assert_eq!(error, Error::Closed);
                return false;
            }
            // It has waited, and is not sent.
            None => {}
        }
        true
    }

    fn try_send(&mut self, handles: &Handles) -> bool {
        let seed = self.random.next();
        match handles.try_send(message(seed)) {
            Ok(()) => self.out.take(seed),
            Err(TrySendError::Full(back)) => assert!(back == message(seed)),
            Err(_) => return false,
        }
        true
    }

    /// Notes a result of `recv`. Returns whether more may come.
    fn note(&self, received: Option<Result<Option<Message>, Error>>) -> bool {
        match received {
            Some(Ok(Some(message))) => self.into.arrive(&message),
            Some(Ok(None)) => return false,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
        true
    }
}

/// Options at random, under which no time ends a connection.
fn options(random: &mut Random) -> Options {
    let interval = Duration::from_millis(random.len(50) as u64);
    Options::new()
        .compression(random.one_in(2))
        .buffered_bytes_max([0, 1000, 64 * 1024, 1 << 20][random.below(4)])
        .ping_interval(interval)
        .ping_timeout(FOR_EVER)
        .close_timeout(FOR_EVER)
}

/// A handler of which one connection is played by `actor`.
fn played_by(actor: Actor, options: Options) -> impl AsyncFn(Request) -> Response + 'static {
    let actor = Cell::new(Some(actor));
    async move |request: Request| {
        let actor = actor.take().unwrap();
        request.websocket_with(&options, async move |socket: WebSocket| {
            actor.play(socket).await;
            http::Result::Ok(())
        })
    }
}

thread_local! {
    /// Operations of this thread's test.
    static DONE: Cell<usize> = const { Cell::new(0) };
}

fn note_operation() {
    DONE.set(DONE.get() + 1);
}

/// A number that the environment may set.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Seeds, each for a connection on both drivers, until these have done the test's share of the
/// operations.
fn seeds(first: u64, share: usize) -> impl Iterator<Item = u64> {
    let operations = number("ANNULUS_WEBSOCKET_OPERATIONS");
    let operations = operations.map_or(OPERATIONS, |count| count as usize) / share;
    let first = number("ANNULUS_WEBSOCKET_SEED").unwrap_or(first);
    let seeds = (first..).take_while(move |_| DONE.get() < operations);
    seeds.inspect(|seed| println!("seed {seed}, {} operations so far", DONE.get()))
}

#[test]
fn both_ends_do_anything_and_nothing_is_lost() {
    for seed in seeds(1, 2) {
        run_each(async || {
            let mut random = Random::new(seed);
            let (up, down) = (Lane::default(), Lane::default());
            let actor = Actor {
                random: Random::new(random.next()),
                out: down.clone(),
                into: up.clone(),
            };
            let handler = played_by(actor, options(&mut random));
            let (listener, addr) = listen().await;
            let served = spawn(async move {
                let (stream, _) = listener.accept().await.unwrap();
                Connection::new().serve(stream, handler).await;
            });
            let client = Client::new();
            let request = client.websocket(format!("ws://{addr}/"));
            let request = request.options(&options(&mut random));
            let actor = Actor {
                random,
                out: up.clone(),
                into: down.clone(),
            };
            actor.play(request.connect().await.unwrap()).await;
            served.await.unwrap();
            assert!(up.is_empty() && down.is_empty());
        });
    }
}

/// The other end on the wire: it sends fragments, pings between them and compressed messages, in
/// pieces of any size.
struct Wire {
    stream: TcpStream,
    received: Vec<u8>,
    random: Random,
    out: Lane,
    into: Lane,
    /// Whether it is a client, whose frames are masked.
    is_client: bool,
    deflates: bool,
    ping_count: u32,
    pong: u32,
}

impl Wire {
    fn encode(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = frame(first, payload);
        if !self.is_client {
            let begin = bytes.len() - payload.len();
            bytes.truncate(begin - 4);
            bytes[1] &= 0x7f;
            bytes.extend_from_slice(payload);
        }
        bytes
    }

    async fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.random.len(20_000)) {
            self.stream.write_all(piece.to_vec()).await.unwrap();
            if self.random.one_in(4) {
                yield_now().await;
            }
        }
    }

    /// Sends a message in fragments.
    async fn send(&mut self) {
        let seed = self.random.next();
        let message = message(seed);
        let mut payload = message.as_bytes().to_vec();
        let mut first = if message.as_text().is_some() {
            TEXT
        } else {
            BINARY
        } & !FINAL;
        if self.deflates && self.random.one_in(2) {
            payload = deflate(&payload);
            first |= COMPRESSED;
        }
        let mut bytes = Vec::new();
        for left in (0..self.random.below(4)).rev() {
            let cut = self.random.below(payload.len() + 1);
            let rest = payload.split_off(cut);
            bytes.extend(self.encode(first, &payload));
            payload = rest;
            first = CONTINUATION;
            if left > 0 && self.random.one_in(3) {
                self.ping_count += 1;
                bytes.extend(self.encode(PING, &self.ping_count.to_be_bytes()));
            }
        }
        bytes.extend(self.encode(first | FINAL, &payload));
        self.out.take(seed);
        self.write(&bytes).await;
    }

    /// The next frame: its first byte and its payload.
    async fn next(&mut self) -> (u8, Vec<u8>) {
        loop {
            if let Some((frame, len)) = parse(&self.received) {
                self.received.drain(..len);
                return frame;
            }
            let piece = self.stream.recv().await.unwrap();
            assert!(!piece.is_empty(), "it ended without a close frame");
            self.received.extend_from_slice(&piece);
        }
    }

    /// Deals with a frame. Returns whether more may come.
    async fn note(&mut self, (first, mut payload): (u8, Vec<u8>)) -> bool {
        match first {
            PING => {
                let pong = self.encode(PONG, &payload);
                self.write(&pong).await;
            }
            // The last of several pings is answered.
            PONG => {
                let pong = u32::from_be_bytes(payload.try_into().unwrap());
                assert!(pong > self.pong && pong <= self.ping_count);
                self.pong = pong;
            }
            CLOSE => return false,
            _ => {
                if first & COMPRESSED != 0 {
                    assert!(self.deflates);
                    payload = inflate(&payload);
                }
                self.into.arrive(&match first & !COMPRESSED {
                    TEXT => String::from_utf8(payload).unwrap().into(),
                    BINARY => payload.into(),
                    first => panic!("a frame begins with {first:x}"),
                });
            }
        }
        true
    }

    /// Does random operations, and receives to the end.
    async fn play(mut self) {
        let mut is_open = true;
        for _ in 0..ROUND {
            if !is_open {
                break;
            }
            note_operation();
            if self.random.one_in(3) {
                self.send().await;
            } else {
                let count = self.random.below(3);
                if let Some(frame) = polled(self.next(), count).await {
                    is_open = self.note(frame).await;
                }
            }
        }
        let close = self.encode(CLOSE, &1000_u16.to_be_bytes());
        self.write(&close).await;
        while is_open {
            let frame = self.next().await;
            is_open = self.note(frame).await;
        }
        assert!(self.into.is_empty(), "messages did not arrive");
        assert!(self.received.is_empty(), "bytes follow a close frame");
    }
}

/// The first frame of `bytes`, unmasked, and its length.
fn parse(bytes: &[u8]) -> Option<((u8, Vec<u8>), usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (begin, len) = match second & 0x7f {
        126 => {
            let len = bytes.get(2..4)?.try_into().unwrap();
            (4, usize::from(u16::from_be_bytes(len)))
        }
        127 => {
            let len = bytes.get(2..10)?.try_into().unwrap();
            (10, u64::from_be_bytes(len) as usize)
        }
        len => (2, usize::from(len)),
    };
    let (begin, key) = if second & 0x80 == 0 {
        (begin, &[0; 4])
    } else {
        (begin + 4, bytes.get(begin..)?.first_chunk()?)
    };
    let masked = bytes
        .get(begin..begin + len)?
        .iter()
        .zip(key.iter().cycle());
    let payload = masked.map(|(byte, key)| byte ^ key).collect();
    Some(((first, payload), begin + len))
}

/// Both ends of a connection to be played.
struct Round {
    random: Random,
    up: Lane,
    down: Lane,
    options: Options,
    deflates: bool,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let deflates = random.one_in(2);
        Self {
            options: options(&mut random).compression(deflates),
            random,
            up: Lane::default(),
            down: Lane::default(),
            deflates,
        }
    }

    /// Our end, which sends into `out`.
    fn actor(&mut self, out: &Lane, into: &Lane) -> Actor {
        Actor {
            random: Random::new(self.random.next()),
            out: out.clone(),
            into: into.clone(),
        }
    }

    /// The end on the wire, after its handshake.
    fn wire(self, stream: TcpStream, received: Vec<u8>, is_client: bool) -> Wire {
        let (out, into) = if is_client {
            (self.up, self.down)
        } else {
            (self.down, self.up)
        };
        Wire {
            stream,
            received,
            random: self.random,
            out,
            into,
            is_client,
            deflates: self.deflates,
            ping_count: 0,
            pong: 0,
        }
    }
}

#[test]
fn a_server_loses_nothing_of_a_client_that_splits_everything() {
    for seed in seeds(1000, 4) {
        run_each(async || {
            let mut round = Round::new(seed);
            let (up, down) = (round.up.clone(), round.down.clone());
            let handler = played_by(round.actor(&down, &up), round.options.clone());
            let (near, far) = pair().await;
            let served = spawn(Connection::new().serve(far, handler));
            let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
            let request = [HANDSHAKE, offer].concat();
            near.write_all(request.into_bytes()).await.unwrap();
            let mut received = Vec::new();
            let end = loop {
                received.extend_from_slice(&near.recv().await.unwrap());
                if let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
                    break end + 4;
                }
            };
            let rest = received.split_off(end);
            round.wire(near, rest, true).play().await;
            served.await.unwrap();
            assert!(up.is_empty() && down.is_empty());
        });
    }
}

#[test]
fn a_client_loses_nothing_of_a_server_that_splits_everything() {
    for seed in seeds(2000, 4) {
        run_each(async || {
            let mut round = Round::new(seed);
            let (up, down) = (round.up.clone(), round.down.clone());
            let actor = round.actor(&up, &down);
            let (listener, addr) = listen().await;
            let client = Client::new();
            let request = client.websocket(format!("ws://{addr}/"));
            let request = request.options(&round.options);
            let client: JoinHandle<()> = spawn(async move {
                actor.play(request.connect().await.unwrap()).await;
            });
            let (stream, head) = accept(&listener).await;
            let agreed = if round.deflates {
                "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
            } else {
                ""
            };
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                 Connection: Upgrade\r\n{agreed}Sec-WebSocket-Accept: {}\r\n\r\n",
                accept_key(&head).await
            );
            stream.write_all(answer.into_bytes()).await.unwrap();
            round.wire(stream, Vec::new(), false).play().await;
            client.await.unwrap();
            assert!(up.is_empty() && down.is_empty());
        });
    }
}
