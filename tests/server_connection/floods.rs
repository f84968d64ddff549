//! Bodies of clients that send, or take, as fast as they can.

use std::{
    future::Future as _,
    io::{ErrorKind, Read as _, Write as _},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
};

use annulus::{
    http::{self, Request, Response, header},
    task::yield_now,
};

use crate::support::{BOUND, http::connect, server::serve};

/// Bytes that differ wherever some are lost, doubled or swapped.
fn pattern(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn in_chunks(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = body;
    for size in sizes.iter().cycle() {
        let (chunk, behind) = rest.split_at(rest.len().min(*size));
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// Sends `body` behind `framing` and another request behind that. The server pulls the body once
/// there is no more room for it, by pulls of which it drops each that has to wait. Returns the size
/// of the largest piece.
fn flood(framing: &str, body: &[u8], expected: &[u8]) -> usize {
    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (tell, told) = mpsc::channel();
    let addr = serve(
        async move |mut request: Request| -> http::Result<Response> {
            if request.path() == "/next" {
                return Ok(Response::text("next"));
            }
            // Nothing else is served here.
            gate.lock().unwrap().recv_timeout(BOUND).unwrap();
            let mut pulled = request.take_body().limit(u64::MAX);
            let mut received = Vec::new();
            let mut largest = 0;
            loop {
                let polled = {
                    let mut next = pin!(pulled.next());
                    next.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                };
                match polled {
                    Poll::Ready(Ok(Some(piece))) => {
                        largest = largest.max(piece.len());
                        received.extend_from_slice(&piece);
                    }
                    Poll::Ready(Ok(None)) => break,
                    Poll::Ready(Err(error)) => return Err(error),
                    Poll::Pending => yield_now().await,
                }
            }
            tell.send((received, largest)).unwrap();
            Ok(Response::text("done"))
        },
    );
    let mut stream = connect(addr);
    let head = format!("PUT / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n");
    let next = b"GET /next HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    let bytes = [head.as_bytes(), body, next].concat();
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    open.send(()).unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.write_all(&bytes[sent..]).unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    assert!(
        answers.contains("\r\n\r\ndone") && answers.ends_with("next"),
        "{answers}"
    );
    let (received, largest) = told.recv_timeout(BOUND).unwrap();
    assert!(
        received == expected,
        "{} bytes of {}",
        received.len(),
        expected.len()
    );
    largest
}

/// More than the sockets at both ends hold.
const FLOOD_BYTES: usize = 16 << 20;
/// More bytes than a receive buffer of the usual size can bring at once.
const LARGE_PIECE_BYTES: usize = 16 * 1024;

#[test]
fn a_flood_is_received_in_large_pieces_and_whole() {
    let body = pattern(FLOOD_BYTES);
    let largest = flood(&format!("Content-Length: {FLOOD_BYTES}"), &body, &body);
    assert!(
        largest >= LARGE_PIECE_BYTES,
        "the largest piece had {largest} bytes"
    );
}

#[test]
fn a_flood_in_chunks_of_many_sizes_is_received_whole() {
    let body = pattern(FLOOD_BYTES);
    for sizes in [&[65_536][..], &[1, 70_001, 5, 200_000, 17_000], &[3000]] {
        let chunks = in_chunks(&body, sizes);
        flood("Transfer-Encoding: chunked", &chunks, &body);
    }
}

#[test]
fn a_flood_of_pieces_of_many_sizes_goes_out_whole() {
    let addr = serve(async |request: Request| -> http::Result<Response> {
        let is_sized = request.path() == "/sized";
        let response = Response::writer(async |mut out| {
            let body = pattern(FLOOD_BYTES);
            let mut rest = &body[..];
            for size in [65_536, 9000, 1, 300_000, 8192, 20_000, 8191]
                .iter()
                .cycle()
            {
                let (piece, behind) = rest.split_at(rest.len().min(*size));
                out.write(piece.to_vec()).await?;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            Ok(())
        });
        Ok(if is_sized {
            response.with_field(header::CONTENT_LENGTH, FLOOD_BYTES.into())
        } else {
            response
        })
    });
    // One connection after the other uses the same exchange.
    for path in ["/sized", "/chunks", "/sized", "/chunks"] {
        let mut stream = connect(addr);
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let mut rest = &answer[head.unwrap() + 4..];
        let mut body = Vec::new();
        if path == "/sized" {
            body.extend_from_slice(rest);
        } else {
            loop {
                let end = rest.windows(2).position(|bytes| bytes == b"\r\n").unwrap();
                let size = std::str::from_utf8(&rest[..end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                body.extend_from_slice(&rest[end + 2..end + 2 + size]);
                assert_eq!(&rest[end + 2 + size..end + 4 + size], b"\r\n");
                rest = &rest[end + 4 + size..];
                if size == 0 {
                    break;
                }
            }
            assert!(rest.is_empty());
        }
        assert!(body == pattern(FLOOD_BYTES), "{path}: {} bytes", body.len());
    }
}

#[test]
fn a_client_that_pauses_in_a_flood_is_not_kept_waiting_for_more() {
    let (tell, told) = mpsc::channel();
    let addr = serve(
        async move |mut request: Request| -> http::Result<Response> {
            let mut body = request.take_body().limit(u64::MAX);
            let mut received = 0;
            while let Some(piece) = body.next().await? {
                received += piece.len();
                tell.send(received).unwrap();
            }
            Ok(Response::text(received.to_string()))
        },
    );
    let mut stream = connect(addr);
    let head = format!("PUT / HTTP/1.1\r\nHost: test\r\nContent-Length: {FLOOD_BYTES}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let body = pattern(FLOOD_BYTES);
    let mut sent = 0;
    for bytes in [3 << 20, 1, 2 << 20, 70_001, 100, 3 << 20, 9000] {
        stream.write_all(&body[sent..sent + bytes]).unwrap();
        sent += bytes;
        while told.recv_timeout(BOUND).unwrap() < sent {}
    }
    stream.write_all(&body[sent..]).unwrap();
    let mut answer = [0; 1024];
    let count = stream.read(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer[..count]);
    assert!(answer.ends_with(&FLOOD_BYTES.to_string()), "{answer}");
}

#[test]
fn a_client_that_never_pauses_leaves_the_others_their_turn() {
    static PIECE: [u8; 65_536] = [b'x'; 65_536];
    let addr = serve(async |mut request: Request| -> http::Result<Response> {
        match request.path() {
            "/up" => {
                let mut body = request.take_body().limit(u64::MAX);
                while body.next().await?.is_some() {}
                Ok(Response::text("taken"))
            }
            "/down" => {
                let response = Response::writer(async |mut out| {
                    loop {
                        out.write(&PIECE[..]).await?;
                    }
                });
                Ok(response.with_field(header::CONTENT_TYPE, "text/plain".try_into().unwrap()))
            }
            _ => Ok(Response::text("served")),
        }
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(std::sync::Barrier::new(3));
    let busy = ["/up", "/down"].map(|path| {
        let (is_over, begun) = (Arc::clone(&is_over), Arc::clone(&begun));
        thread::spawn(move || {
            let mut stream = connect(addr);
            let head = "HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000000\r\n\r\n";
            let head = match path {
                "/up" => format!("PUT {path} {head}"),
                _ => format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"),
            };
            stream.write_all(head.as_bytes()).unwrap();
            let mut buf = vec![0; PIECE.len()];
            begun.wait();
            while !is_over.load(Ordering::Relaxed) {
                if path == "/up" {
                    stream.write_all(&PIECE).unwrap();
                } else {
                    assert!(stream.read(&mut buf).unwrap() > 0);
                }
            }
        })
    });
    begun.wait();
    for _ in 0..100 {
        let mut stream = connect(addr);
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("served"), "{answer}");
    }
    is_over.store(true, Ordering::Relaxed);
    for client in busy {
        client.join().unwrap();
    }
}
