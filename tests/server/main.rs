//! The HTTP server as its users see it, by raw sockets.
//!
//! The suite `server_rules` has the rules of HTTP/1.1, `server_connection` what happens on one
//! connection, `server_life` what happens to a whole server.
#![cfg(feature = "http")]

#[path = "../support/mod.rs"]
mod support;

use std::{
    cell::Cell,
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    rc::Rc,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use annulus::{
    Cores,
    http::{self, Request, Response, Server, StatusCode, Timeouts, Upgraded},
    task::yield_now,
};

use support::{
    BOUND,
    http::{connect, read_answer},
    server::{serve, serve_by},
};

fn serve_with<H: http::Handler + Clone + Send>(
    change: impl FnOnce(Server) -> Server + Send + 'static,
    handler: H,
) -> SocketAddr {
    serve_by(|server| change(server).run(handler))
}

/// Sends `bytes`, ends the sending direction, and reads to the end.
fn talk(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = connect(addr);
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read_to_end(&mut stream)
}

fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is not this test's business.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

async fn echo(mut request: Request) -> http::Result<Response> {
    let target = request.target().to_owned();
    let body = request.take_body().bytes().await?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Ok(Response::text(format!(
        "{} {target} [{body}]",
        request.method()
    )))
}

#[test]
fn answers_come_in_the_order_of_their_requests() {
    let addr = serve(echo);
    let mut requests = String::new();
    for number in 0..100 {
        requests.push_str(&format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    let answer = talk(addr, requests.as_bytes());
    let mut rest = answer.as_str();
    for number in 0..100 {
        let expected = format!("GET /{number} []");
        let index = rest
            .find(&expected)
            .unwrap_or_else(|| panic!("no {expected}"));
        rest = &rest[index + expected.len()..];
    }
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 100);
    assert_eq!(answer.matches("Date: ").count(), 100);
}

#[test]
fn a_request_may_come_in_any_pieces() {
    let addr = serve(echo);
    let request = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    for cut in 1..request.len() {
        let mut stream = connect(addr);
        stream.set_nodelay(true).unwrap();
        stream.write_all(&request[..cut]).unwrap();
        thread::yield_now();
        stream.write_all(&request[cut..]).unwrap();
        assert!(
            read_answer(&mut stream).ends_with("POST /x [hello]"),
            "cut at {cut}"
        );
    }
}

#[test]
fn malformed_requests_are_refused_and_the_connection_ends() {
    let addr = serve(echo);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\n\n", 400),
    ] {
        let answer = talk(
            addr,
            format!("{request}GET /next HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(),
        );
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{request:?}: {answer}"
        );
        assert!(
            answer.contains("Connection: close\r\n"),
            "{request:?}: {answer}"
        );
        assert_eq!(
            answer.matches("HTTP/1.1 ").count(),
            1,
            "{request:?}: {answer}"
        );
    }
    let long = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    assert!(talk(addr, long.as_bytes()).starts_with("HTTP/1.1 431 "));
}

#[test]
fn a_body_over_the_limit_is_refused_and_the_client_sees_it() {
    let addr = serve(echo);
    let mut stream = connect(addr);
    let length = 3 << 20;
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    // The server answers before it has all of it; writing on may fail once it has closed.
    let _ = stream.write_all(&vec![b'x'; 100_000]);
    assert!(read_to_end(&mut stream).starts_with("HTTP/1.1 413 "));
}

#[test]
fn what_a_handler_leaves_of_a_body_is_skipped() {
    let addr = serve(async |_request: Request| "early");
    let mut stream = connect(addr);
    for _ in 0..3 {
        write!(
            stream,
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n"
        )
        .unwrap();
        // The answer does not wait for the body.
        assert!(read_answer(&mut stream).ends_with("early"));
        stream.write_all(&[b'x'; 50_000]).unwrap();
    }
}

#[test]
fn a_client_is_told_to_send_when_the_body_is_pulled() {
    let addr = serve(echo);
    let mut stream = connect(addr);
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 100 "));
    stream.write_all(b"ok").unwrap();
    assert!(read_answer(&mut stream).ends_with("[ok]"));
}

#[test]
fn a_chunked_body_is_decoded() {
    let addr = serve(echo);
    let request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n\
                   GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = talk(addr, request.as_bytes());
    assert!(
        answer.contains("POST / [abcde]") && answer.ends_with("GET /next []"),
        "{answer}"
    );
}

#[test]
fn a_panic_in_a_handler_costs_its_connection_only() {
    let addr = serve(async |request: Request| -> Response {
        assert_ne!(request.path(), "/boom", "this panic is the test's");
        Response::text("well")
    });
    let mut other = connect(addr);
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert!(read_answer(&mut other).ends_with("well"));
    assert!(talk(addr, b"GET /boom HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 500 "));
    other
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert!(read_answer(&mut other).ends_with("well"));
}

#[test]
fn a_body_that_outlives_its_request_never_gets_another_ones_bytes() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Arc::new(Mutex::new(tell));
    let addr = serve(async move |mut request: Request| {
        if request.path() == "/attack" {
            let mut body = request.take_body();
            let tell = tell.clone();
            annulus::spawn(async move {
                let mut got = Vec::new();
                let result = loop {
                    match body.next().await {
                        Ok(Some(piece)) => got.extend_from_slice(&piece),
                        Ok(None) => break Ok(()),
                        Err(error) => break Err(error.to_string()),
                    }
                };
                tell.lock().unwrap().send((got, result)).unwrap();
            });
            annulus::time::sleep(Duration::from_millis(1)).await;
        }
        Response::text("done")
    });
    for _ in 0..20 {
        let mut attacker = connect(addr);
        let head = "GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /attack HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        attacker.write_all(head.as_bytes()).unwrap();
        drop(attacker);
        let mut victim = connect(addr);
        victim
            .write_all(b"GET /victim HTTP/1.1\r\nHost: a\r\nCookie: ")
            .unwrap();
        thread::yield_now();
        victim.write_all(b"secret\r\n\r\n").unwrap();
        assert!(read_answer(&mut victim).ends_with("done"));
        let (got, result) = told.recv_timeout(BOUND).unwrap();
        assert!(got.is_empty() && result.is_err(), "{got:?} {result:?}");
    }
}

#[test]
fn a_body_read_elsewhere_is_told_when_the_answer_was_written() {
    let (tell, told) = mpsc::channel();
    let tell = std::sync::Arc::new(Mutex::new(tell));
    let addr = serve(async move |mut request: Request| {
        let mut body = request.take_body();
        assert!(
            request.take_body().next().await.unwrap().is_none(),
            "it is taken once"
        );
        let tell = tell.clone();
        annulus::spawn(async move {
            let result = body.next().await.map(|piece| piece.is_some());
            tell.lock()
                .unwrap()
                .send(result.map_err(|error| error.to_string()))
                .unwrap();
        });
        yield_now().await;
        "answered"
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        .unwrap();
    assert!(read_answer(&mut stream).ends_with("answered"));
    let result = told.recv_timeout(BOUND).unwrap();
    assert!(result.unwrap_err().contains("answered"));
}

#[test]
fn a_handler_that_yields_lets_the_others_run() {
    let addr = serve(async |_request: Request| {
        let flag = Rc::new(Cell::new(false));
        let set = Rc::clone(&flag);
        annulus::spawn(async move { set.set(true) });
        while !flag.get() {
            yield_now().await;
        }
        "run"
    });
    assert!(talk(addr, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("run"));
}

#[test]
fn a_handler_may_wait_for_another_thread() {
    let addr = serve(async |_request: Request| {
        annulus::blocking::run(|| thread::current().name().map(str::to_owned))
            .await
            .unwrap()
    });
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    let answer = talk(addr, requests.as_bytes());
    assert_eq!(answer.matches("annulus-blocking").count(), 20, "{answer}");
}

#[test]
fn an_answer_that_ends_nothing_becomes_an_error() {
    let addr = serve(async |request: Request| match request.path() {
        "/early" => StatusCode::EARLY_HINTS,
        _ => StatusCode::OK,
    });
    assert!(talk(addr, b"GET /early HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 500 "));
    let tunnel = talk(
        addr,
        b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert!(tunnel.starts_with("HTTP/1.1 501 "), "{tunnel}");
    assert_eq!(tunnel.matches("HTTP/1.1 ").count(), 1, "{tunnel}");
}

#[test]
fn an_idle_connection_is_closed_in_the_end() {
    let addr = serve_with(
        |server| {
            server.timeouts(Timeouts {
                idle: Duration::from_millis(10),
                ..Timeouts::default()
            })
        },
        async |_request: Request| "here",
    );
    let mut stream = connect(addr);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    assert!(read_answer(&mut stream).ends_with("here"));
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_idle_timeout_may_be_for_ever() {
    let addr = serve_with(
        |server| {
            server.timeouts(Timeouts {
                idle: Duration::MAX,
                ..Timeouts::default()
            })
        },
        async |_request: Request| "here",
    );
    for _ in 0..3 {
        assert!(talk(addr, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("here"));
    }
}

#[test]
fn large_answers_reach_a_slow_reader_whole() {
    let addr = serve(async |_request: Request| "x".repeat(5 << 20));
    let mut stream = connect(addr);
    let requests = "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
    stream.write_all(requests.as_bytes()).unwrap();
    for _ in 0..3 {
        assert!(read_answer(&mut stream).len() > 5 << 20);
    }
}

#[test]
fn heads_that_end_inside_packets_do_not_pile_up() {
    let addr = serve(async |_request: Request| StatusCode::NO_CONTENT);
    let mut stream = connect(addr);
    let mut reader = stream.try_clone().unwrap();
    let reading = thread::spawn(move || {
        let mut total = 0;
        let mut bytes = vec![0; 65536];
        while let Ok(count) = reader.read(&mut bytes) {
            if count == 0 {
                break;
            }
            total += bytes[..count]
                .windows(13)
                .filter(|part| part == b"HTTP/1.1 204 ")
                .count();
        }
        total
    });
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(&request[..5]).unwrap();
    let mut shifted = request[5..].to_vec();
    shifted.extend_from_slice(&request[..5]);
    for _ in 0..2000 {
        stream.write_all(&shifted).unwrap();
    }
    stream.write_all(&request[5..]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(
        reading.join().unwrap() > 1900,
        "a status line may be cut by a read"
    );
}

#[test]
fn a_server_whose_workers_all_panic_ends() {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let result = Server::new()
            .listen("127.0.0.1:0")
            .cores(Cores::Count(2))
            .run_each(|| {
                assert!(std::hint::black_box(false), "this panic is the test's");
                async |_request: Request| "never"
            });
        // On a machine with one core the panic is this thread's own.
        tell.send(result.is_err()).unwrap();
    });
    match told.recv_timeout(BOUND) {
        Ok(failed) => assert!(failed),
        Err(error) => assert_eq!(error, mpsc::RecvTimeoutError::Disconnected),
    }
}

#[test]
fn the_last_words_of_a_tunnel_arrive_although_the_client_still_sends() {
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let addr = serve(async move |_: Request| {
        let released = Arc::clone(&released);
        Response::tunnel(async move |peer: Upgraded| {
            peer.write_all("hello").await.unwrap();
            // The whole worker waits, so that nothing is received meanwhile.
            released.lock().unwrap().recv_timeout(BOUND).unwrap();
            peer.write_all("goodbye").await.unwrap();
        })
    });
    let mut stream = connect(addr);
    stream
        .write_all(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"hello") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    stream.set_nonblocking(true).unwrap();
    while stream.write(&[b'x'; 64 * 1024]).is_ok() {}
    stream.set_nonblocking(false).unwrap();
    release.send(()).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"goodbye");
}
