//! WebSockets of a server that stops.

use std::{
    future::pending,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use annulus::http::{
    self, Phase, Request, Response, Server, StatusCode, WebSocketEndpoint, WebSocketHandler,
    websocket::{CloseCode, Error, Message, Options, Peer, WebSocket},
};

use crate::{
    connections::info_of,
    running::{Gate, NEVER, Running, expect_fin},
    support::BOUND,
};

async fn answer(request: Request) -> Response {
    let options = Options::new().close_timeout(Duration::from_millis(50));
    let is_deaf = request.path() == "/deaf";
    request.websocket_with(&options, async move |mut socket: WebSocket| {
        socket.send("hello").await?;
        if is_deaf {
            socket.stopping().await;
        }
        while socket.recv().await?.is_some() {}
        // The close frame of the stop has been answered.
        assert!(socket.close_info().is_some_and(|info| info.is_answer()));
        assert_eq!(socket.send("late").await, Err(Error::Closed));
        Ok(())
    })
}

/// Says goodbye when the server stops.
struct Polite;

impl WebSocketHandler for Polite {
    type Data = ();

    async fn open(&self, peer: &Peer) -> http::Result<()> {
        Ok(peer.send("hello").await?)
    }

    async fn message(&self, _: &Peer, _: Message) -> http::Result<()> {
        Ok(())
    }

    fn stopping(&self, peer: &Peer) {
        peer.try_send("goodbye").unwrap();
    }
}

fn start() -> Running {
    Running::start(1, |server| server, answer)
}

fn open(server: &Running, path: &str) -> TcpStream {
    let mut stream = ask(server, path);
    read_hello(&mut stream);
    stream
}

/// Asks for a WebSocket.
fn ask(server: &Running, path: &str) -> TcpStream {
    server.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ))
}

/// Reads the head of the answer and the first message.
fn read_hello(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n\x81\x05hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
}

fn expect_close(stream: &mut TcpStream) {
    let mut frame = [0; 4 + 16];
    stream.read_exact(&mut frame).unwrap();
    assert_eq!(&frame[..2], b"\x88\x12");
    assert_eq!(frame[2..4], 1001_u16.to_be_bytes());
    assert_eq!(&frame[4..], b"the server stops");
}

#[test]
fn a_stop_closes_websockets_and_waits_for_their_answers() {
    let server = start();
    let mut streams = ["/", "/", "/deaf"].map(|path| open(&server, path));
    let info = info_of(&server.handle, &streams[0], Phase::Tunnel);
    assert_eq!(info.peer, Some(streams[0].local_addr().unwrap()));
    server.handle.stop(NEVER);
    for stream in &mut streams {
        expect_close(stream);
    }
    for stream in &mut streams {
        // A client masks its frame: here by zeros.
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
        expect_fin(stream);
    }
    drop(streams);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (3, 0), "{report}");
}

/// The access log has the errors of functions and of connections when these have ended, and a
/// record of each that the stop has cut.
#[test]
fn the_access_log_is_told_how_websockets_end() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let change = move |server: Server| {
        server.access_log(move |access| {
            let error = access
                .error
                .map(|error| (error.status().as_u16(), error.to_string()));
            let reason = access.reason.map(|reason| reason.as_str());
            let line = format!("{} {:?} {reason:?} {error:?}", access.target, access.status);
            log.lock().unwrap().push(line);
        })
    };
    let server = Running::start(1, change, async |request: Request| {
        let path = request.path().to_owned();
        request.websocket(async move |mut socket: WebSocket| {
            socket.send("hello").await?;
            let message = socket.recv().await?;
            if path == "/fails" {
                return Err(http::Error::new(StatusCode::CONFLICT, "the seat is taken"));
            }
            if message.is_some() {
                pending::<()>().await;
            }
            Ok(())
        })
    });
    let expect = |count, expected: &str| {
        let start = Instant::now();
        while lines.lock().unwrap().len() < count {
            assert!(start.elapsed() < BOUND, "{:?}", lines.lock().unwrap());
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(lines.lock().unwrap()[count - 1], expected);
    };
    let message = b"\x82\x80\0\0\0\0";
    let mut fine = open(&server, "/fine");
    fine.write_all(b"\x88\x80\0\0\0\0").unwrap();
    let mut frame = [0; 2];
    fine.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x88, 0]);
    expect_fin(&mut fine);
    expect(1, "/fine Some(101) None None");
    let mut failed = open(&server, "/fails");
    failed.write_all(message).unwrap();
    let mut frame = [0; 4];
    failed.read_exact(&mut frame).unwrap();
    assert_eq!(frame, [0x88, 2, 3, 0xf3]);
    drop(failed);
    expect(
        2,
        "/fails Some(101) None Some((409, \"the seat is taken\"))",
    );
    drop(open(&server, "/lost"));
    expect(
        3,
        "/lost Some(101) None Some((400, \"a WebSocket has failed: expected a close frame, \
         found the end of the connection\"))",
    );
    let mut cut = open(&server, "/cut");
    cut.write_all(message).unwrap();
    server.handle.stop(Duration::ZERO);
    expect(4, "/cut None Some(\"answer-cut\") None");
    let report = server.ended().unwrap();
    assert_eq!(report.cut, 1, "{report}");
}

#[test]
fn a_stop_does_not_wait_for_websockets_whose_peers_do_not_answer() {
    let server = start();
    let mut stream = open(&server, "/");
    server.handle.stop(NEVER);
    expect_close(&mut stream);
    // Its time is over, though the server's is not.
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).unwrap_or(0), 0);
    drop(stream);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (1, 0), "{report}");
}

/// So many that they are told one after the other, and one that comes meanwhile.
#[test]
fn a_stop_tells_all_websockets_and_the_handler_objects_before() {
    let options = Options::new().stop_code(CloseCode::SERVICE_RESTART);
    let handler = move || {
        let endpoint = WebSocketEndpoint::new(Polite).options(options.clone());
        async move |request: Request| request.websocket_endpoint(&endpoint, ())
    };
    let server = Running::start_by(1, |server| server, move |server| server.run_each(handler));
    let mut streams: Vec<TcpStream> = (0..50).map(|_| open(&server, "/")).collect();
    server.handle.stop(NEVER);
    for stream in &mut streams {
        let mut bytes = [0; 2 + 7 + 4 + 16];
        stream.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes[..9], b"\x81\x07goodbye");
        assert_eq!(&bytes[9..13], b"\x88\x12\x03\xf4");
        stream.write_all(b"\x88\x82\0\0\0\0\x03\xf4").unwrap();
    }
    for stream in &mut streams {
        expect_fin(stream);
    }
    drop(streams);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (50, 0), "{report}");
}

/// A connection that begins while the server stops is opened first, and told of the stop once.
#[test]
fn a_websocket_that_begins_in_a_stop_is_opened_before_it_hears_of_the_stop() {
    let gate = Gate::default();
    let handler = {
        let gate = gate.clone();
        move || {
            let (gate, endpoint) = (gate.clone(), WebSocketEndpoint::new(Polite));
            async move |request: Request| {
                gate.pass().await;
                request.websocket_endpoint(&endpoint, ())
            }
        }
    };
    let server = Running::start_by(1, |server| server, move |server| server.run_each(handler));
    let mut stream = ask(&server, "/");
    gate.wait_for(1);
    server.handle.stop(NEVER);
    server.wait_refused();
    gate.open();
    read_hello(&mut stream);
    let mut goodbye = [0; 2 + 7];
    stream.read_exact(&mut goodbye).unwrap();
    assert_eq!(&goodbye, b"\x81\x07goodbye");
    expect_close(&mut stream);
    stream.write_all(b"\x88\x82\0\0\0\0\x03\xe9").unwrap();
    expect_fin(&mut stream);
    assert_eq!(server.ended().unwrap().cut, 0);
}
