//! WebSockets that a handler object serves.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};

use annulus::{
    http::{
        self, Request, Response, StatusCode, WebSocketEndpoint, WebSocketHandler,
        websocket::{
            CloseCode, CloseInfo, Error, FrameError, Message, Options, Peer as Socket, TrySendError,
        },
    },
    sync::Notify,
    task, time,
};

use super::peer::{BINARY, CONTINUATION, FIRST_TEXT, PING, PONG, Peer, TEXT, close, frame};
use crate::support::run_each;

/// Does what the messages say, and notes what happens.
#[derive(Default)]
struct Script {
    events: RefCell<Vec<String>>,
    changed: Notify,
    gate: Notify,
    /// Panics in this function.
    panics_in: Cell<&'static str>,
    fails_in: Cell<&'static str>,
    last: RefCell<Option<Socket<u32>>>,
    end: RefCell<Option<Result<CloseInfo, Error>>>,
}

impl Script {
    fn note(&self, event: impl Into<String>) {
        self.events.borrow_mut().push(event.into());
        self.changed.notify_waiters();
    }

    fn begin(&self, function: &'static str) -> http::Result<()> {
        self.note(function);
        assert!(self.panics_in.get() != function, "on purpose");
        match self.fails_in.get() == function {
            true => Err(StatusCode::IM_A_TEAPOT.into()),
            false => Ok(()),
        }
    }

    /// Waits until so many events were noted.
    async fn events(&self, count: usize) -> Vec<String> {
        while self.events.borrow().len() < count {
            self.changed.notified().await;
        }
        assert_eq!(self.events.borrow().len(), count);
        self.events.borrow().clone()
    }
}

/// Its future was dropped before its end.
struct Dropped<'a>(&'a Script);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

impl WebSocketHandler for Script {
    type Data = u32;

    async fn open(&self, socket: &Socket<u32>) -> http::Result<()> {
        self.begin("open")?;
        *self.last.borrow_mut() = Some(socket.clone());
        Ok(())
    }

    async fn message(&self, socket: &Socket<u32>, message: Message) -> http::Result<()> {
        self.begin("message")?;
        if message.as_text() == Some("wait") {
            let dropped = Dropped(self);
            self.gate.notified().await;
            std::mem::forget(dropped);
            self.note("goes on");
        }
        socket.send(message).await?;
        Ok(())
    }

    fn close(&self, socket: &Socket<u32>, end: Result<&CloseInfo, Error>) {
        assert!(matches!(
            socket.try_send("late"),
            Err(TrySendError::Closed(_))
        ));
        *self.end.borrow_mut() = Some(end.cloned());
        self.begin("close").unwrap();
    }
}

type Answers = Rc<dyn Fn(Request) -> Response>;

/// An endpoint, and the handler of HTTP that answers by it.
fn endpoint(
    options: Options,
) -> (
    WebSocketEndpoint<Script>,
    impl AsyncFn(Request) -> Response + 'static,
) {
    let endpoint = WebSocketEndpoint::new(Script::default()).options(options);
    let answers = endpoint.clone();
    (endpoint, async move |request: Request| {
        request.websocket_endpoint(&answers, 7)
    })
}

#[test]
fn messages_and_fragments_come_back() {
    run_each(async || {
        let (endpoint, handler) = endpoint(Options::new());
        let mut peer = Peer::open(handler).await;
        for len in [0, 1, 125, 126, 4096, 4097, 65_536, 300_000] {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            peer.send(frame(BINARY, &bytes)).await;
            assert!(peer.next().await == (BINARY, bytes), "{len}");
        }
        let fragments = [
            frame(FIRST_TEXT, "sp"),
            frame(PING, "there?"),
            frame(CONTINUATION, "l"),
            frame(0x80, "it"),
        ];
        for byte in fragments.concat() {
            peer.send([byte]).await;
        }
        peer.expect(PONG, "there?").await;
        peer.expect(TEXT, "split").await;
        let socket = endpoint.handler().last.take().unwrap();
        assert_eq!((*socket.data(), socket.buffered()), (7, 0));
        peer.send(close(1000, "done")).await;
        peer.expect_close(1000).await;
        peer.expect_end().await;
        let end = endpoint.handler().end.take().unwrap().unwrap();
        assert_eq!(
            (end.code(), end.reason()),
            (Some(CloseCode::NORMAL), "done")
        );
        assert!(!end.is_answer());
        assert!(socket.peer_addr().is_none(), "it holds no socket");
    });
}

#[test]
fn the_answers_to_the_messages_of_one_receive_leave_in_one_send() {
    annulus::run(async {
        let (_, handler) = endpoint(Options::new());
        let mut peer = Peer::in_memory(handler).await;
        let bytes: Vec<u8> = (0..20_u8).flat_map(|byte| frame(BINARY, [byte])).collect();
        peer.send(&bytes).await;
        for byte in 0..20 {
            peer.expect(BINARY, [byte]).await;
        }
        assert_eq!(peer.piece_count, 1);
    });
}

#[test]
fn a_message_waits_for_the_one_before_and_other_connections_do_not() {
    run_each(async || {
        let (endpoint, _) = endpoint(Options::new());
        let script = endpoint.handler();
        let handler: Answers = Rc::new({
            let endpoint = endpoint.clone();
            move |request| request.websocket_endpoint(&endpoint, 7)
        });
        let serve = |handler: Answers| Peer::open(async move |request| handler(request));
        let mut slow = serve(Rc::clone(&handler)).await;
        slow.send([frame(TEXT, "wait"), frame(TEXT, "next"), frame(PING, "")].concat())
            .await;
        assert_eq!(script.events(2).await, ["open", "message"]);
        let mut other = serve(handler).await;
        other.send(frame(TEXT, "beside")).await;
        other.expect(TEXT, "beside").await;
        assert_eq!(script.events(4).await[2..], ["open", "message"]);
        script.gate.notify_one();
        slow.expect(TEXT, "wait").await;
        slow.expect(TEXT, "next").await;
        slow.expect(PONG, "").await;
        assert_eq!(script.events(6).await[4..], ["goes on", "message"]);
    });
}

#[test]
fn a_connection_that_is_kept_is_used_from_elsewhere() {
    run_each(async || {
        let (endpoint, handler) = endpoint(Options::new());
        let script = endpoint.handler();
        let mut peer = Peer::open(handler).await;
        script.events(1).await;
        let socket = script.last.take().unwrap();
        assert_eq!(socket, socket.clone());
        // The connection is at rest, and each of these wakes it.
        for text in ["one", "two"] {
            socket.send(text).await.unwrap();
            peer.expect(TEXT, text).await;
            socket.flush().await.unwrap();
        }
        socket.start_close(CloseCode::POLICY_VIOLATION, "no");
        assert_eq!(socket.send("late").await, Err(Error::Closed));
        assert_eq!(peer.expect_close(1008).await, "no");
        peer.send([frame(TEXT, "crossed"), close(1008, "ok")].concat())
            .await;
        peer.expect_end().await;
        assert_eq!(script.events(3).await[1..], ["message", "close"]);
        assert!(socket.close_info().is_some_and(CloseInfo::is_answer));
        // The send of the message that has crossed has failed, too late to close with 1011.
        assert!(script.end.take().unwrap().unwrap().is_answer());
    });
}

#[test]
fn a_function_that_fails_closes_with_1011() {
    run_each(async || {
        for function in ["open", "message"] {
            let (endpoint, handler) = endpoint(Options::new());
            let script = endpoint.handler();
            script.fails_in.set(function);
            let mut peer = Peer::open(handler).await;
            peer.send([frame(TEXT, "first"), frame(TEXT, "not looked at")].concat())
                .await;
            peer.expect_close(1011).await;
            peer.send(close(1011, "")).await;
            peer.expect_end().await;
            let events = script.events.take();
            assert_eq!(events[events.len() - 2..], [function, "close"]);
            assert!(script.end.take().unwrap().unwrap().is_answer());
        }
    });
}

#[test]
fn a_function_that_panics_cuts_its_connection_and_no_other() {
    run_each(async || {
        for function in ["open", "message", "close"] {
            let (endpoint, handler) = endpoint(Options::new());
            let script = endpoint.handler();
            script.panics_in.set(function);
            let mut peer = Peer::open(handler).await;
            if function != "open" {
                peer.send([frame(TEXT, "hello"), close(1000, "")].concat())
                    .await;
            }
            while script.end.borrow().is_none() {
                script.changed.notified().await;
            }
            let end = script.end.take().unwrap();
            let events = script.events.take();
            if function == "close" {
                assert_eq!(events, ["open", "message", "close"]);
                assert_eq!(end.unwrap().code(), Some(CloseCode::NORMAL));
            } else {
                assert_eq!(events[events.len() - 2..], [function, "close"]);
                assert_eq!(end, Err(Error::Lost(io::ErrorKind::ConnectionAborted)));
            }
            // The endpoint serves on.
            script.panics_in.set("");
            let endpoint = endpoint.clone();
            let handler = async move |request: Request| request.websocket_endpoint(&endpoint, 8);
            let mut peer = Peer::open(handler).await;
            peer.send(frame(TEXT, "again")).await;
            peer.expect(TEXT, "again").await;
        }
    });
}

#[test]
fn a_connection_that_is_cut_drops_the_call_under_way_and_is_closed() {
    run_each(async || {
        let (endpoint, handler) = endpoint(Options::new());
        let script = endpoint.handler();
        let mut peer = Peer::open(handler).await;
        peer.send(frame(TEXT, "wait")).await;
        script.events(2).await;
        peer.cut();
        assert_eq!(script.events(4).await[2..], ["dropped", "close"]);
        let end = script.end.take().unwrap();
        assert_eq!(end, Err(Error::Lost(io::ErrorKind::ConnectionAborted)));
        let socket = script.last.take().unwrap();
        assert_eq!(socket.send("late").await, Err(Error::Closed));
    });
}

#[test]
fn the_end_of_a_connection_is_told() {
    run_each(async || {
        let protocol = Error::Protocol(FrameError::TextNotUtf8);
        let lost = Error::Lost(io::ErrorKind::UnexpectedEof);
        let cases = [
            (close(4999, "bye"), Ok(CloseCode::new(4999)), Some(4999)),
            (frame(0x88, ""), Ok(None), None),
            (frame(TEXT, b"caf\xff"), Err(protocol), Some(1007)),
            (vec![], Err(lost), None),
        ];
        for (bytes, expected, code) in cases {
            let (endpoint, handler) = endpoint(Options::new());
            let script = endpoint.handler();
            let mut peer = Peer::open(handler).await;
            peer.send([frame(TEXT, "last"), bytes].concat()).await;
            peer.expect(TEXT, "last").await;
            match (code, expected) {
                (Some(code), _) => drop(peer.expect_close(code).await),
                (None, Ok(_)) => peer.expect(0x88, "").await,
                (None, Err(_)) => peer.leave().await,
            }
            assert_eq!(script.events(3).await, ["open", "message", "close"]);
            let end = script.end.take().unwrap();
            assert_eq!(end.map(|info| info.code()), expected);
        }
    });
}

#[test]
fn a_silent_peer_is_sent_a_ping_and_lost_after_it() {
    annulus::run(async {
        time::pause();
        let options = Options::new()
            .ping_interval(Duration::from_secs(20))
            .ping_timeout(Duration::from_secs(4));
        let (endpoint, handler) = endpoint(options);
        let begin = time::now();
        let mut peer = Peer::in_memory(handler).await;
        peer.expect(PING, "").await;
        peer.send(frame(PONG, "")).await;
        peer.expect(PING, "").await;
        peer.expect_end().await;
        assert_eq!((time::now() - begin).as_secs_f64().round(), 44.0);
        assert_eq!(endpoint.handler().events(2).await, ["open", "close"]);
        let end = endpoint.handler().end.take().unwrap();
        assert_eq!(end, Err(Error::PingTimeout));
    });
}

/// The peer reads nothing, so that a message cannot be answered: no further one is received.
#[test]
fn a_peer_that_does_not_read_is_not_read_on() {
    annulus::run(async {
        let (endpoint, handler) = endpoint(Options::new().buffered_bytes_max(1));
        let script = endpoint.handler();
        let mut peer = Peer::in_memory(handler).await;
        // More than the stream holds.
        let large = frame(BINARY, vec![1; 800_000]);
        for _ in 0..2 {
            peer.send(&large).await;
        }
        peer.send([frame(TEXT, "third"), frame(TEXT, "fourth")].concat())
            .await;
        script.events(4).await;
        for _ in 0..100 {
            task::yield_now().await;
        }
        assert_eq!(script.events.borrow().len(), 4, "the fourth has to wait");
        for _ in 0..2 {
            assert_eq!(peer.next().await.1.len(), 800_000);
        }
        peer.expect(TEXT, "third").await;
        peer.expect(TEXT, "fourth").await;
    });
}
