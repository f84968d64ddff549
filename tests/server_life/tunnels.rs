//! Connections that have left HTTP: what they leave behind, and how they end.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    panic::resume_unwind,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use annulus::http::{HeaderValue, Phase, Request, Response, Server, Upgraded};

use crate::{
    connections::info_of,
    running::{NEVER, Running, expect_fin, get},
    support::{BOUND, http::read_answer},
};

/// The lines of an access log.
type Lines = Arc<Mutex<Vec<String>>>;

/// Answers by the path what a tunnel does, beside requests that begin none.
async fn answer(request: Request) -> Response {
    let path = request.path().to_owned();
    if request.upgrades().next().is_none() {
        return Response::text("hello");
    }
    Response::upgrade(
        HeaderValue::from_static("t"),
        async move |peer: Upgraded| match &*path {
            "/panic" => {
                drop(peer.recv().await);
                resume_unwind(Box::new("a tunnel's panic"));
            }
            "/stop" => {
                peer.stopping().await;
                drop(peer.write_all("bye").await);
            }
            _ => {
                while let Ok(bytes) = peer.recv().await {
                    if bytes.is_empty() || peer.write_all(bytes).await.is_err() {
                        break;
                    }
                }
            }
        },
    )
}

fn start(lines: &Lines) -> Running {
    let lines = Arc::clone(lines);
    let change = move |server: Server| {
        server.access_log(move |access| {
            let line = format!(
                "{} {:?} {:?} {}",
                access.target,
                access.status.map(|status| status.as_u16()),
                access.reason.map(|reason| reason.as_str()),
                access.field("host").unwrap_or(b"-").escape_ascii(),
            );
            lines.lock().unwrap().push(line);
        })
    };
    Running::start(1, change, answer)
}

/// A connection that has left HTTP.
fn tunnel(server: &Running, path: &str) -> TcpStream {
    let mut stream = server.send(&format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: t\r\nConnection: upgrade\r\n\r\n"
    ));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"ping").unwrap();
    let mut back = [0; 4];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"ping");
}

fn wait_for(lines: &Lines, count: usize) -> Vec<String> {
    let start = Instant::now();
    while lines.lock().unwrap().len() < count {
        assert!(start.elapsed() < BOUND, "{:?}", lines.lock().unwrap());
        std::thread::sleep(Duration::from_millis(1));
    }
    lines.lock().unwrap().clone()
}

#[test]
fn the_request_of_a_tunnel_ends_with_it() {
    let lines = Lines::default();
    let server = start(&lines);
    let mut first = tunnel(&server, "/first");
    // Its exchange serves others meanwhile.
    let mut second = tunnel(&server, "/second");
    assert!(read_answer(&mut server.send(&get("/plain"))).ends_with("hello"));
    echo(&mut first);
    echo(&mut second);
    assert_eq!(wait_for(&lines, 1), ["/plain Some(200) None a"]);

    let info = info_of(&server.handle, &first, Phase::Tunnel);
    assert_eq!(info.peer, Some(first.local_addr().unwrap()));
    assert!(info.received > Some(4) && info.sent > Some(4), "{info}");

    drop(first);
    assert_eq!(wait_for(&lines, 2)[1], "/first Some(101) None a");
    echo(&mut second);
    drop(second);
    assert_eq!(wait_for(&lines, 3)[2], "/second Some(101) None a");
    server.handle.stop(NEVER);
    let report = server.ended().unwrap();
    assert_eq!((report.answered, report.cut), (3, 0), "{report}");
}

#[test]
fn a_tunnel_that_panics_is_reset_and_harms_no_other() {
    let lines = Lines::default();
    let server = start(&lines);
    let mut other = tunnel(&server, "/other");
    let mut idle = server.idle();
    let mut bomb = tunnel(&server, "/panic");
    bomb.write_all(b"x").unwrap();
    let error = bomb.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(wait_for(&lines, 2)[1], "/panic None Some(\"answer-cut\") a");
    echo(&mut other);
    idle.write_all(get("/").as_bytes()).unwrap();
    assert!(read_answer(&mut idle).ends_with("hello"));
    drop((other, idle));
    server.handle.stop(NEVER);
    assert_eq!(server.ended().unwrap().answered, 4);
}

#[test]
fn a_stop_is_told_to_tunnels_and_its_deadline_resets_them() {
    let server = start(&Lines::default());
    let mut polite = tunnel(&server, "/stop");
    server.handle.stop(NEVER);
    let mut last = [0; 3];
    polite.read_exact(&mut last).unwrap();
    assert_eq!(&last, b"bye");
    expect_fin(&mut polite);
    drop(polite);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (1, 0), "{report}");

    let server = start(&Lines::default());
    let mut stubborn = tunnel(&server, "/echo");
    echo(&mut stubborn);
    server.handle.stop(Duration::ZERO);
    let error = stubborn.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    let report = server.ended().unwrap();
    assert_eq!((report.finished, report.cut), (0, 1), "{report}");
}
